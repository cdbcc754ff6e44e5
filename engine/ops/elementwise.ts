/**
 * Room: engine/ops. The table of elementwise ops: each row is a WGSL expression and its vjp. Operands broadcast; the
 * compiler fuses whole chains into one kernel, so nothing here costs a pass over memory by itself.
 */
import type { Param } from '../../kernels/kernel.ts';
import { UserError } from '../errors.ts';
import { broadcastPattern, broadcastShapes, type Shape } from '../graph/shape.ts';
import { attrsOf, emit, type ElementExpression, type Op, type Tensor } from '../graph/tensor.ts';
import { sumToSize } from './reduce.ts';

/** Operands broadcast as numpy's do, each along a single run of dimensions; numbers are constants. Results are f32. */
type Operand = Tensor | number;

const constantOp: Op<number> = {
  name: 'constant',
  lowering: { kind: 'elementwise', expression: (_, node) => ({ text: `V(${literal(node.attrs)})` }) },
};

/**
 * A number as an f32 tensor; it is written into the kernels that read it.
 * @throws UserError, when compiled, where it is NaN, infinite or beyond f32's range
 */
export function constant(value: number, shape: Shape = []): Tensor {
  return emit(constantOp, [], value, shape);
}

/** The number of a constant tensor, if it is one. */
export function constantValue(tensor: Tensor): number | undefined {
  return attrsOf(constantOp, tensor.node);
}

function literal(value: number): string {
  const rounded = Math.fround(value);
  if (!Number.isFinite(rounded))
    throw new UserError(`a factor of ${value} is beyond f32; a setting of the model or adapter is too large`);
  const text = rounded.toPrecision(9);
  return /[.e]/.test(text) ? text : `${text}.0`;
}

const iotaOp: Op<number> = {
  name: 'iota',
  lowering: {
    kind: 'elementwise',
    expression: (_, { attrs }, uid) => ({
      text: `columns(index, p.cols_${uid})`,
      params: [{ name: `cols_${uid}`, type: 'u32', value: attrs }],
    }),
  },
};

/** A matrix whose elements are the numbers of their columns (JAX’s `broadcasted_iota`, dimension 1); it is written into the kernels that read it. */
export function iota(shape: readonly [rows: number, cols: number]): Tensor {
  return emit(iotaOp, [], shape[1], shape);
}

type UnaryVjp = (dy: Tensor, x: Tensor, y: Tensor) => Tensor | undefined;

function unary(name: string, text: (x: string) => string, vjp?: UnaryVjp): (x: Tensor) => Tensor {
  const op: Op<undefined> = {
    name,
    lowering: { kind: 'elementwise', expression: ([x]) => ({ text: text(x!) }) },
    vjp: vjp && (({ inputs: [x], outputs: [y] }, [dy]) => [dy && vjp(dy, x!, y!)]),
  };
  return (x) => emit(op, [x], undefined, x.shape);
}

type BinaryVjp = (dy: Tensor, a: Tensor, b: Tensor, y: Tensor) => readonly [() => Tensor, () => Tensor];

function binary(
  name: string,
  text: (a: string, b: string) => string,
  vjp?: BinaryVjp,
): (a: Operand, b: Operand) => Tensor {
  const op: Op<undefined> = {
    name,
    lowering: { kind: 'elementwise', expression: ([a, b]) => ({ text: text(a!, b!) }) },
    vjp:
      vjp &&
      (({ inputs, outputs }, [dy], needs) => {
        if (!dy) return [];
        const [a, b] = inputs as [Tensor, Tensor];
        const [da, db] = vjp(dy, a, b, outputs[0]!);
        return [needs[0] ? sumToSize(da(), a.shape) : undefined, needs[1] ? sumToSize(db(), b.shape) : undefined];
      }),
  };
  return (x, y) => {
    const a = typeof x === 'number' ? constant(x) : x;
    const b = typeof y === 'number' ? constant(y) : y;
    const shape = broadcastShapes(a.shape, b.shape);
    broadcastPattern(a.shape, shape);
    broadcastPattern(b.shape, shape);
    return emit(op, [a, b], undefined, shape);
  };
}

