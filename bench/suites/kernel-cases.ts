/** Room: bench/suites. The kernels that are timed alone: each op of the engine at the shapes of training, with a check in float64. */
import type { DType } from '../../kernels/kernel.ts';
import type { Tensor } from '../../engine/graph/tensor.ts';
import { f32ToF16 } from '../../engine/io/float16.ts';
import { attention } from '../../engine/ops/attention.ts';
import { copy } from '../../engine/ops/copy.ts';
import { crossEntropy } from '../../engine/ops/cross-entropy.ts';
import { geluTanh } from '../../engine/ops/elementwise.ts';
import { gatherRows } from '../../engine/ops/gather.ts';
import { gradients } from '../../engine/autograd/gradients.ts';
import { layerNorm } from '../../engine/ops/layernorm.ts';
import { reshape } from '../../engine/ops/leaf.ts';
import { maskColumns } from '../../engine/ops/mask.ts';
import { matmul } from '../../engine/ops/matmul.ts';
import { sumCols } from '../../engine/ops/reduce.ts';
import { assertClose } from '../measure/closeness.ts';
import { randomData } from '../measure/data.ts';
import * as reference from '../measure/reference.ts';
import type { Values } from '../measure/reference.ts';
import type { PeerWork } from '../peers/peer.ts';

type Outputs = Readonly<Record<string, Float32Array>>;

export interface InputOf {
  readonly shape: readonly number[];
  readonly data: Float32Array | Int32Array | Uint16Array;
  readonly dtype: DType;
}

export interface KernelCase {
  readonly name: string;
  readonly family: 'product' | 'other';
  readonly inputs: Readonly<Record<string, InputOf>>;
  build(t: Readonly<Record<string, Tensor>>): Record<string, Tensor>;
  /** @throws UserError where the outputs are wrong */
  check(outputs: Outputs): void;
  /** The same work for peers; their output names are those of `build`. */
  readonly work?: PeerWork;
}

/** Sizes of the training step that the shapes come from. */
export interface KernelSizes {
  readonly batch: number;
  readonly seq: number;
  readonly hidden: number;
  readonly heads: number;
  readonly neurons: number;
  readonly rank: number;
  readonly square: number;
  readonly vocab: number;
}

/** Of results, relative to the largest. */
export const TOLERANCE = 2e-4;
const CHECKED = 64;

export function f32(shape: readonly number[], seed: number, scale = 1): InputOf & { readonly data: Float32Array } {
  const size = shape.reduce((a, b) => a * b, 1);
  return { shape, data: randomData(size, seed).map((x) => x * scale), dtype: 'f32' };
}

export function i32(length: number, below: number): InputOf & { readonly data: Int32Array } {
  const data = Int32Array.from(randomData(length, 9), (x) => Math.floor(((x + 1) / 2) * below));
  return { shape: [length], data, dtype: 'i32' };
}

/** Gradients of one op's output with respect to its inputs, given the output's; reshapes after the op are seen through. */
export function pullback(y: Tensor, dy: Tensor, needs: readonly boolean[]): (Tensor | undefined)[] {
  const { node } = y;
  const [inner] = node.inputs;
  if (inner && node.op.name === 'reshape') return pullback(inner, reshape(dy, inner.shape), needs);
  const cotangents = node.outputs.map((output) => (output === y ? dy : undefined));
  return [...(node.op.vjp?.(node, cotangents, needs) ?? [])];
}

/** Compares some elements spread over an output. */
export function checkSome(what: string, found: Values, expected: (i: number) => number): void {
  const places = Array.from({ length: CHECKED }, (_, i) =>
    Math.floor((i * 0.6180339887 * found.length) % found.length),
  );
  assertClose(
    what,
    places.map((i) => found[i]!),
    places.map(expected),
    TOLERANCE,
  );
}

interface ProductLayout {
  readonly transposeA?: boolean;
  readonly transposeB?: boolean;
  readonly half?: boolean;
}

