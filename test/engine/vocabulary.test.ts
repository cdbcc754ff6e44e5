/** Protects: large vocabularies — tables in parts, and the loss by chunks with its gradient — against float64, and its memory. */
import fc from 'fast-check';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { CompileOptions } from '../../engine/compile/program.ts';
import { Engine } from '../../engine/engine.ts';
import { gradients } from '../../engine/autograd/gradients.ts';
import type { Tensor } from '../../engine/graph/tensor.ts';
import { add, gelu, mul } from '../../engine/ops/elementwise.ts';
import { gatherRows } from '../../engine/ops/gather.ts';
import { matmul } from '../../engine/ops/matmul.ts';
import { checkpoint } from '../../engine/ops/saved-for-backward.ts';
import { fusedLinearCrossEntropy, linearCrossEntropies, vocabularyLogits } from '../../engine/ops/vocabulary.ts';
import { assertClose, randomValues } from '../../engine/testing/index.ts';

let engine: Engine;
beforeAll(async () => {
  engine = await Engine.open();
});
afterAll(() => engine.close());

/** A table of which at most `bytes` can be bound at once, in parts. */
function tableInParts(rows: number, cols: number, bytes: number): { data: Float32Array; parts: Tensor[] } {
  const data = randomValues(rows * cols, rows, 0.5);
  const table = engine.variable('table', [rows, cols], { kind: 'weights', data });
  return { data, parts: table.rowParts(bytes).map((part) => part.tensor) };
}

/** Loss and its gradient with the whole logits of a row at a time. */
function reference(hidden: Float32Array, table: Float32Array, labels: Int32Array, labelSmoothing = 0) {
  const width = hidden.length / labels.length;
  const classes = table.length / width;
  const labelled = labels.filter((label) => label >= 0).length;
  const gradient = new Float64Array(hidden.length);
  let loss = 0;
  labels.forEach((label, r) => {
    if (label < 0) return;
    const row = hidden.subarray(r * width, (r + 1) * width);
    const logits = Array.from({ length: classes }, (_, c) =>
      row.reduce((sum, x, d) => sum + x * table[c * width + d]!, 0),
    );
    const peak = Math.max(...logits);
    const lse = peak + Math.log(logits.reduce((sum, x) => sum + Math.exp(x - peak), 0));
    logits.forEach((x, c) => {
      const target = (c === label ? 1 - labelSmoothing : 0) + labelSmoothing / classes;
      loss += (target * (lse - x)) / labelled;
      const weight = (Math.exp(x - lse) - target) / labelled;
      for (let d = 0; d < width; d++) gradient[r * width + d]! += weight * table[c * width + d]!;
    });
  });
  return { loss, gradient };
}

const spec = (shape: number[]) => ({ shape, dtype: 'f32' as const });

describe('a table in parts', () => {
  it('is cut where bindings may begin, into nothing larger than the limit', () => {
    fc.assert(
      fc.property(fc.integer({ min: 1, max: 3000 }), fc.constantFrom(1, 3, 8, 48, 100), (rows, cols) => {
        const table = engine.variable('table', [rows, cols], { kind: 'weights' });
        const parts = table.rowParts(256 * cols);
        expect(parts.reduce((sum, { shape }) => sum + shape[0]!, 0)).toBe(rows);
        for (const { storage } of parts) {
          expect(storage.offset % 256).toBe(0);
          expect(storage.bytes).toBeLessThanOrEqual(256 * cols);
        }
        engine.free(table);
      }),
      { numRuns: 20 },
    );
  });

  it('gives the rows and the scores of the whole', async () => {
    const { data, parts } = tableInParts(150, 7, 2000);
    expect(parts.length).toBeGreaterThan(2);
    const numbers = Int32Array.of(0, 149, -1, 63, 64, 65, 150, 100);
    const ids = engine.variable('ids', [8], { dtype: 'i32', kind: 'state', data: numbers }).tensor;
    const rows = gatherRows(parts, ids);
    const found = await engine.evaluate(rows);
    const expected = [...numbers].flatMap((id) =>
      id < 0 || id > 149 ? Array<number>(7).fill(0) : [...data.subarray(id * 7, id * 7 + 7)],
    );
    expect([...found]).toEqual(expected);
    const scores = await Promise.all(vocabularyLogits(rows, parts).map((part) => engine.evaluate(part)));
    const of = (row: number) =>
      parts.flatMap(({ shape: [n] }, i) => [...scores[i]!.subarray(row * n!, (row + 1) * n!)]);
    for (const row of [1, 3, 7]) {
      const x = found.subarray(row * 7, row * 7 + 7);
      const whole = Array.from({ length: 150 }, (_, c) => x.reduce((sum, v, d) => sum + v * data[c * 7 + d]!, 0));
      assertClose(Float32Array.from(of(row)), whole, 1e-5);
    }
  });
});

it.each([1000, 32, 5])('losses of rows, %d at a time, equal float64', async (chunk) => {
  const [rows, width, classes] = [66, 7, 257];
  const { data, parts } = tableInParts(classes, width, 64 * width * 4);
  const values = randomValues(rows * width, 5);
  const labels = Int32Array.from({ length: rows }, (_, r) => (r % 4 === 3 ? -100 : (r * 31 + classes - 1) % classes));
  const given = engine.variable('labels', [rows], { dtype: 'i32', kind: 'state', data: labels }).tensor;
  const program = await engine.compile('losses', { x: spec([rows, width]) }, ({ x }) => ({
    outputs: { losses: linearCrossEntropies(x, parts, given, chunk) },
  }));
  program.run({ x: values });
  const expected = Array.from(labels, (label, r) => {
    const row = values.subarray(r * width, (r + 1) * width);
    return label < 0 ? 0 : reference(row, data, Int32Array.of(label)).loss;
  });
  assertClose(await program.read('losses'), expected, 1e-5);
  program.dispose();
});