/** a + b, broadcast. @throws Error naming both shapes where they do not broadcast */
export const add = binary(
  'add',
  (a, b) => `${a} + ${b}`,
  (dy) => [() => dy, () => dy],
);
/** a − b, broadcast. @throws as `add` */
export const sub = binary(
  'sub',
  (a, b) => `${a} - ${b}`,
  (dy) => [() => dy, () => neg(dy)],
);
/** a · b element by element, broadcast. @throws as `add` */
export const mul = binary(
  'mul',
  (a, b) => `${a} * ${b}`,
  (dy, a, b) => [() => mul(dy, b), () => mul(dy, a)],
);
/** a / b, broadcast. @throws as `add` */
export const div = binary(
  'div',
  (a, b) => `${a} / ${b}`,
  (dy, _, b, y) => [() => div(dy, b), () => neg(div(mul(dy, y), b))],
);
/** The larger of a and b, broadcast; where they are equal, both get the whole gradient. @throws as `add` */
export const maximum = binary(
  'maximum',
  (a, b) => `greater(${a}, ${b})`,
  (dy, a, b) => [() => mul(dy, greaterEqual(a, b)), () => mul(dy, greaterEqual(b, a))],
);
/** The smaller of a and b, broadcast; where they are equal, both get the whole gradient. @throws as `add` */
export const minimum = binary(
  'minimum',
  (a, b) => `less(${a}, ${b})`,
  (dy, a, b) => [() => mul(dy, greaterEqual(b, a)), () => mul(dy, greaterEqual(a, b))],
);
/** 1 where a ≥ b, else 0. Not differentiable. */
export const greaterEqual = binary('greater_equal', (a, b) => `select(V(0.0), V(1.0), ${a} >= ${b})`);
/** 1 where a = b, else 0. Not differentiable. */
export const equal = binary('equal', (a, b) => `select(V(0.0), V(1.0), ${a} == ${b})`);

/** −x. */
export const neg = unary(
  'neg',
  (x) => `-${x}`,
  (dy) => neg(dy),
);
/** eˣ. */
export const exp = unary(
  'exp',
  (x) => `exp(${x})`,
  (dy, _, y) => mul(dy, y),
);
/** The natural logarithm of x > 0. */
export const log = unary(
  'log',
  (x) => `log(${x})`,
  (dy, x) => div(dy, x),
);
/** √x; the gradient is infinite at 0. */
export const sqrt = unary(
  'sqrt',
  (x) => `sqrt(${x})`,
  (dy, _, y) => div(dy, mul(y, 2)),
);
/** x². */
export const square = unary(
  'square',
  (x) => `${x} * ${x}`,
  (dy, x) => mul(dy, mul(x, 2)),
);
/** −1, 0 or 1. Not differentiable. */
export const sign = unary('sign', (x) => `sign(${x})`);
/** |x|, with subgradient 0 at 0. */
export const abs = unary(
  'abs',
  (x) => `abs(${x})`,
  (dy, x) => mul(dy, sign(x)),
);
/** The hyperbolic tangent, where eˣ overflows too. */
export const tanh = unary(
  'tanh',
  (x) => `tanh_safe(${x})`,
  (dy, _, y) => mul(dy, sub(1, square(y))),
);
/** max(x, 0), with subgradient 0 at 0. */
export const relu = unary(
  'relu',
  (x) => `relu(${x})`,
  (dy, x) => mul(dy, step(x)),
);
/** 1 where x > 0, else 0: the derivative of relu. Not differentiable. */
const step = unary('step', (x) => `select(V(0.0), V(1.0), ${x} > V(0.0))`);
/** GELU by the error function: x·Φ(x) (Hendrycks & Gimpel 2016; Hugging Face `gelu`). */
export const gelu = unary(
  'gelu',
  (x) => `gelu_erf(${x})`,
  (dy, x) => mul(dy, geluGrad(x)),
);
const geluGrad = unary('gelu_grad', (x) => `gelu_erf_grad(${x})`);
/** GELU by the tanh approximation (Hugging Face `gelu_new`, `gelu_pytorch_tanh`). */
export const geluTanh = unary(
  'gelu_tanh',
  (x) => `gelu_tanh(${x})`,
  (dy, x) => mul(dy, geluTanhGrad(x)),
);
const geluTanhGrad = unary('gelu_tanh_grad', (x) => `gelu_tanh_grad(${x})`);
/** SiLU, x·σ(x) (Elfwing et al. 2018; Hugging Face `silu`); times another product it is the gate of SwiGLU. */
export const silu = unary(
  'silu',
  (x) => `silu(${x})`,
  (dy, x) => mul(dy, siluGrad(x)),
);
const siluGrad = unary('silu_grad', (x) => `silu_grad(${x})`);
/** x, or 0 where x is NaN or infinite. Not differentiable. */
export const finiteOrZero = unary('finite_or_zero', (x) => `select(V(0.0), ${x}, abs(${x}) <= V(3.4e38))`);
/** 1 where x is NaN or infinite, else 0. Not differentiable. */
export const isNonFinite = unary('is_non_finite', (x) => `select(V(1.0), V(0.0), abs(${x}) <= V(3.4e38))`);
/** x itself under a new name: a copy, where one is needed. */
export const identity = unary(
  'identity',
  (x) => x,
  (dy) => dy,
);
/** x as a constant for gradients: nothing flows back. */
export const stopGradient = unary(
  'stop_gradient',
  (x) => x,
  () => undefined,
);

