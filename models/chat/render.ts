/** Room: models/chat. The text of a template's statements, and where its `{% generation %}` blocks are in it. Pure. */
import { bind } from './arguments.ts';
import type { CallStatement, Expression, For, Parameter, SetStatement, Statement, Target } from './ast.ts';
import { pairsOf } from './methods.ts';
import { argumentsOf, evaluate, filtered, Scope } from './expressions.ts';
import {
  isDict,
  isEqual,
  isTrue,
  itemsOf,
  Namespace,
  TemplateError,
  text,
  tuple,
  type Callable,
  type Value,
} from './values.ts';

/** Where the text goes that statements give. */
export class Output {
  text = '';

  write(piece: string): void {
    this.text += piece;
  }
}

class BreakLoop extends Error {}
class ContinueLoop extends Error {}

/** @throws TemplateError as `evaluate` */
export function renderAll(statements: readonly Statement[], scope: Scope, out: Output): void {
  for (const statement of statements) render(statement, scope, out);
}

function render(node: Statement, scope: Scope, out: Output): void {
  if (node.type === 'Comment') return;
  if (node.type === 'If') renderAll(isTrue(evaluate(node.test, scope)) ? node.body : node.alternate, scope, out);
  else if (node.type === 'For') renderLoop(node, scope, out);
  else if (node.type === 'Set') assign(node.assignee, setValue(node, scope), scope);
  else if (node.type === 'Macro') scope.set(node.name.value, macro(node.args, node.body, scope));
  else if (node.type === 'CallStatement') out.write(text(callBlock(node, scope)));
  else if (node.type === 'FilterStatement')
    out.write(text(filtered(captured(node.body, new Scope(scope)), node.filter, scope)));
  else if (node.type === 'Break') throw new BreakLoop();
  else if (node.type === 'Continue') throw new ContinueLoop();
  else out.write(text(evaluate(node, scope)));
}

function captured(statements: readonly Statement[], scope: Scope): string {
  const out = new Output();
  renderAll(statements, scope, out);
  return out.text;
}

function setValue({ value, body }: SetStatement, scope: Scope): Value {
  return value ? evaluate(value, scope) : captured(body, new Scope(scope));
}

function assign(target: Target | Expression, value: Value, scope: Scope): void {
  if (target.type === 'Identifier') scope.set(target.value, value);
  else if (target.type === 'TupleLiteral') {
    const items = itemsOf(value);
    if (items.length !== target.value.length)
      throw new TemplateError(`found ${items.length} values to unpack, expected ${target.value.length}`);
    target.value.forEach((part, i) => {
      assign(part, items[i], scope);
    });
  } else if (target.type === 'MemberExpression' && target.property.type === 'Identifier') {
    const object = evaluate(target.object, scope);
    if (!(object instanceof Namespace)) throw new TemplateError('cannot assign attribute on non-namespace object');
    object.entries.set(target.property.value, value);
  } else throw new TemplateError(`cannot assign to ${target.type}`);
}

function renderLoop({ loopvar, iterable, body, defaultBlock }: For, scope: Scope, out: Output): void {
  const select = iterable.type === 'SelectExpression' ? iterable : undefined;
  const all = itemsOf(evaluate(select ? select.lhs : iterable, scope));
  const inner = (item: Value): Scope => {
    const own = new Scope(scope);
    assign(loopvar, item, own);
    return own;
  };
  const items = select ? all.filter((item) => isTrue(evaluate(select.test, inner(item)))) : all;
  if (items.length === 0) {
    renderAll(defaultBlock, new Scope(scope), out);
    return;
  }
  const changed = changes();
  for (const [i, item] of items.entries()) {
    const own = inner(item);
    own.set('loop', loopOf(items, i, changed));
    try {
      renderAll(body, own, out);
    } catch (error) {
      if (error instanceof BreakLoop) break;
      if (!(error instanceof ContinueLoop)) throw error;
    }
  }
}

function loopOf(items: readonly Value[], i: number, changed: Callable): Value {
  const { length } = items;
  const cycle: Callable = (args) => args[i % args.length];
  return new Namespace(
    new Map<string, Value>([
      ['index', i + 1],
      ['index0', i],
      ['revindex', length - i],
      ['revindex0', length - i - 1],
      ['first', i === 0],
      ['last', i === length - 1],
      ['length', length],
      ['previtem', items[i - 1]],
      ['nextitem', items[i + 1]],
      ['depth', 1],
      ['depth0', 0],
      ['cycle', cycle],
      ['changed', changed],
    ]),
  );
}

/** `loop.changed(…)`: whether its arguments are others than the last time. */
function changes(): Callable {
  let last: readonly Value[] | undefined;
  return (args) => {
    const isChanged = last === undefined || !isEqual(last, args);
    last = args;
    return isChanged;
  };
}

/** A macro, or the body of a `{% call %}` block, as a function. */
function macro(parameters: readonly Parameter[], body: readonly Statement[], outer: Scope): Callable {
  const keys = parameters.map((one) => (one.type === 'Identifier' ? one : one.key).value);
  return (args, named) => {
    const scope = new Scope(outer);
    const extra = [...named].filter(([name]) => !keys.includes(name));
    const { caller, ...own } = bind(
      [...keys, 'caller'],
      args.slice(0, keys.length),
      new Map([...named].filter(([name]) => keys.includes(name) || name === 'caller')),
    );
    scope.set('varargs', tuple(args.slice(keys.length)));
    scope.set('kwargs', new Map(extra.filter(([name]) => name !== 'caller')));
    scope.set('caller', caller);
    for (const [name, value] of Object.entries(own)) scope.set(name, value);
    for (const one of parameters) {
      if (one.type === 'Identifier' || own[one.key.value] !== undefined) continue;
      scope.set(one.key.value, evaluate(one.value, scope));
    }
    return captured(body, scope);
  };
}

function callBlock({ call, callerArgs, body }: CallStatement, scope: Scope): Value {
  const called = evaluate(call.callee, scope);
  if (typeof called !== 'function') throw new TemplateError('the callee of a call block is not callable');
  const [args, named] = argumentsOf(call.args, scope);
  return called(args, new Map([...named, ['caller', macro(callerArgs ?? [], body, scope)]]));
}

/** `namespace(…)` and `dict(…)`: entries of a mapping or of pairs, and named ones. */
export function entriesOf([given]: readonly Value[], named: ReadonlyMap<string, Value>): Map<string, Value> {
  const pairs = given === undefined ? [] : isDict(given) ? pairsOf(given) : itemsOf(given).map(itemsOf);
  const entries = pairs.map(([key, value]): [string, Value] => [text(key), value]);
  return new Map([...entries, ...named]);
}

/** Jinja's own limit. */
const MAX_RANGE = 100_000;

/** `range(…)`. */
export function range(args: readonly Value[]): Value {
  const [start, stop, step = 1] = (args.length === 1 ? [0, ...args] : args).map(Number) as [number, number, number?];
  if (step === 0) throw new TemplateError('range() arg 3 must not be zero');
  const length = Math.max(0, Math.ceil((stop - start) / step));
  if (length > MAX_RANGE) throw new TemplateError(`a range of ${length} numbers, expected at most ${MAX_RANGE}`);
  return Array.from({ length }, (_, i) => start + i * step);
}
