/** Room: models/chat. The value of an expression of a template, by the rules of Jinja and Python. Pure. */
import type { Argument, Expression, Identifier, CallExpression, Slice } from './ast.ts';
import { filterOf } from './filters.ts';
import { methodOf } from './methods.ts';
import { percentFormat } from './python-format.ts';
import { isIn, testOf } from './tests.ts';
import {
  compare,
  float,
  isDict,
  isEqual,
  isList,
  isNumber,
  isTrue,
  itemOf,
  itemsOf,
  Namespace,
  slice,
  TemplateError,
  text,
  tuple,
  typeName,
  type Named,
  type Value,
} from './values.ts';

/** Names and their values; those of outer scopes are seen. */
export class Scope {
  readonly #names: Map<string, Value>;
  readonly #outer: Scope | undefined;

  constructor(outer?: Scope, names: Iterable<readonly [string, Value]> = []) {
    this.#names = new Map(names);
    this.#outer = outer;
  }

  get(name: string): Value {
    return this.#names.has(name) ? this.#names.get(name) : this.#outer?.get(name);
  }

  set(name: string, value: Value): void {
    this.#names.set(name, value);
  }
}

const CONSTANTS: ReadonlyMap<string, Value> = new Map<string, Value>([
  ['true', true],
  ['True', true],
  ['false', false],
  ['False', false],
  ['none', null],
  ['None', null],
]);

/** @throws TemplateError as Python would, for what the expression cannot do with its values */
export function evaluate(node: Expression, scope: Scope): Value {
  switch (node.type) {
    case 'Identifier':
      return CONSTANTS.has(node.value) ? CONSTANTS.get(node.value) : scope.get(node.value);
    case 'FloatLiteral':
      return float(node.value);
    case 'IntegerLiteral':
    case 'StringLiteral':
      return node.value;
    case 'ArrayLiteral':
      return node.value.map((item) => evaluate(item, scope));
    case 'TupleLiteral':
      return tuple(node.value.map((item) => evaluate(item, scope)));
    case 'ObjectLiteral':
      return new Map([...node.value].map(([key, value]) => [evaluate(key, scope), evaluate(value, scope)]));
    case 'MemberExpression':
      return member(evaluate(node.object, scope), node.property, node.computed, scope);
    case 'CallExpression':
      return call(node, scope);
    case 'FilterExpression':
      return filtered(evaluate(node.operand, scope), node.filter, scope);
    case 'TestExpression':
      return testOf(node.test.value)(evaluate(node.operand, scope), undefined) !== node.negate;
    case 'SelectExpression':
      return isTrue(evaluate(node.test, scope)) ? evaluate(node.lhs, scope) : undefined;
    case 'Ternary':
      return evaluate(isTrue(evaluate(node.condition, scope)) ? node.trueExpr : node.falseExpr, scope);
    case 'UnaryExpression':
      return unary(node.operator.value, evaluate(node.argument, scope));
    case 'BinaryExpression':
      return binary(node.operator.value, evaluate(node.left, scope), () => evaluate(node.right, scope));
  }
}

function member(object: Value, property: Expression | Slice, isComputed: boolean, scope: Scope): Value {
  if (property.type === 'SliceExpression') {
    const [start, stop, step] = [property.start, property.stop, property.step].map(
      (part) => part && evaluate(part, scope),
    );
    if (typeof object === 'string') return slice(Array.from(object), start, stop, step).join('');
    if (isList(object)) return slice(object, start, stop, step);
    if (object === undefined || isDict(object)) throw new TemplateError(`'${typeName(object)}' has no slices`);
    return undefined;
  }
  const isName = !isComputed && property.type === 'Identifier';
  const key = isName ? property.value : evaluate(property, scope);
  if (object === undefined) throw new TemplateError(`an undefined value has no '${text(key)}'`);
  if (object instanceof Namespace) return object.entries.get(text(key));
  const own = typeof key === 'string' ? methodOf(object, key) : undefined;
  // Python looks for an attribute first after a point, for an item first in brackets.
  return isName
    ? (own ?? itemOf(object, key))
    : (itemOf(object, key) ?? (isDict(object) && object.has(key) ? undefined : own));
}