const selectOp: Op<undefined> = {
  name: 'select',
  lowering: { kind: 'elementwise', expression: ([c, a, b]) => ({ text: `select(${b}, ${a}, ${c} != V(0.0))` }) },
  vjp: ({ inputs }, [dy], needs) => {
    if (!dy) return [];
    const [c, a, b] = inputs as [Tensor, Tensor, Tensor];
    const da = needs[1] ? sumToSize(where(c, dy, 0), a.shape) : undefined;
    return [undefined, da, needs[2] ? sumToSize(where(c, 0, dy), b.shape) : undefined];
  },
};

/**
 * a where the condition is not 0, else b; all three broadcast. What is not chosen may be NaN. No gradient flows to the condition.
 * @throws as `add`
 */
export function where(condition: Tensor, a: Operand, b: Operand): Tensor {
  const [x, y] = [a, b].map((v) => (typeof v === 'number' ? constant(v) : v)) as [Tensor, Tensor];
  const shape = broadcastShapes(condition.shape, broadcastShapes(x.shape, y.shape));
  for (const operand of [condition, x, y]) broadcastPattern(operand.shape, shape);
  return emit(selectOp, [condition, x, y], undefined, shape);
}

/** What a step's random numbers are drawn from: u32 tensors of one element. */
export interface RandomState {
  readonly seed: Tensor;
  readonly step: Tensor;
  /** The place of the first token in the batch that a micro-batch is part of: it draws as it would there. */
  readonly firstToken?: Tensor | undefined;
}

interface DropoutAttrs {
  readonly rate: number;
  readonly stream: number;
  /** Elements of a token. */
  readonly cols: number;
}

const dropoutOp: Op<DropoutAttrs> = {
  name: 'dropout',
  lowering: {
    kind: 'elementwise',
    expression: ([x, seed, step, first], { attrs }, uid): ElementExpression => {
      const drawn = `${seed}_u, ${step}_u, p.stream_${uid}, p.rate_${uid}`;
      const params: Param[] = [
        { name: `stream_${uid}`, type: 'u32', value: attrs.stream },
        { name: `rate_${uid}`, type: 'f32', value: attrs.rate },
      ];
      if (first === undefined) return { text: `${x} * dropout_scale(index, ${drawn})`, params };
      const text = `${x} * dropout_from(${first}_u * p.token_${uid} + index, ${drawn})`;
      return { text, params: [...params, { name: `token_${uid}`, type: 'u32', value: attrs.cols }] };
    },
  },
  vjp: (node, [dy]) => [dy && emit(dropoutOp, [dy, ...node.inputs.slice(1)], node.attrs, dy.shape)],
};

/** An application of `dropout`. */
export interface Dropout extends DropoutAttrs {
  readonly x: Tensor;
  readonly random: readonly Tensor[];
}

/** How a tensor was dropped, if it was. */
export function dropoutOf({ node }: Tensor): Dropout | undefined {
  const attrs = attrsOf(dropoutOp, node);
  if (!attrs) return undefined;
  const [x, ...random] = node.inputs as [Tensor, ...Tensor[]];
  return { ...attrs, x, random };
}

/**
 * Inverted dropout: each element is 0 with probability `rate`, else divided by 1 − rate. The pattern is Philox 4x32-10 of
 * (seed, step, stream, element), so the backward pass draws it again instead of storing it, and a resumed run repeats it.
 * @param x f32 [tokens, features] where a micro-batch is to draw as the whole batch would
 * @param rate in [0, 1); 0 gives x itself
 * @param stream tells the dropouts of one step apart
 */
export function dropout(x: Tensor, rate: number, stream: number, random: RandomState): Tensor {
  const { seed, step, firstToken } = random;
  const inputs = [x, seed, step, ...(firstToken ? [firstToken] : [])];
  return rate === 0 ? x : emit(dropoutOp, inputs, { rate, stream, cols: x.shape.at(-1) ?? 1 }, x.shape);
}