/** C[m,n] from k; a is [m,k] or [k,m], b is [k,n] or [n,k]. */
function product(label: string, m: number, k: number, n: number, layout: ProductLayout = {}): KernelCase {
  const { transposeA = false, transposeB = false, half = false } = layout;
  const name = `${label} ${m}×${k}×${n}`;
  const a = f32(transposeA ? [k, m] : [m, k], 1);
  const b = f32(transposeB ? [n, k] : [k, n], 2);
  const rounded = half ? f32ToF16(b.data) : undefined;
  const at = {
    a: (row: number, i: number): number => a.data[transposeA ? i * m + row : row * k + i]!,
    b: (i: number, col: number): number => b.data[transposeB ? col * k + i : i * n + col]!,
  };
  const peerInputs = { a: { shape: a.shape, data: a.data }, b: { shape: b.shape, data: b.data } };
  return {
    name,
    family: 'product',
    inputs: { a, b: rounded ? { shape: b.shape, data: rounded, dtype: 'f16' } : b },
    build: (t) => ({ c: matmul(t.a!, t.b!, { transposeA, transposeB }) }),
    check({ c }) {
      const tolerance = half ? 2e-3 : TOLERANCE;
      const places = Array.from({ length: CHECKED }, (_, i) => Math.floor((i * 0.6180339887 * m * n) % (m * n)));
      const expected = places.map((i) =>
        reference.dot(
          k,
          (j) => at.a(Math.floor(i / n), j),
          (j) => at.b(j, i % n),
        ),
      );
      assertClose(
        name,
        places.map((i) => c![i]!),
        expected,
        tolerance,
      );
    },
    work: transposeA || half ? undefined : { name: 'matmul', inputs: peerInputs, settings: { transposeB } },
  };
}

function products(s: KernelSizes, half: boolean): KernelCase[] {
  const tokens = s.batch * s.seq;
  const { hidden: d, neurons: f, rank: r, square: q } = s;
  return [
    product('A·B', q, q, q),
    product('FFN in, x·Wᵀ', tokens, d, f, { transposeB: true }),
    product('FFN out, x·Wᵀ', tokens, f, d, { transposeB: true }),
    product('input gradient, dy·W', tokens, f, d),
    product('weight gradient, dyᵀ·x', f, tokens, d, { transposeA: true }),
    product('LoRA down, x·Aᵀ', tokens, d, r, { transposeB: true }),
    product('LoRA up, h·Bᵀ', tokens, r, d, { transposeB: true }),
    product('LoRA gradient, dyᵀ·h', d, tokens, r, { transposeA: true }),
    ...(half ? [product('FFN in, W in f16', tokens, d, f, { transposeB: true, half: true })] : []),
  ];
}

