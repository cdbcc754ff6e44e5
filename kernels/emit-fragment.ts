/**
 * Room: kernels. Emits a `Fragment` as one WGSL function that a surrounding kernel calls per element, or per four neighbours:
 * loads every operand, runs the body, then stores the outputs or returns the first.
 */
import type { Fragment, FragmentInput, FragmentOutput } from './fragment.ts';
import { BYTES, type Binding, type DType, type Param } from './kernel.ts';
import { list } from './text.ts';

/** What the surrounding kernel says of itself. */
export interface EmitOptions {
  /** Name of the WGSL function. */
  readonly name: string;
  /** Elements the fragment covers. */
  readonly size: number;
  /** Row length of a kernel that walks a matrix and knows row and column: operands indexed by them need no division. */
  readonly cols?: number;
  /** Whether V is `vec4<f32>`. Needs size % 4 = 0, with `cols` cols % 4 = 0; `index` and `col` are multiples of 4. */
  readonly vector: boolean;
  /** Whether the kernel passes its own result in as `acc`. */
  readonly acc?: boolean;
  /** `store` writes every output; `value` returns the first one and binds none. */
  readonly result: 'store' | 'value';
}

/** What a kernel splices in. The prelude (wgsl-lib.ts) is the kernel's to add: its own text may call library functions too. */
export interface EmittedFragment {
  /** Inputs, then outputs; an output in place of an input shares that input's binding, which becomes `inout`. */
  readonly bindings: readonly Binding[];
  /** For the kernel's uniform block `p`. */
  readonly params: readonly Param[];
  /** Bindings to declare as arrays of vec4. */
  readonly vectorBindings: readonly string[];
  /**
   * `fn NAME(index: u32[, row: u32, col: u32][, acc: V])[ -> V]` and what it needs at module scope:
   * `index` is the flat index of the first element, row and col are there with `cols`, acc with `acc`.
   */
  readonly wgsl: string;
}

/** How an input's element is found; see `FragmentInput`. */
type Access = 'scalar' | 'full' | 'col' | 'row' | 'group' | 'wrap' | 'outer' | 'general';

/**
 * Emits `fragment` as a function for a surrounding kernel.
 * @throws Error where an output is to overwrite an input that is another tensor by dtype or size
 */
export function emitFragment(fragment: Fragment, options: EmitOptions): EmittedFragment {
  const { vector, result } = options;
  const { inputs, outputs } = fragment;
  const loads = inputs.map((input) => load(input, options));
  const stored = result === 'store' ? outputs : [];
  for (const output of stored) checkInPlace(output, inputs, options.size);
  const contiguous = inputs.filter((_, i) => loads[i]?.contiguous).map((input) => input.name);
  const arguments_ = [
    'index: u32',
    ...(options.cols ? ['row: u32', 'col: u32'] : []),
    ...(options.acc ? ['acc: V'] : []),
  ];
  const end =
    result === 'store'
      ? stored.map((o) => `store_${o.name}(index${vector ? ' / 4u' : ''}, ${o.value});`)
      : [`return ${outputs[0]?.value};`];
  return {
    bindings: bindFragment(fragment, result),
    params: [...loads.flatMap((l) => l.params), ...(fragment.params ?? [])],
    vectorBindings: vector ? [...contiguous, ...stored.filter((o) => !o.inPlaceOf).map((o) => o.name)] : [],
    wgsl: [
      ...stored.map((o) => store(o, vector)),
      `fn ${options.name}(${arguments_.join(', ')})${result === 'value' ? ' -> V' : ''} {`,
      ...[...loads.flatMap((l) => l.lines), ...fragment.body, ...end].map((line) => `  ${line}`),
      '}',
    ].join('\n'),
  };
}

/** Operations of a fragment over `size` elements, one per operator or call in its text. */
export function fragmentFlops({ body, outputs }: Fragment, size: number): number {
  const text = [...body, ...outputs.map((o) => o.value)].join('\n').replace(/\bV\(\s*-?[\w.+-]*\s*\)/g, '1');
  return size * [...text.matchAll(/[\w)]\s*[-+*/%]|\w\(/g)].length;
}

