/** Rotary positions against complex rotation in float64: any width, both directions, in place, ids outside the table. */
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { rotary, type RotarySpec } from '../../kernels/rotary.ts';
import { rotaryTable } from '../../engine/ops/rotary.ts';
import { assertClose, randomValues } from '../../engine/testing/index.ts';
import { openTestDevice } from './harness.ts';

const gpu = await openTestDevice();

const frequencies = (headDim: number) => Array.from({ length: headDim / 2 }, (_, i) => 10000 ** ((-2 * i) / headDim));

/** Each pair as a complex number times e^(i·position·frequency). */
function reference({ heads, headDim, positions, inverse }: RotarySpec, x: Float32Array, ids: Int32Array) {
  const half = headDim / 2;
  const y = new Float64Array(x.length);
  ids.forEach((id, row) => {
    const position = Math.min(Math.max(id, 0), positions - 1);
    frequencies(headDim).forEach((frequency, i) => {
      const angle = (inverse ? -1 : 1) * position * frequency;
      for (let h = 0; h < heads; h++) {
        const at = (row * heads + h) * headDim + i;
        const [a, b] = [x[at]!, x[at + half]!];
        y[at] = a * Math.cos(angle) - b * Math.sin(angle);
        y[at + half] = a * Math.sin(angle) + b * Math.cos(angle);
      }
    });
  });
  return y;
}

describe('rotary', () => {
  it('turns every pair by its position, and back', async () => {
    const specs = fc.record({
      rows: fc.constantFrom(1, 2, 7, 65),
      heads: fc.constantFrom(1, 3, 4),
      headDim: fc.constantFrom(2, 4, 6, 8, 16, 64),
      positions: fc.constantFrom(1, 5, 300),
      inverse: fc.boolean(),
    });
    await fc.assert(
      fc.asyncProperty(specs, fc.boolean(), async (spec, software) => {
        const { rows, heads, headDim, positions } = spec;
        const size = rows * heads * headDim;
        const x = randomValues(size, size);
        const ids = Int32Array.from({ length: rows }, (_, i) => ((i * 37) % (positions + 2)) - 1);
        const table = rotaryTable(positions, frequencies(headDim));
        const expected = reference(spec, x, ids);
        const traits = { ...gpu.traits, software };
        const { y } = await gpu.run(rotary(spec, traits), { x, table, ids }, { y: size });
        assertClose(y!, expected, 4e-5);
        const { x: over } = await gpu.run(rotary(spec, traits, true), { x, table, ids }, {});
        expect(over).toEqual(y);
      }),
      { numRuns: 20, seed: 6 },
    );
  });
});