function rowwise(s: KernelSizes): KernelCase[] {
  const tokens = s.batch * s.seq;
  const { hidden: d, neurons: f } = s;
  const wide = f32([tokens, f], 3, 2);
  const x = f32([tokens, d], 4);
  const [gamma, beta, dy] = [f32([d], 5), f32([d], 6), f32([tokens, d], 7)];
  const eps = 1e-5;
  const norm = (values: Values): Float64Array => reference.layerNorm(values, gamma.data, beta.data, d, eps);
  const u = randomData(tokens * d, 8);
  return [
    {
      name: `GELU ${tokens}×${f}`,
      family: 'other',
      inputs: { x: wide },
      build: (t) => ({ y: geluTanh(t.x!) }),
      check: ({ y }) => checkSome('GELU', y!, (i) => reference.geluTanh(wide.data[i]!)),
      work: { name: 'gelu', inputs: { x: wide }, settings: {} },
    },
    {
      name: `layer norm ${tokens}×${d}`,
      family: 'other',
      inputs: { x, gamma, beta },
      build: (t) => ({ y: layerNorm(t.x!, t.gamma!, t.beta!, eps) }),
      check: ({ y }) => assertClose('layer norm', y!, norm(x.data), TOLERANCE),
      work: { name: 'layer_norm', inputs: { x, gamma, beta }, settings: { eps } },
    },
    {
      name: `layer norm backward ${tokens}×${d}`,
      family: 'other',
      inputs: { x, gamma, beta, dy },
      build: (t) => ({ dx: pullback(layerNorm(t.x!, t.gamma!, t.beta!, eps), t.dy!, [true, false, false])[0]! }),
      check({ dx }) {
        const along = reference.dot(
          u.length,
          (i) => u[i]!,
          (i) => dx![i]!,
        );
        assertClose('layer norm backward', [along], [reference.directional(norm, x.data, u, dy.data)], 1e-3);
      },
    },
    {
      name: `layer norm backward with weights ${tokens}×${d}`,
      family: 'other',
      inputs: { x, gamma, beta, dy },
      build: (t) => {
        const [dx, dgamma, dbeta] = pullback(layerNorm(t.x!, t.gamma!, t.beta!, eps), t.dy!, [true, true, true]);
        return { dx: dx!, dgamma: dgamma!, dbeta: dbeta! };
      },
      check({ dgamma, dbeta }) {
        const y = norm(x.data);
        const column = (value: (i: number) => number) => (col: number) =>
          reference.dot(
            tokens,
            (row) => value(row * d + col),
            () => 1,
          );
        const normal = (i: number): number => (y[i]! - beta.data[i % d]!) / gamma.data[i % d]!;
        checkSome(
          'gradient of gamma',
          dgamma!,
          column((i) => dy.data[i]! * normal(i)),
        );
        checkSome(
          'gradient of beta',
          dbeta!,
          column((i) => dy.data[i]!),
        );
      },
    },
    {
      name: `bias gradient ${tokens}×${f}`,
      family: 'other',
      inputs: { x: wide },
      build: (t) => ({ y: sumCols(t.x!, tokens, f) }),
      check: ({ y }) =>
        checkSome('bias gradient', y!, (col) =>
          reference.dot(
            tokens,
            (row) => wide.data[row * f + col]!,
            () => 1,
          ),
        ),
    },
    maskGradient(tokens, f),
    {
      name: `copy ${tokens}×${f}`,
      family: 'other',
      inputs: { x: wide },
      build: (t) => ({ y: copy(t.x!) }),
      check: ({ y }) => checkSome('copy', y!, (i) => wide.data[i]!),
    },
  ];
}

function maskGradient(rows: number, cols: number): KernelCase {
  const [x, m, dy] = [f32([rows, cols], 3), f32([cols], 5), f32([rows, cols], 7)];
  return {
    name: `FFN mask backward ${rows}×${cols}`,
    family: 'other',
    inputs: { x, m, dy },
    build: (t) => {
      const [dx, dm] = pullback(maskColumns(t.x!, t.m!), t.dy!, [true, true]);
      return { dx: dx!, dm: dm! };
    },
    check({ dx, dm }) {
      checkSome('gradient of masked values', dx!, (i) => dy.data[i]! * m.data[i % cols]!);
      const sum = (col: number): number =>
        reference.dot(
          rows,
          (row) => dy.data[row * cols + col]!,
          (row) => x.data[row * cols + col]!,
        );
      checkSome('gradient of a mask', dm!, sum);
    },
  };
}

