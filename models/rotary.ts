/** Room: models. Frequencies of rotary positions (Su et al. 2021) as configurations describe them. */
import { rotaryTable } from '../engine/ops/rotary.ts';
import type { ModelConfig, Rotary, RotaryScaling } from './architecture.ts';

/** Radians per position of each pair of features, headDim/2 of them. */
export function inverseFrequencies({ theta, scaling }: Rotary, headDim: number): number[] {
  const plain = Array.from({ length: headDim / 2 }, (_, i) => theta ** ((-2 * i) / headDim));
  if (!scaling) return plain;
  if (scaling.type === 'linear') return plain.map((frequency) => frequency / scaling.factor);
  if (scaling.type === 'llama3') return plain.map((frequency) => llama3(frequency, scaling));
  return yarn(plain, theta, scaling);
}

/** Llama 3.1: long wavelengths are stretched, short ones kept, those between interpolated. */
function llama3(frequency: number, scaling: Extract<RotaryScaling, { type: 'llama3' }>): number {
  const { factor, lowFrequencyFactor: low, highFrequencyFactor: high, originalPositions } = scaling;
  const turns = (originalPositions * frequency) / (2 * Math.PI);
  if (turns > high) return frequency;
  if (turns < low) return frequency / factor;
  const smooth = (turns - low) / (high - low);
  return ((1 - smooth) * frequency) / factor + smooth * frequency;
}

/** YaRN (Peng et al. 2023): as `llama3`, but interpolated along the pairs, from `betaFast` to `betaSlow` turns. */
function yarn(plain: readonly number[], theta: number, scaling: Extract<RotaryScaling, { type: 'yarn' }>): number[] {
  const { factor, betaFast, betaSlow, truncate, originalPositions } = scaling;
  const last = 2 * plain.length - 1;
  const pairOf = (turns: number): number =>
    (plain.length * Math.log(originalPositions / (turns * 2 * Math.PI))) / Math.log(theta);
  const [fast, slow] = [pairOf(betaFast), pairOf(betaSlow)];
  const low = Math.max(truncate ? Math.floor(fast) : fast, 0);
  const high = Math.min(truncate ? Math.ceil(slow) : slow, last);
  const width = high === low ? 0.001 : high - low;
  return plain.map((frequency, i) => {
    const divided = Math.min(Math.max((i - low) / width, 0), 1);
    return (frequency / factor) * divided + frequency * (1 - divided);
  });
}

/** What `TokenInputs.rotary` holds for positions 0 … positions − 1; undefined for models with other positions. */
export function rotaryInput({ architecture, headDim }: ModelConfig, positions: number): Float32Array | undefined {
  const { rotary } = architecture;
  if (!rotary) return undefined;
  const amplitude = rotary.scaling?.type === 'yarn' ? rotary.scaling.amplitude : 1;
  return rotaryTable(positions, inverseFrequencies(rotary, headDim), amplitude);
}
