/**
 * Room: models/chat. The values of a chat template, and what Python makes of them: truth, equality, order, text. Whole numbers are Python's
 * integers, others and `Float` its floats. Pure.
 */
import { isWrittenFloat } from '../../engine/io/json-floats.ts';

/** What a template goes wrong with: Python's exceptions and the template's own. */
export class TemplateError extends Error {}

export type Value =
  string | number | Float | boolean | null | undefined | readonly Value[] | Dict | Lazy | Namespace | Callable;
export type Dict = ReadonlyMap<Value, Value>;
export type Named = ReadonlyMap<string, Value>;
export type Callable = (args: readonly Value[], named: Named) => Value;

/** Python's generators and iterators: true, without a length or places. */
export class Lazy {
  constructor(readonly items: readonly Value[]) {}
}

/** A float that is whole: Python writes `1.0`. */
export class Float extends Number {}

/** A float of Python. */
export function float(value: number): number | Float {
  return Number.isInteger(value) ? new Float(value) : value;
}

/** What `namespace(…)` gives: the only value that a template may write to. */
export class Namespace {
  constructor(readonly entries: Map<string, Value>) {}
}

/** A list that is written in round brackets. */
export class Tuple extends Array<Value> {}

export function tuple(items: Iterable<Value>): Tuple {
  const made = new Tuple();
  for (const item of items) made.push(item);
  return made;
}

export const isList = (value: Value): value is readonly Value[] => Array.isArray(value);
export const isDict = (value: Value): value is Dict => value instanceof Map;
/** A number of Python, to which booleans belong. */
export const isNumber = (value: Value): value is number | Float | boolean =>
  typeof value === 'number' || typeof value === 'boolean' || value instanceof Float;

/** JSON as a template's values. */
export function valueOf(json: unknown): Value {
  if (typeof json !== 'object' || json === null) return json as Value;
  const of = (key: string | number, value: unknown): Value =>
    isWrittenFloat(json, key) ? new Float(value) : valueOf(value);
  if (Array.isArray(json)) return json.map((value, i) => of(i, value));
  return new Map(Object.entries(json).map(([key, value]) => [key, of(key, value)]));
}

/** What Python calls the type of a value. */
export function typeName(value: Value): string {
  if (value === undefined) return 'Undefined';
  if (value === null) return 'NoneType';
  if (typeof value === 'string') return 'str';
  if (typeof value === 'boolean') return 'bool';
  if (typeof value === 'number') return Number.isInteger(value) ? 'int' : 'float';
  if (value instanceof Float) return 'float';
  if (typeof value === 'function') return 'function';
  return isList(value) ? 'list' : isDict(value) ? 'dict' : value instanceof Lazy ? 'generator' : 'Namespace';
}

export function isTrue(value: Value): boolean {
  if (isList(value)) return value.length > 0;
  if (isNumber(value)) return Number(value) !== 0;
  return isDict(value) ? value.size > 0 : Boolean(value);
}

export function isEqual(a: Value, b: Value): boolean {
  if (isNumber(a) && isNumber(b)) return Number(a) === Number(b);
  if (isList(a) && isList(b)) return a.length === b.length && a.every((item, i) => isEqual(item, b[i]));
  if (isDict(a) && isDict(b))
    return a.size === b.size && [...a].every(([key, value]) => b.has(key) && isEqual(value, b.get(key)));
  return a === b;
}

/** Below 0, 0, or above. @throws TemplateError for values that Python does not order */
export function compare(a: Value, b: Value): number {
  if (isNumber(a) && isNumber(b)) return Number(a) - Number(b);
  if (typeof a === 'string' && typeof b === 'string') return a < b ? -1 : Number(a > b);
  if (isList(a) && isList(b)) {
    const at = a.findIndex((item, i) => i >= b.length || !isEqual(item, b[i]));
    return at < 0 || at >= b.length ? a.length - b.length : compare(a[at], b[at]);
  }
  throw new TemplateError(`'${typeName(a)}' and '${typeName(b)}' cannot be ordered`);
}

/** The items that a loop goes through. @throws TemplateError for what has none */
export function itemsOf(value: Value): readonly Value[] {
  if (value === undefined) return [];
  if (typeof value === 'string') return Array.from(value);
  if (isList(value)) return value;
  if (isDict(value)) return [...value.keys()];
  if (value instanceof Lazy) return value.items;
  throw new TemplateError(`'${typeName(value)}' object is not iterable`);
}

export function lengthOf(value: Value): number {
  if (value instanceof Lazy || isNumber(value) || value === null)
    throw new TemplateError(`object of type '${typeName(value)}' has no len()`);
  return itemsOf(value).length;
}

/** Python's `str`; nothing for what is undefined. */
export function text(value: Value): string {
  if (typeof value === 'string') return value;
  return value === undefined ? '' : repr(value);
}

/** Python's `repr`. */
export function repr(value: Value): string {
  if (value === undefined) return 'Undefined';
  if (value === null) return 'None';
  if (typeof value === 'boolean') return value ? 'True' : 'False';
  if (typeof value === 'string') return quoted(value);
  if (typeof value === 'number' || value instanceof Float) return numberText(value);
  if (value instanceof Tuple) return `(${Array.from(value, repr).join(', ')}${value.length === 1 ? ',' : ''})`;
  if (isList(value)) return `[${value.map(repr).join(', ')}]`;
  if (isDict(value))
    return `{${Array.from(value)
      .map(([key, item]) => `${repr(key)}: ${repr(item)}`)
      .join(', ')}}`;
  throw new TemplateError(`a ${typeName(value)} has no text`);
}

