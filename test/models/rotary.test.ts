/** Protects: rotary frequencies are those of transformers for each kind of scaling. */
import { expect, test } from 'vitest';
import { parseConfig } from '../../models/config.ts';
import { inverseFrequencies } from '../../models/rotary.ts';

const llama = {
  model_type: 'llama',
  ...{ vocab_size: 50, hidden_size: 32, num_hidden_layers: 1, num_attention_heads: 4, intermediate_size: 20 },
};

function frequencies(change: object): number[] {
  const { architecture, headDim } = parseConfig({ ...llama, ...change }, 'config.json');
  return inverseFrequencies(architecture.rotary!, headDim);
}

test('θ^(−2i/d), in both layouts of the file', () => {
  const expected = [1, 0.1, 0.01, 0.001];
  frequencies({}).forEach((f, i) => expect(f).toBeCloseTo(expected[i]!, 12));
  expect(frequencies({ rope_parameters: { rope_type: 'default', rope_theta: 16 } })).toEqual([1, 0.5, 0.25, 0.125]);
  expect(frequencies({ rope_theta: 16, rope_scaling: null })).toEqual([1, 0.5, 0.25, 0.125]);
});

test('linear scaling divides by its factor', () => {
  expect(frequencies({ rope_theta: 16, rope_scaling: { type: 'linear', factor: 2 } })).toEqual([
    0.5, 0.25, 0.125, 0.0625,
  ]);
});

test('llama3 keeps short wavelengths, divides long ones, and interpolates between', () => {
  const scaling = { rope_type: 'llama3', factor: 8, low_freq_factor: 1, high_freq_factor: 4 };
  const found = frequencies({
    rope_theta: 16,
    rope_scaling: { ...scaling, original_max_position_embeddings: 20 },
  });
  // Turns within 20 positions: 3.18, 1.59, 0.80, 0.40; the factor's share falls from turns 1 to 4.
  const turns = [20 / (2 * Math.PI), 10 / (2 * Math.PI)];
  const between = (turn: number, f: number): number => {
    const smooth = (turn - 1) / 3;
    return ((1 - smooth) * f) / 8 + smooth * f;
  };
  const expected = [between(turns[0]!, 1), between(turns[1]!, 0.5), 0.25 / 8, 0.125 / 8];
  found.forEach((f, i) => expect(f).toBeCloseTo(expected[i]!, 12));
  expect(frequencies({ rope_scaling: { ...scaling, original_max_position_embeddings: 1e6 } })[0]).toBe(1);
});

test('another scaling, or one without its numbers, is refused by key', () => {
  expect(() => frequencies({ rope_scaling: { type: 'yarn', factor: 4 } })).toThrow(
    'config.json: key "rope_scaling.rope_type": found "yarn", expected "default", "linear" or "llama3"',
  );
  expect(() => frequencies({ rope_parameters: { rope_type: 'linear' } })).toThrow(
    'config.json: key "rope_parameters.factor": found nothing, expected a number',
  );
});
