/**
 * Protects: scores of heads and neurons beside their masks (docs/method.md §4). Which weights belong to a head or a neuron, shared key/value
 * heads too, is what slicing cuts; norms are those of float64 sums.
 */
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { LayerShape, Role } from '../../models/architecture.ts';
import { unitScores } from '../../pruning/unit-scores.ts';
import { layerSquares } from '../../pruning/weight-squares.ts';

/** Values that are told apart by what they are added to. */
const powers = (count: number, from = 0): Float32Array =>
  Float32Array.from({ length: count }, (_, i) => 2 ** (from + i));

const squaresOf = (shape: LayerShape, headDim: number, values: Partial<Record<Role, Float32Array>>) =>
  layerSquares(
    shape,
    headDim,
    Object.entries(values).map(([role, of]) => ({ role: role as Role, values: of })),
  );

describe('the weights of a layer', () => {
  it('are those of a head: its rows, and its columns of the output', () => {
    const shape = { heads: 2, kvHeads: 2, neurons: 0 };
    const values = { query: powers(4), key: powers(4, 4), value: powers(4, 8), attentionOutput: powers(4, 12) };
    const { heads, contextColumns } = squaresOf(shape, 2, values);
    expect(heads).toEqual([0x3333, 0xcccc]);
    expect(contextColumns).toEqual([...powers(4, 12)]);
  });

  it('that query heads share count for each of them', () => {
    const values = { query: powers(4), key: powers(2, 4), value: powers(2, 6), attentionOutput: powers(4, 8) };
    const { heads } = squaresOf({ heads: 4, kvHeads: 2, neurons: 0 }, 1, values);
    expect(heads).toEqual([0x151, 0x252, 0x4a4, 0x8a8]);
    const irregular = { heads: 4, kvHeads: 2, kvHeadOf: [0, 1, 1, 1], neurons: 0 };
    expect(squaresOf(irregular, 1, values).heads).toEqual([0x151, 0x2a2, 0x4a4, 0x8a8]);
  });

  it('are found in one matrix of query, key and value', () => {
    const values = { queryKeyValue: powers(4), attentionOutput: powers(2, 4) };
    expect(squaresOf({ heads: 2, kvHeads: 1, neurons: 0 }, 1, values).heads).toEqual([0x1d, 0x2e]);
  });

  it('are those of a neuron: rows of the first matrices, a column of the second, not the zeros that fill them up', () => {
    const values = { gate: powers(4), up: powers(4, 4), down: powers(4, 8) };
    const { neurons, neuronColumns } = squaresOf({ heads: 0, kvHeads: 0, neurons: 3 }, 1, values);
    expect(neurons).toEqual([0x111, 0x222, 0x444]);
    expect(neuronColumns).toEqual([...powers(3, 8)]);
  });
});

describe('scores', () => {
  const shape = { heads: 2, kvHeads: 2, neurons: 1 };
  const values = { query: powers(4), attentionOutput: Float32Array.of(1, 4, 9, 16), up: powers(1), down: powers(1, 3) };
  const weights = [squaresOf(shape, 2, values)];

  it('are norms of weights, and of activations times the weights that read them', () => {
    const table = { heads: [[1, 2]], neurons: [[3]] };
    const squares = { contexts: [[4, 1, 0, 0.25]], neurons: [[2]] };
    const { taylor, fisher, magnitude, activation } = unitScores(weights, { taylor: table, fisher: table, squares });
    expect(taylor).toBe(table);
    expect(fisher).toBe(table);
    expect(magnitude).toEqual({ heads: [[Math.sqrt(3 + 5), Math.sqrt(12 + 25)]], neurons: [[3]] });
    expect(activation).toEqual({ heads: [[Math.sqrt(8), 2]], neurons: [[4]] });
  });

  it('are those of weights alone where the rest was not summed up', () => {
    expect(Object.keys(unitScores(weights, undefined))).toEqual(['magnitude']);
  });

  it('of activation grow with each activation by the norm of its column', () => {
    const amount = fc.float({ min: 0, max: 1000, noNaN: true });
    fc.assert(
      fc.property(fc.tuple(amount, amount, amount, amount), amount, (contexts, neuron) => {
        const table = { heads: [[0, 0]], neurons: [[0]] };
        const squares = { contexts: [[...contexts]], neurons: [[neuron]] };
        const { activation } = unitScores(weights, { taylor: table, fisher: table, squares });
        const [a, b, c, d] = contexts;
        expect(activation!.heads[0]![0]).toBeCloseTo(Math.sqrt(a + 4 * b), 8);
        expect(activation!.heads[0]![1]).toBeCloseTo(Math.sqrt(9 * c + 16 * d), 8);
        expect(activation!.neurons[0]![0]).toBeCloseTo(Math.sqrt(8 * neuron), 8);
      }),
    );
  });
});
