/** Room: bench/suites. The kernels of decoders that are timed alone, at the shapes of training and of one generated token. */
import { gradients } from '../../engine/autograd/gradients.ts';
import type { Tensor } from '../../engine/graph/tensor.ts';
import { attention } from '../../engine/ops/attention.ts';
import { rmsNorm } from '../../engine/ops/rmsnorm.ts';
import { rotary, rotaryTable } from '../../engine/ops/rotary.ts';
import { fusedLinearCrossEntropy } from '../../engine/ops/vocabulary.ts';
import { assertClose } from '../measure/closeness.ts';
import * as reference from '../measure/reference.ts';
import { checkSome, f32, i32, pullback, TOLERANCE, type InputOf, type KernelCase } from './kernel-cases.ts';
import { randomData } from '../measure/data.ts';
import type { KernelSizes } from './kernel-cases.ts';

type Inputs = Readonly<Record<string, Tensor>>;

const EPS = 1e-5;

export function decoderCases(sizes: KernelSizes): KernelCase[] {
  return [...attentions(sizes), oneToken(sizes), ...norms(sizes), positions(sizes), loss(sizes)];
}

/** Two query heads to a key head. */
function grouped({ batch, seq, hidden, heads }: KernelSizes) {
  const [headDim, kvHeads] = [hidden / heads, heads / 2];
  const [wide, narrow] = [
    [batch * seq, hidden],
    [batch * seq, hidden / 2],
  ] as const;
  const mask: InputOf = { shape: [batch, seq], data: new Int32Array(batch * seq).fill(1), dtype: 'i32' };
  return {
    spec: { batch, seq, heads, kvHeads, headDim, causal: true, scale: 1 / Math.sqrt(headDim) },
    inputs: { q: f32(wide, 31), k: f32(narrow, 32), v: f32(narrow, 33), mask },
    label: `${batch}×${heads}/${kvHeads}×${seq}×${headDim}`,
  };
}

function attentions(sizes: KernelSizes): KernelCase[] {
  const { spec, inputs, label } = grouped(sizes);
  const { seq } = spec;
  const build = (t: Inputs): Tensor => attention(t.q!, t.k!, t.v!, t.mask!, spec);
  const dy = f32(inputs.q.shape, 34);
  /** Of the first sequence. */
  const first = ({ shape, data }: typeof inputs.q): Float32Array => data.subarray(0, seq * shape[1]!);
  const [q, k, v] = [first(inputs.q), first(inputs.k), first(inputs.v)];
  return [
    {
      name: `causal attention ${label}`,
      family: 'other',
      inputs,
      build: (t) => ({ o: build(t) }),
      check: ({ o }) =>
        assertClose('causal attention', o!.subarray(0, q.length), reference.attention(q, k, v, spec), TOLERANCE),
    },
    {
      name: `causal attention backward ${label}`,
      family: 'other',
      inputs: { ...inputs, dy },
      build: (t) => {
        const [dq, dk, dv] = pullback(build(t), t.dy!, [true, true, true, false]);
        return { dq: dq!, dk: dk!, dv: dv! };
      },
      check({ dq, dk, dv }) {
        const along = (found: Float32Array, of: Float32Array, f: (x: reference.Values) => Float64Array): void => {
          const u = randomData(of.length, 15);
          const projected = reference.dot(
            of.length,
            (i) => found[i]!,
            (i) => u[i]!,
          );
          const expected = reference.directional(f, of, u, first(dy));
          assertClose('causal attention backward', [projected], [expected], 1e-3);
        };
        along(dq!, q, (x) => reference.attention(x, k, v, spec));
        along(dk!, k, (x) => reference.attention(q, x, v, spec));
        along(dv!, v, (x) => reference.attention(q, k, x, spec));
      },
    },
  ];
}

/** The last token of every sequence against a full cache. */
function oneToken(sizes: KernelSizes): KernelCase {
  const { spec, inputs, label } = grouped(sizes);
  const { batch, seq } = spec;
  const hidden = inputs.q.shape[1]!;
  const q = f32([batch, hidden], 35);
  const position: InputOf = { shape: [1], data: Int32Array.of(seq - 1), dtype: 'i32' };
  return {
    name: `attention of one token ${label}`,
    family: 'other',
    inputs: { ...inputs, q, position },
    build: (t) => ({
      o: attention(t.q!, t.k!, t.v!, t.mask!, { ...spec, seq: 1, keys: seq }, undefined, t.position),
    }),
    check({ o }) {
      const queries = new Float32Array(seq * hidden);
      queries.set(q.data.subarray(0, hidden), (seq - 1) * hidden);
      const expected = reference.attention(queries, inputs.k.data, inputs.v.data, spec).subarray((seq - 1) * hidden);
      assertClose('attention of one token', o!.subarray(0, hidden), expected, TOLERANCE);
    },
  };
}

