/** Protects: rotary frequencies are those of transformers for each kind of scaling. */
import { expect, test } from 'vitest';
import { parseConfig } from '../../models/config.ts';
import { inverseFrequencies, rotaryInput } from '../../models/rotary.ts';

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

test('yarn keeps fast pairs, divides slow ones, interpolates between, and scales cosines and sines', () => {
  // θ = 16: pair i turns 64·16^(−i/4)/2π times within 64 positions. Pair 0.99 turns 5.13 times and pair 2.32 turns 2.04 times:
  // bounds 0 and 3, so the four pairs are divided by 0, 1/3, 2/3 and all.
  const scaling = { type: 'yarn', factor: 4, beta_fast: 5.13, beta_slow: 2.04, original_max_position_embeddings: 64 };
  const plain = [1, 0.5, 0.25, 0.125];
  const expected = plain.map((f, i) => (f / 4) * (i / 3) + f * (1 - i / 3));
  frequencies({ rope_theta: 16, rope_scaling: scaling }).forEach((f, i) => expect(f).toBeCloseTo(expected[i]!, 12));
  const low = Math.log(64 / (5.13 * 2 * Math.PI)) / Math.log(2);
  const high = Math.log(64 / (2.04 * 2 * Math.PI)) / Math.log(2);
  const ramp = (i: number): number => Math.min(Math.max((i - low) / (high - low), 0), 1);
  const exact = plain.map((f, i) => (f / 4) * ramp(i) + f * (1 - ramp(i)));
  const found = frequencies({ rope_theta: 16, rope_scaling: { ...scaling, truncate: false } });
  found.forEach((f, i) => expect(f).toBeCloseTo(exact[i]!, 12));

  const table = (more: object): Float32Array =>
    rotaryInput(parseConfig({ ...llama, rope_scaling: { ...scaling, ...more } }, 'f'), 3)!;
  expect(table({})[0]).toBe(Math.fround(0.1 * Math.log(4) + 1));
  expect(table({ attention_factor: 1.5 })[0]).toBe(1.5);
  expect(table({ mscale: 2, mscale_all_dim: 2 })[0]).toBe(1);
});

test('dynamic scaling changes nothing up to the longest sequence; rope_scaling goes before rope_parameters', () => {
  const plain = frequencies({ rope_theta: 16 });
  expect(frequencies({ rope_theta: 16, rope_scaling: { type: 'dynamic', factor: 4 } })).toEqual(plain);
  const both = { rope_parameters: { rope_type: 'default' }, rope_scaling: { rope_type: 'linear', factor: 2 } };
  expect(frequencies({ rope_theta: 16, ...both })).toEqual(plain.map((f) => f / 2));
});

test('the original positions are those of the model where nothing else is said', () => {
  const rope = { rope_type: 'llama3', factor: 8, low_freq_factor: 1, high_freq_factor: 4 };
  const said = frequencies({ rope_scaling: { ...rope, original_max_position_embeddings: 30 } });
  expect(frequencies({ rope_scaling: rope, max_position_embeddings: 30 })).toEqual(said);
  expect(frequencies({ rope_scaling: rope, original_max_position_embeddings: 30 })).toEqual(said);
});

test('another scaling, or one without its numbers, is refused by key', () => {
  expect(() => frequencies({ rope_scaling: { type: 'longrope', factor: 4 } })).toThrow(
    'config.json: key "rope_scaling.rope_type": found "longrope", expected one of "default", "linear", "dynamic"',
  );
  expect(() => frequencies({ rope_parameters: { rope_type: 'linear' } })).toThrow(
    'config.json: key "rope_parameters.factor": found nothing, expected a number',
  );
});
