/** Protects: variables whose rows are stored longer than the host knows them. */
import fc from 'fast-check';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { Engine } from '../../engine/engine.ts';
import { sizeOf } from '../../engine/graph/shape.ts';
import { padded, unpadded } from '../../engine/padding.ts';

let engine: Engine;
beforeAll(async () => {
  engine = await Engine.open();
});
afterAll(() => engine.close());

const shapes = fc.array(fc.record({ size: fc.nat(6), more: fc.nat(3) }), { minLength: 1, maxLength: 2 });

describe('padding', () => {
  it('puts zeros at the end of each dimension, and takes them away again', () => {
    fc.assert(
      fc.property(shapes, (dimensions) => {
        const shape = dimensions.map(({ size }) => size);
        const stored = dimensions.map(({ size, more }) => size + more);
        const data = Float32Array.from({ length: sizeOf(shape) }, (_, i) => i + 1);
        const wide = padded(data, shape, stored);
        expect(wide).toHaveLength(sizeOf(stored));
        const [rowsOfIt, columns] = shape.length === 1 ? [1, shape[0]!] : [shape[0]!, shape[1]!];
        const width = stored.at(-1)!;
        wide.forEach((value, i) => {
          const [row, column] = [Math.floor(i / width), i % width];
          const inside = row < rowsOfIt && column < columns;
          expect(value).toBe(inside ? row * columns + column + 1 : 0);
        });
        expect(unpadded(wide, shape, stored)).toEqual(data);
      }),
    );
  });

  it('is not seen by who writes and reads a variable, and is what a graph computes with', async () => {
    const options = { kind: 'weights', stored: [4, 4] } as const;
    const data = Float32Array.of(1, 2, 3, 4, 5, 6);
    const variable = engine.variable('w', [2, 3], { ...options, data });
    expect(variable.storage.bytes).toBe(64);
    expect(await engine.read(variable)).toEqual(data);
    expect(await engine.evaluate(variable.tensor)).toEqual(padded(data, [2, 3], [4, 4]));
    const [a, b] = engine.makeContiguous([variable, engine.variable('v', [2, 3], options)]);
    expect(await engine.read(a!)).toEqual(data);
    expect(b!.stored).toEqual([4, 4]);
    engine.write(b!, data);
    expect(await engine.read(b!)).toEqual(data);
    for (const one of [a!, b!]) engine.free(one);
  });
});