/** Bytes a fragment moves: each input once, and with `store` each output. */
export function fragmentBytes({ inputs, outputs }: Fragment, size: number, result: 'store' | 'value'): number {
  const read = inputs.reduce((sum, i) => sum + i.count * BYTES[i.dtype], 0);
  return result === 'value' ? read : outputs.reduce((sum, o) => sum + size * BYTES[o.dtype], read);
}

function bindFragment({ inputs, outputs }: Fragment, result: 'store' | 'value'): Binding[] {
  const stored = result === 'store' ? outputs : [];
  const overwritten = new Set(stored.map((o) => o.inPlaceOf));
  return [
    ...inputs.map(({ name, dtype }): Binding => ({ name, dtype, role: overwritten.has(name) ? 'inout' : 'in' })),
    ...stored.filter((o) => !o.inPlaceOf).map(({ name, dtype }): Binding => ({ name, dtype, role: 'out' })),
  ];
}

function checkInPlace(output: FragmentOutput, inputs: readonly FragmentInput[], size: number): void {
  if (output.inPlaceOf === undefined) return;
  const input = inputs.find((i) => i.name === output.inPlaceOf);
  if (input?.dtype === output.dtype && input.count === size) return;
  throw new Error(`fragment: ${output.name} can't be written in place of ${output.inPlaceOf}: not the same tensor`);
}

function accessOf({ inner, count }: FragmentInput, { size, cols }: EmitOptions): Access {
  if (count === 1) return 'scalar';
  if (inner === 1 && count === size) return 'full';
  if (cols !== undefined && inner === 1 && count === cols) return 'col';
  if (cols !== undefined && inner === cols && inner * count === size) return 'row';
  if (cols !== undefined && inner * count === cols) return 'group';
  if (inner === 1) return 'wrap';
  return inner * count === size ? 'outer' : 'general';
}

interface Load {
  readonly lines: readonly string[];
  readonly params: readonly Param[];
  /** Whether the binding is read as vec4. */
  readonly contiguous: boolean;
}

function load(input: FragmentInput, options: EmitOptions): Load {
  const { name, dtype, inner, count } = input;
  const access = accessOf(input, options);
  const at = ELEMENT[access](name);
  const params: Param[] = [];
  if (at.includes(`p.${name}_inner`)) params.push({ name: `${name}_inner`, type: 'u32', value: inner });
  if (at.includes(`p.${name}_count`)) params.push({ name: `${name}_count`, type: 'u32', value: count });
  const adjacent = access === 'full' || access === 'col' || access === 'wrap';
  const contiguous = options.vector && adjacent && count % 4 === 0;
  const splat = access === 'scalar' || access === 'row' || (!adjacent && inner % 4 === 0);
  const raw = dtype === 'u32' && access === 'scalar' ? [`let ${name}_u = ${name}[0];`] : [];
  let value: string;
  if (contiguous) value = convert(`${name}[(${at}) / 4u]`, dtype, true);
  else if (!options.vector || splat) value = `V(${convert(`${name}[${at}]`, dtype, false)})`;
  else value = `V(${list(4, (lane) => convert(`${name}[${neighbour(at, lane)}]`, dtype, false))})`;
  return { lines: [...raw, `let ${name} = ${value};`], params, contiguous };
}

/** The index of an input's element as a WGSL expression. */
const ELEMENT: Record<Access, (name: string) => string> = {
  scalar: () => '0',
  full: () => 'index',
  col: () => 'col',
  row: () => 'row',
  group: (name) => `col / p.${name}_inner`,
  wrap: (name) => `index % p.${name}_count`,
  outer: (name) => `index / p.${name}_inner`,
  general: (name) => `index / p.${name}_inner % p.${name}_count`,
};

/** An element's index expression for the neighbour `lane` places on. */
function neighbour(at: string, lane: number): string {
  return at.replace(/\b(index|col)\b/, `($1 + ${lane}u)`);
}

/** `value` of a storage type as f32, four at once where `vector`. */
function convert(value: string, dtype: DType, vector: boolean): string {
  if (dtype === 'f32') return value;
  return vector ? `vec4<f32>(${value})` : `f32(${value})`;
}

function store({ name, dtype, inPlaceOf }: FragmentOutput, vector: boolean): string {
  const value = dtype === 'f32' ? 'value' : vector ? `vec4<${dtype}>(value)` : `${dtype}(value)`;
  return `fn store_${name}(at: u32, value: V) { ${inPlaceOf ?? name}[at] = ${value}; }`;
}