function attentions({ batch, seq, hidden, heads }: KernelSizes): KernelCase[] {
  const headDim = hidden / heads;
  const shape = [batch * seq, hidden];
  const [q, k, v, dy] = [f32(shape, 11), f32(shape, 12), f32(shape, 13), f32(shape, 14)];
  const mask: InputOf = { shape: [batch, seq], data: new Int32Array(batch * seq).fill(1), dtype: 'i32' };
  const scale = 1 / Math.sqrt(headDim);
  const spec = { batch, seq, heads, headDim, causal: false, scale };
  const label = `${batch}×${heads}×${seq}×${headDim}`;
  const size = seq * hidden;
  const row = ({ data }: { readonly data: Float32Array }): Float32Array => data.subarray(0, size);
  const sizes = { seq, heads, headDim };
  const build = (t: Readonly<Record<string, Tensor>>): Tensor => attention(t.q!, t.k!, t.v!, t.mask!, spec);
  const rows = (t: { readonly data: Float32Array }) => ({ shape: [batch, seq, heads, headDim], data: t.data });
  return [
    {
      name: `attention ${label}`,
      family: 'other',
      inputs: { q, k, v, mask },
      build: (t) => ({ o: build(t) }),
      check: ({ o }) =>
        assertClose('attention', o!.subarray(0, size), reference.attention(row(q), row(k), row(v), sizes), TOLERANCE),
      work: { name: 'attention', inputs: { q: rows(q), k: rows(k), v: rows(v) }, settings: { scale } },
    },
    {
      name: `attention backward ${label}`,
      family: 'other',
      inputs: { q, k, v, dy, mask },
      build: (t) => {
        const [dq, dk, dv] = pullback(build(t), t.dy!, [true, true, true, false]);
        return { dq: dq!, dk: dk!, dv: dv! };
      },
      check({ dq, dk, dv }) {
        const u = randomData(size, 15);
        const along = (g: Float32Array): number =>
          reference.dot(
            size,
            (i) => g[i]!,
            (i) => u[i]!,
          );
        const expected = [
          reference.directional((x) => reference.attention(x, row(k), row(v), sizes), row(q), u, row(dy)),
          reference.directional((x) => reference.attention(row(q), x, row(v), sizes), row(k), u, row(dy)),
          reference.directional((x) => reference.attention(row(q), row(k), x, sizes), row(v), u, row(dy)),
        ];
        assertClose('attention backward', [along(dq!), along(dk!), along(dv!)], expected, 1e-3);
      },
    },
  ];
}

function vocabulary({ batch, seq, hidden, vocab }: KernelSizes): KernelCase[] {
  // Masked language modelling predicts about 15 % of the tokens.
  const rows = Math.ceil(0.15 * batch * seq);
  const [logits, labels, ids] = [f32([rows, vocab], 21, 3), i32(rows, vocab), i32(batch * seq, vocab)];
  const table = f32([vocab, hidden], 22);
  const probability = (i: number): number => {
    const row = Math.floor(i / vocab);
    return reference.softmax(logits.data.subarray(row * vocab, (row + 1) * vocab))[i % vocab]!;
  };
  return [
    {
      name: `softmax cross-entropy with gradient ${rows}×${vocab}`,
      family: 'other',
      inputs: { logits, labels },
      build(t) {
        const loss = crossEntropy(t.logits!, t.labels!);
        return { loss, dlogits: gradients(loss, [t.logits!])[0]! };
      },
      check({ dlogits }) {
        checkSome('softmax cross-entropy', dlogits!, (i) => {
          const hit = labels.data[Math.floor(i / vocab)] === i % vocab ? 1 : 0;
          return (probability(i) - hit) / rows;
        });
      },
      work: { name: 'softmax_cross_entropy', inputs: { logits, labels }, settings: {} },
    },
    {
      name: `embedding ${batch * seq}×${hidden} of ${vocab}`,
      family: 'other',
      inputs: { table, ids },
      build: (t) => ({ y: gatherRows(t.table!, t.ids!) }),
      check: ({ y }) =>
        checkSome('embedding', y!, (i) => table.data[ids.data[Math.floor(i / hidden)]! * hidden + (i % hidden)]!),
    },
  ];
}

/** @param half whether the device computes with f16 storage */
export function kernelCases(sizes: KernelSizes, half: boolean): KernelCase[] {
  return [...products(sizes, half), ...rowwise(sizes), ...attentions(sizes), ...vocabulary(sizes)];
}