function norms({ batch, seq, hidden: d }: KernelSizes): KernelCase[] {
  const tokens = batch * seq;
  const [x, gamma, dy] = [f32([tokens, d], 36), f32([d], 37), f32([tokens, d], 38)];
  const norm = (values: reference.Values): Float64Array => reference.rmsNorm(values, gamma.data, d, EPS);
  const u = randomData(tokens * d, 39);
  return [
    {
      name: `RMS norm ${tokens}×${d}`,
      family: 'other',
      inputs: { x, gamma },
      build: (t) => ({ y: rmsNorm(t.x!, t.gamma!, EPS) }),
      check: ({ y }) => assertClose('RMS norm', y!, norm(x.data), TOLERANCE),
    },
    {
      name: `RMS norm backward ${tokens}×${d}`,
      family: 'other',
      inputs: { x, gamma, dy },
      build: (t) => ({ dx: pullback(rmsNorm(t.x!, t.gamma!, EPS), t.dy!, [true, false])[0]! }),
      check({ dx }) {
        const along = reference.dot(
          u.length,
          (i) => u[i]!,
          (i) => dx![i]!,
        );
        assertClose('RMS norm backward', [along], [reference.directional(norm, x.data, u, dy.data)], 1e-3);
      },
    },
  ];
}

function positions({ batch, seq, hidden, heads }: KernelSizes): KernelCase {
  const tokens = batch * seq;
  const half = hidden / heads / 2;
  const frequencies = Array.from({ length: half }, (_, i) => 10_000 ** (-i / half));
  const x = f32([tokens, hidden], 41);
  const table: InputOf = { shape: [seq, 2 * half], data: rotaryTable(seq, frequencies), dtype: 'f32' };
  const ids: InputOf = { shape: [tokens], data: Int32Array.from({ length: tokens }, (_, i) => i % seq), dtype: 'i32' };
  return {
    name: `rotary positions ${tokens}×${heads}×${2 * half}`,
    family: 'other',
    inputs: { x, table, ids },
    build: (t) => ({ y: rotary(t.x!, t.table!, t.ids!) }),
    check: ({ y }) =>
      checkSome('rotary positions', y!, (i) => {
        const [pair, turned] = [i % half, i % (2 * half) >= half];
        const angle = (Math.floor(i / hidden) % seq) * frequencies[pair]!;
        const other = x.data[turned ? i - half : i + half]!;
        return x.data[i]! * Math.cos(angle) + (turned ? other : -other) * Math.sin(angle);
      }),
  };
}

function loss({ batch, seq, hidden, vocab }: KernelSizes): KernelCase {
  const rows = batch * seq;
  const [x, table, labels] = [f32([rows, hidden], 42), f32([vocab, hidden], 43, 0.1), i32(rows, vocab)];
  return {
    name: `language-model loss with gradient ${rows}×${hidden}×${vocab}`,
    family: 'other',
    inputs: { x, table, labels },
    build(t) {
      const mean = fusedLinearCrossEntropy(t.x!, [t.table!], t.labels!);
      return { loss: mean, dx: gradients(mean, [t.x!])[0]! };
    },
    check({ dx }) {
      const at = (c: number, d: number): number => table.data[c * hidden + d]!;
      for (const row of [0, Math.floor(rows / 2), rows - 1]) {
        const own = x.data.subarray(row * hidden, (row + 1) * hidden);
        const logits = Float64Array.from({ length: vocab }, (_, c) =>
          reference.dot(
            hidden,
            (d) => own[d]!,
            (d) => at(c, d),
          ),
        );
        const weights = reference.softmax(logits);
        weights[labels.data[row]!]! -= 1;
        const expected = Float64Array.from({ length: hidden }, (_, d) =>
          reference.dot(
            vocab,
            (c) => weights[c]! / rows,
            (c) => at(c, d),
          ),
        );
        assertClose('language-model loss', dx!.subarray(row * hidden, (row + 1) * hidden), expected, TOLERANCE);
      }
    },
  };
}
