/** Room: models/chat. Jinja's tests: `x is name`, and those that `select` and its kin are given by name. Pure. */
import {
  compare,
  isDict,
  isEqual,
  isList,
  isNumber,
  itemsOf,
  Lazy,
  TemplateError,
  text,
  typeName,
  type Value,
} from './values.ts';

type Test = (value: Value, other: Value) => boolean;

const isInteger = (value: Value): boolean => typeof value === 'number' && Number.isInteger(value);
const modulo = (value: Value, by: number): number => ((Number(value) % by) + by) % by;
/** Python's `isupper` and `islower`: at least one letter has a case. */
const hasCase = (one: string): boolean => one.toLowerCase() !== one.toUpperCase();

/** `other in value` the other way round: whether `list` holds `value`. @throws TemplateError as Python's `in` */
export function isIn(value: Value, list: Value): boolean {
  if (typeof list === 'string') {
    if (typeof value === 'string') return list.includes(value);
    throw new TemplateError("'in <string>' requires string as left operand");
  }
  if (isDict(list)) return list.has(value);
  return itemsOf(list).some((item) => isEqual(item, value));
}

const equal: Test = isEqual;
const above: Test = (a, b) => compare(a, b) > 0;
const below: Test = (a, b) => compare(a, b) < 0;
const atLeast: Test = (a, b) => compare(a, b) >= 0;
const atMost: Test = (a, b) => compare(a, b) <= 0;
const different: Test = (a, b) => !isEqual(a, b);

const TESTS: Readonly<Record<string, Test>> = {
  boolean: (value) => typeof value === 'boolean',
  callable: (value) => typeof value === 'function',
  defined: (value) => value !== undefined,
  undefined: (value) => value === undefined,
  divisibleby: (value, by) => modulo(value, Number(by)) === 0,
  even: (value) => modulo(value, 2) === 0,
  odd: (value) => modulo(value, 2) === 1,
  false: (value) => value === false,
  true: (value) => value === true,
  none: (value) => value === null,
  float: (value) => typeName(value) === 'float',
  integer: isInteger,
  number: isNumber,
  in: isIn,
  iterable: (value) =>
    value === undefined || typeof value === 'string' || isList(value) || isDict(value) || value instanceof Lazy,
  sequence: (value) => value === undefined || typeof value === 'string' || isList(value) || isDict(value),
  mapping: isDict,
  string: (value) => typeof value === 'string',
  lower: (value) => hasCase(text(value)) && text(value) === text(value).toLowerCase(),
  upper: (value) => hasCase(text(value)) && text(value) === text(value).toUpperCase(),
  sameas: (value, other) => value === other,
  eq: equal,
  equalto: equal,
  '==': equal,
  ne: different,
  '!=': different,
  gt: above,
  greaterthan: above,
  '>': above,
  ge: atLeast,
  '>=': atLeast,
  lt: below,
  lessthan: below,
  '<': below,
  le: atMost,
  '<=': atMost,
};

/** @throws TemplateError for a test that Jinja, or this renderer, does not have */
export function testOf(name: string): Test {
  const test = Object.hasOwn(TESTS, name) ? TESTS[name] : undefined;
  if (test) return test;
  throw new TemplateError(`no test named '${name}'`);
}