function numberText(value: number | Float): string {
  if (!Number.isFinite(Number(value))) return String(value).toLowerCase().replace('infinity', 'inf');
  if (value instanceof Float) {
    const number = Number(value);
    if (Math.abs(number) >= 1e16) return number.toExponential().replace(/e\+(\d)$/, 'e+0$1');
    return `${Object.is(number, -0) ? '-0' : number}.0`;
  }
  if (Number.isInteger(value)) return BigInt(value).toString();
  const [digits, exponent] = value.toExponential().split('e') as [string, string];
  return Number(exponent) < -4 ? `${digits}e-${exponent.slice(1).padStart(2, '0')}` : String(value);
}

const ESCAPES: Readonly<Record<string, string>> = { '\n': '\\n', '\r': '\\r', '\t': '\\t' };

function quoted(value: string): string {
  const quote = value.includes("'") && !value.includes('"') ? '"' : "'";
  const inner = value
    .replace(/\\/g, '\\\\')
    .replaceAll(quote, `\\${quote}`)
    .replace(/[\p{C}\p{Z}]/gu, (one) => (one === ' ' ? one : (ESCAPES[one] ?? escaped(one.codePointAt(0)!))));
  return quote + inner + quote;
}

function escaped(code: number): string {
  const hex = code.toString(16);
  if (code < 0x100) return `\\x${hex.padStart(2, '0')}`;
  return code < 0x10000 ? `\\u${hex.padStart(4, '0')}` : `\\U${hex.padStart(8, '0')}`;
}

export interface JsonOptions {
  readonly ascii: boolean;
  readonly indent: string | undefined;
  readonly separators: readonly [string, string];
  readonly sort: boolean;
}

/** Python's `json.dumps`. */
export function jsonText(value: Value, options: JsonOptions, depth = 0): string {
  const { ascii, indent, separators, sort } = options;
  const word = (content: string): string => (ascii ? asciiOf(JSON.stringify(content)) : JSON.stringify(content));
  const block = (open: string, parts: readonly string[], close: string): string => {
    if (parts.length === 0) return open + close;
    if (indent === undefined) return open + parts.join(separators[0]) + close;
    const [outer, inner] = [indent.repeat(depth), indent.repeat(depth + 1)];
    return `${open}\n${inner}${parts.join(`${separators[0]}\n${inner}`)}\n${outer}${close}`;
  };
  if (value === null || typeof value === 'boolean') return String(value);
  if (typeof value === 'string') return word(value);
  if (typeof value === 'number' && !Number.isFinite(value)) return String(value);
  if (typeof value === 'number' || value instanceof Float) return numberText(value);
  if (isList(value)) {
    const parts = Array.from(value, (item) => jsonText(item, options, depth + 1));
    return block('[', parts, ']');
  }
  if (isDict(value)) {
    const entries = sort ? [...value].sort(([a], [b]) => compare(a, b)) : [...value];
    const key = (name: Value): string => word(typeof name === 'string' ? name : jsonText(name, options));
    const parts = entries.map(([name, item]) => key(name) + separators[1] + jsonText(item, options, depth + 1));
    return block('{', parts, '}');
  }
  throw new TemplateError(`Object of type ${typeName(value)} is not JSON serializable`);
}

function asciiOf(json: string): string {
  return json.replace(/[^ -~]/g, (unit) => `\\u${unit.charCodeAt(0).toString(16).padStart(4, '0')}`);
}

/** Python's white space, which is not JavaScript's. */
const SPACE = '\\t-\\r\\x1c-\\x20\\x85\\xa0\\u1680\\u2000-\\u200a\\u2028\\u2029\\u202f\\u205f\\u3000';
const LEADING = new RegExp(`^[${SPACE}]+`);
const TRAILING = new RegExp(`[${SPACE}]+$`);
export const WORDS = new RegExp(`[^${SPACE}]+`, 'g');

/** Python's `lstrip` and `rstrip`. @param characters to take away; absent: white space */
export function stripStart(value: string, characters?: string): string {
  if (characters === undefined) return value.replace(LEADING, '');
  const all = Array.from(value);
  const from = all.findIndex((one) => !characters.includes(one));
  return from < 0 ? '' : all.slice(from).join('');
}

export function stripEnd(value: string, characters?: string): string {
  if (characters === undefined) return value.replace(TRAILING, '');
  const all = Array.from(value);
  return all.slice(0, all.findLastIndex((one) => !characters.includes(one)) + 1).join('');
}

/** Python's `s[start:stop:step]`. */
export function slice<T>(items: readonly T[], start: Value, stop: Value, step: Value): T[] {
  const by = step === undefined || step === null ? 1 : Number(step);
  if (by === 0) throw new TemplateError('slice step cannot be zero');
  const { length } = items;
  const place = (value: Value, absent: number): number => {
    if (value === undefined || value === null) return absent;
    const at = Number(value) < 0 ? Number(value) + length : Number(value);
    return by > 0 ? Math.min(Math.max(at, 0), length) : Math.min(Math.max(at, -1), length - 1);
  };
  const [from, to] = by > 0 ? [place(start, 0), place(stop, length)] : [place(start, length - 1), place(stop, -1)];
  const taken: T[] = [];
  for (let i = from; by > 0 ? i < to : i > to; i += by) taken.push(items[i] as T);
  return taken;
}

/** `value[key]`: undefined where there is none. */
export function itemOf(value: Value, key: Value): Value {
  if (isDict(value)) return value.get(key);
  if (typeof key !== 'number' || !Number.isInteger(key)) return undefined;
  if (typeof value === 'string') return slice(Array.from(value), key, key === -1 ? undefined : key + 1, 1)[0];
  return isList(value) ? value.at(key) : undefined;
}
