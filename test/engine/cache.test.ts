/** Protects: generation with a cache — one program, replayed for every token, gives what attention over the whole text gives. */
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { Engine } from '../../engine/engine.ts';
import { attention } from '../../engine/ops/attention.ts';
import { mul } from '../../engine/ops/elementwise.ts';
import { dynamicUpdateSlice } from '../../engine/ops/dynamic-update-slice.ts';
import { assertClose, randomValues } from '../../engine/testing/index.ts';

let engine: Engine;
beforeAll(async () => {
  engine = await Engine.open();
});
afterAll(() => engine.close());

const [BATCH, CAPACITY, HEADS, KV_HEADS, HEAD_DIM] = [2, 12, 4, 2, 8];
const SIZES = { batch: BATCH, heads: HEADS, kvHeads: KV_HEADS, headDim: HEAD_DIM, causal: true, scale: 0.4 };
const WIDTHS = { q: HEADS * HEAD_DIM, k: KV_HEADS * HEAD_DIM, v: KV_HEADS * HEAD_DIM };
/** The second sequence is padded on the left. */
const MASK = Int32Array.from({ length: BATCH * CAPACITY }, (_, i) => (i >= CAPACITY && i < CAPACITY + 2 ? 0 : 1));
const spec = (shape: number[], dtype: 'f32' | 'i32' = 'f32') => ({ shape, dtype });
const shapesOf = (seq: number) => ({
  q: spec([BATCH * seq, WIDTHS.q]),
  k: spec([BATCH * seq, WIDTHS.k]),
  v: spec([BATCH * seq, WIDTHS.v]),
});

/** Rows `from` … `from + count` of both sequences. */
function rowsOf(x: Float32Array, width: number, from: number, count: number): Float32Array {
  const sequence = x.length / BATCH;
  return Float32Array.from({ length: BATCH * count * width }, (_, i) => {
    const b = Math.floor(i / (count * width));
    return x[b * sequence + from * width + (i % (count * width))]!;
  });
}

describe('attention over a cache', () => {
  it('equals attention over the whole, for a prompt and then token by token, without a new buffer', async () => {
    const mask = engine.variable('mask', [BATCH, CAPACITY], { dtype: 'i32', kind: 'state', data: MASK }).tensor;
    const cache = (name: string) =>
      engine.variable(name, [BATCH * CAPACITY, WIDTHS.k], {
        kind: 'state',
        data: randomValues(BATCH * CAPACITY * WIDTHS.k, 9),
      });
    const [keys, values] = [cache('keys'), cache('values')];
    const compile = (seq: number) =>
      engine.compile(`cached ${seq}`, { ...shapesOf(seq), position: spec([1], 'i32') }, ({ q, k, v, position }) => {
        const written = { batch: BATCH, position };
        const [k1, v1] = [
          dynamicUpdateSlice(keys.tensor, mul(k, 1), written),
          dynamicUpdateSlice(values.tensor, v, written),
        ];
        const out = attention(q, k1, v1, mask, { ...SIZES, seq, keys: CAPACITY }, undefined, position);
        return {
          outputs: { out },
          updates: [
            { target: keys, value: k1 },
            { target: values, value: v1 },
          ],
        };
      });
    const [prompt, token] = [await compile(5), await compile(1)];
    const whole = await engine.compile('whole', shapesOf(CAPACITY), ({ q, k, v }) => ({
      outputs: { out: attention(q, k, v, mask, { ...SIZES, seq: CAPACITY }) },
    }));
    const data = {
      q: randomValues(BATCH * CAPACITY * WIDTHS.q, 1),
      k: randomValues(BATCH * CAPACITY * WIDTHS.k, 2),
      v: randomValues(BATCH * CAPACITY * WIDTHS.v, 3),
    };
    whole.run(data);
    const expected = await whole.read('out');
    const step = async (program: typeof token, from: number, count: number) => {
      const part = (name: keyof typeof WIDTHS) => rowsOf(data[name], WIDTHS[name], from, count);
      program.run({ q: part('q'), k: part('k'), v: part('v'), position: Int32Array.of(from) });
      assertClose(await program.read('out'), rowsOf(expected, WIDTHS.q, from, count), 1e-5);
    };
    await step(prompt, 0, 5);
    await step(token, 5, 1);
    const { created } = engine.memory;
    for (let t = 6; t < CAPACITY; t++) await step(token, t, 1);
    expect(engine.memory.created).toBe(created);
    expect(token.dispatches.map(({ kernel }) => kernel.bindings.find(({ name }) => name === 'into')?.role)).toContain(
      'inout',
    );
    assertClose(await engine.read(keys), data.k, 1e-6);
  });
});
