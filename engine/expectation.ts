/** Room: engine. What a schema expects, in words for people: one phrasing for options, settings and JSON files. */
import { z } from 'zod';

/** For `safeParse` in place of zod's own words, which say what went wrong and not what is wanted. */
export function phraseFor(schema: z.ZodType): (issue: z.core.$ZodRawIssue) => string | undefined {
  return (issue) => {
    const wanted = schemaAt(schema, issue.path ?? []);
    return wanted && `expected ${expectation(wanted)}`;
  };
}

/** The schema of what a path leads to. */
function schemaAt(schema: z.ZodType, path: readonly PropertyKey[]): z.ZodType | undefined {
  const inner = bare(schema);
  const [key, ...rest] = path;
  if (key === undefined) return inner;
  if (inner instanceof z.ZodUnion)
    return (inner.options as readonly z.ZodType[]).map((one) => schemaAt(one, path)).find((found) => found);
  const next = partOf(inner, key);
  return next && schemaAt(next, rest);
}

function partOf(schema: z.ZodType, key: PropertyKey): z.ZodType | undefined {
  if (schema instanceof z.ZodObject) return (schema.shape as Record<PropertyKey, z.ZodType>)[key];
  if (schema instanceof z.ZodArray) return schema.element as z.ZodType;
  if (schema instanceof z.ZodRecord) return schema.valueType as z.ZodType;
  return schema instanceof z.ZodTuple ? (schema.def.items[Number(key)] as z.ZodType | undefined) : undefined;
}

/** Without defaults, transforms and the like. */
function bare(schema: z.ZodType): z.ZodType {
  if (schema instanceof z.ZodPipe) return bare(schema.in as z.ZodType);
  const isWrapped = [z.ZodDefault, z.ZodOptional, z.ZodNullable, z.ZodReadonly].some((kind) => schema instanceof kind);
  return isWrapped ? bare((schema as z.ZodOptional<z.ZodType>).unwrap()) : schema;
}

function expectation(schema: z.ZodType): string {
  const each = [...new Set(alternatives(schema))];
  return each.length < 2 ? each.join() : `${each.slice(0, -1).join(', ')} or ${each.at(-1)}`;
}

function alternatives(outer: z.ZodType): string[] {
  const schema = bare(outer);
  if (schema instanceof z.ZodUnion) return (schema.options as readonly z.ZodType[]).flatMap(alternatives);
  if (schema instanceof z.ZodEnum) return schema.options.map(String);
  if (schema instanceof z.ZodLiteral) return [...schema.values].map((value) => JSON.stringify(value));
  if (schema instanceof z.ZodBoolean) return ['true', 'false'];
  if (schema instanceof z.ZodNumber) return [`${isInteger(schema) ? 'an integer' : 'a number'}${rangeOf(schema)}`];
  if (schema instanceof z.ZodString) return [schema.minLength ? 'a text that is not empty' : 'a text'];
  if (schema instanceof z.ZodArray) return [`a list${itemsOf(schema)}`];
  if (schema instanceof z.ZodTuple) return [`a list of ${schema.def.items.length} values`];
  return [schema instanceof z.ZodObject || schema instanceof z.ZodRecord ? 'a mapping' : 'another value'];
}

const ITEMS = new Map<abstract new (...args: never[]) => unknown, string>([
  [z.ZodNumber, 'numbers'],
  [z.ZodString, 'texts'],
  [z.ZodBoolean, 'true and false'],
  [z.ZodArray, 'lists'],
  [z.ZodObject, 'mappings'],
]);

function itemsOf(list: z.ZodArray): string {
  const item = bare(list.element as z.ZodType);
  const kind = [...ITEMS].find(([type]) => item instanceof type)?.[1];
  const isInt = item instanceof z.ZodNumber && isInteger(item);
  const { least } = boundsOf(list);
  const items = kind === undefined ? '' : ` of ${isInt ? 'integers' : kind}`;
  return least === undefined ? items : `${items}, ${least.value} or more`;
}

interface Bound {
  readonly value: number;
  readonly inclusive: boolean;
}

/** The last of each kind that a schema names. */
function boundsOf(schema: z.ZodType): { least?: Bound; most?: Bound } {
  const found: { least?: Bound; most?: Bound } = {};
  for (const { _zod } of (schema.def as { checks?: readonly z.core.$ZodCheck[] }).checks ?? []) {
    const {
      check,
      value,
      minimum,
      inclusive = true,
    } = _zod.def as Partial<Bound> & { check: string; minimum?: number };
    if (check === 'greater_than') found.least = { value: value!, inclusive };
    if (check === 'less_than') found.most = { value: value!, inclusive };
    if (check === 'min_length') found.least = { value: minimum!, inclusive };
  }
  return found;
}

function isInteger({ format }: z.ZodNumber): boolean {
  return format === 'safeint';
}

/** ` from 1`, ` above 0`, ` in [0, 1)`. */
function rangeOf(schema: z.ZodNumber): string {
  const isWhole = isInteger(schema);
  const { least: given, most } = boundsOf(schema);
  const least = isWhole && given?.inclusive === false ? { value: given.value + 1, inclusive: true } : given;
  if (least && most) {
    const [open, close] = [least.inclusive ? '[' : '(', most.inclusive ? ']' : ')'];
    return isWhole ? ` from ${least.value} to ${most.value}` : ` in ${open}${least.value}, ${most.value}${close}`;
  }
  if (least) return isWhole ? ` from ${least.value}` : ` ${least.inclusive ? 'of at least' : 'above'} ${least.value}`;
  return most ? ` ${most.inclusive ? 'of at most' : 'below'} ${most.value}` : '';
}