describe('fusedLinearCrossEntropy', () => {
  it('and its gradient equal float64 for any cut of tokens and vocabulary', async () => {
    const cases = fc.record({
      rows: fc.constantFrom(1, 5, 66),
      width: fc.constantFrom(4, 7),
      classes: fc.constantFrom(3, 130, 257),
      chunk: fc.constantFrom(1000, 32, 5),
      inParts: fc.boolean(),
      labelSmoothing: fc.constantFrom(0, 0.1, 0.9),
    });
    await fc.assert(
      fc.asyncProperty(cases, async ({ rows, width, classes, chunk, inParts, labelSmoothing }) => {
        const { data, parts } = tableInParts(classes, width, inParts ? 64 * width * 4 : 2 ** 20);
        const values = randomValues(rows * width, 5);
        const labels = Int32Array.from({ length: rows }, (_, r) =>
          r % 4 === 3 ? -100 : (r * 31 + classes - 1) % classes,
        );
        const given = engine.variable('labels', [rows], { dtype: 'i32', kind: 'state', data: labels }).tensor;
        const program = await engine.compile('loss', { x: spec([rows, width]) }, ({ x }) => {
          const loss = fusedLinearCrossEntropy(x, parts, given, { chunkRows: chunk, labelSmoothing });
          return { outputs: { loss, gradient: gradients(mul(loss, 2), [x])[0] as Tensor } };
        });
        program.run({ x: values });
        const expected = reference(values, data, labels, labelSmoothing);
        assertClose(await program.read('loss'), [expected.loss], 1e-5);
        assertClose(
          await program.read('gradient'),
          expected.gradient.map((v) => 2 * v),
          1e-5,
        );
        program.dispose();
      }),
      {
        numRuns: 10,
        seed: 2,
        examples: [[{ rows: 66, width: 4, classes: 257, chunk: 32, inParts: true, labelSmoothing: 0.1 }]],
      },
    );
  });

  it('is 0, and so is its gradient, where no row is labelled', async () => {
    const { parts } = tableInParts(9, 4, 2 ** 20);
    const labels = engine.variable('labels', [3], { dtype: 'i32', kind: 'state', data: Int32Array.of(-1, -100, -5) });
    const program = await engine.compile('unlabelled', { x: spec([3, 4]) }, ({ x }) => {
      const loss = fusedLinearCrossEntropy(x, parts, labels.tensor);
      return { outputs: { loss, gradient: gradients(loss, [x])[0] as Tensor } };
    });
    program.run({ x: randomValues(12) });
    expect([...(await program.read('loss')), ...(await program.read('gradient'))].every((v) => v === 0)).toBe(true);
  });

  it.each([0, 0.1])(
    'needs the logits of one chunk at a time, in training and with smoothing %f',
    async (labelSmoothing) => {
      const [rows, width, classes, chunk] = [640, 8, 4000, 64];
      const { parts } = tableInParts(classes, width, 2 ** 20);
      const labels = engine.variable('labels', [rows], { dtype: 'i32', kind: 'state' }).tensor;
      const program = await engine.compile('memory', { x: spec([rows, width]) }, ({ x }) => {
        const loss = fusedLinearCrossEntropy(mul(x, 2), parts, labels, { chunkRows: chunk, labelSmoothing });
        return { outputs: { loss, gradient: gradients(loss, [x])[0] as Tensor } };
      });
      const logits = chunk * classes * 4;
      expect(program.memory.activations).toBeGreaterThan(logits);
      expect(program.memory.activations).toBeLessThan(1.1 * logits + 4 * rows * width * 4);
    },
  );

  it('gives the same gradients whatever the backward pass computes again', async () => {
    const { parts } = tableInParts(50, 8, 64 * 8 * 4);
    const labels = Int32Array.from({ length: 20 }, (_, i) => (i * 7) % 50);
    const given = engine.variable('labels', [20], { dtype: 'i32', kind: 'state', data: labels }).tensor;
    const run = async (options: CompileOptions): Promise<Float32Array> => {
      const inputs = { x: spec([20, 8]), w: spec([8, 8]) };
      const program = await engine.compile(
        'modes',
        inputs,
        ({ x, w }) => {
          const layer = (h: Tensor): Tensor => add(gelu(matmul(checkpoint(h), w)), h);
          return {
            outputs: {
              g: gradients(fusedLinearCrossEntropy(layer(layer(x)), parts, given, { chunkRows: 7 }), [w])[0] as Tensor,
            },
          };
        },
        options,
      );
      program.run({ x: randomValues(160, 1), w: randomValues(64, 2) });
      return program.read('g');
    };
    const expected = await run({ recompute: 'nothing' });
    for (const recompute of ['cheap', 'layers'] as const) assertClose(await run({ recompute }), expected, 1e-6);
    if (engine.traits.f16) assertClose(await run({ activations: 'f16' }), expected, 1e-2);
  });

  it('refuses a table that trains', () => {
    const labels = engine.variable('labels', [3], { dtype: 'i32', kind: 'state' }).tensor;
    const [x, w] = [spec([3, 4]), spec([5, 4])].map(
      ({ shape }) => engine.variable('x', shape, { kind: 'state' }).tensor,
    );
    const loss = fusedLinearCrossEntropy(x as Tensor, [w as Tensor], labels);
    expect(() => gradients(loss, [w as Tensor])).toThrow(/no gradient flows to the table/);
  });
});
