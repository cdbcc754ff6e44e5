/** Room: models. Frequencies of rotary positions (Su et al. 2021) as configurations describe them. */
import { rotaryTable } from '../engine/ops/rotary.ts';
import type { ModelConfig, Rotary, RotaryScaling } from './architecture.ts';

/** Radians per position of each pair of features, headDim/2 of them. */
export function inverseFrequencies({ theta, scaling }: Rotary, headDim: number): number[] {
  const plain = Array.from({ length: headDim / 2 }, (_, i) => theta ** ((-2 * i) / headDim));
  if (!scaling) return plain;
  return scaling.type === 'linear'
    ? plain.map((frequency) => frequency / scaling.factor)
    : plain.map((frequency) => llama3(frequency, scaling));
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

/** What `TokenInputs.rotary` holds for positions 0 … positions − 1; undefined for models with other positions. */
export function rotaryInput({ architecture, headDim }: ModelConfig, positions: number): Float32Array | undefined {
  const { rotary } = architecture;
  return rotary && rotaryTable(positions, inverseFrequencies(rotary, headDim));
}