function call({ callee, args }: CallExpression, scope: Scope): Value {
  const called = evaluate(callee, scope);
  if (typeof called !== 'function') throw new TemplateError(`'${typeName(called)}' object is not callable`);
  return called(...argumentsOf(args, scope));
}

/** By place, and by name. */
export function argumentsOf(args: readonly Argument[], scope: Scope): [Value[], Named] {
  const placed: Value[] = [];
  const named = new Map<string, Value>();
  for (const argument of args) {
    if (argument.type === 'KeywordArgumentExpression') named.set(argument.key.value, evaluate(argument.value, scope));
    else if (argument.type === 'SpreadExpression') placed.push(...itemsOf(evaluate(argument.argument, scope)));
    else if (argument.type === 'KeywordSpreadExpression') {
      const dict = evaluate(argument.argument, scope);
      if (!isDict(dict)) throw new TemplateError('argument after ** must be a mapping');
      for (const [key, value] of dict) named.set(text(key), value);
    } else placed.push(evaluate(argument, scope));
  }
  return [placed, named];
}

export function filtered(value: Value, filter: Identifier | CallExpression, scope: Scope): Value {
  if (filter.type === 'Identifier') return filterOf(filter.value)(value, [], new Map());
  return filterOf((filter.callee as Identifier).value)(value, ...argumentsOf(filter.args, scope));
}

function unary(operator: string, value: Value): Value {
  if (operator === 'not') return !isTrue(value);
  if (isNumber(value)) return like(operator === '-' ? -Number(value) : Number(value), value);
  throw new TemplateError(`bad operand type for unary ${operator}: '${typeName(value)}'`);
}

function binary(operator: string, a: Value, other: () => Value): Value {
  if (operator === 'and') return isTrue(a) ? other() : a;
  if (operator === 'or') return isTrue(a) ? a : other();
  const b = other();
  switch (operator) {
    case '==':
      return isEqual(a, b);
    case '!=':
      return !isEqual(a, b);
    case 'in':
      return isIn(a, b);
    case 'not in':
      return !isIn(a, b);
    case '~':
      return text(a) + text(b);
    case '<':
      return compare(a, b) < 0;
    case '>':
      return compare(a, b) > 0;
    case '<=':
      return compare(a, b) <= 0;
    case '>=':
      return compare(a, b) >= 0;
  }
  return arithmetic(operator, a, b);
}

function arithmetic(operator: string, a: Value, b: Value): Value {
  if (isNumber(a) && isNumber(b)) {
    const number = numeric(operator, Number(a), Number(b));
    return operator === '/' ? float(number) : like(number, a, b);
  }
  if (operator === '%' && typeof a === 'string') return percentFormat(a, b);
  if (operator === '+' && typeof a === 'string' && typeof b === 'string') return a + b;
  if (operator === '+' && isList(a) && isList(b)) return [...a, ...b];
  if (operator === '*' && typeof a === 'string' && isNumber(b)) return a.repeat(Math.max(0, Number(b)));
  if (operator === '*' && isNumber(a) && typeof b === 'string') return b.repeat(Math.max(0, Number(a)));
  throw new TemplateError(`unsupported operand types for ${operator}: '${typeName(a)}' and '${typeName(b)}'`);
}

/** A number as a float where one of those that it is made of is a float. */
function like(number: number, ...of: readonly Value[]): Value {
  return of.some((value) => typeName(value) === 'float') ? float(number) : number;
}

function numeric(operator: string, a: number, b: number): number {
  if (b === 0 && ['/', '//', '%'].includes(operator)) throw new TemplateError('division by zero');
  switch (operator) {
    case '+':
      return a + b;
    case '-':
      return a - b;
    case '*':
      return a * b;
    case '/':
      return a / b;
    case '//':
      return Math.floor(a / b);
    case '%':
      return a - b * Math.floor(a / b);
    case '**':
      return a ** b;
  }
  throw new TemplateError(`no operator ${operator}`);
}
