/** Room: peft/lora. LoRA factors added to the weights they adapt, and taken away again. */
import type { FactorValues, PeftModule } from '../module.ts';

/**
 * W ± scaling·B·A, accumulated in float64.
 * @param weight f32 [outFeatures, inFeatures]
 * @param sign 1 merges, −1 unmerges
 */
export function mergeFactors(
  weight: Float32Array,
  module: PeftModule,
  { down, up }: FactorValues,
  sign: 1 | -1,
): Float32Array {
  const { inFeatures, outFeatures, ranks, scaling } = module;
  const merged = new Float32Array(weight.length);
  for (let o = 0; o < outFeatures; o++) {
    for (let i = 0; i < inFeatures; i++) {
      let delta = 0;
      for (let r = 0; r < ranks; r++) delta += (up[o * ranks + r] as number) * (down[r * inFeatures + i] as number);
      merged[o * inFeatures + i] = (weight[o * inFeatures + i] as number) + sign * scaling * delta;
    }
  }
  return merged;
}
