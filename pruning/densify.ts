/**
 * Room: pruning. The way back to full size: a pruned result as an unpruned model that computes the same, with zeros for all that
 * was cut. It is what tools that know nothing of pruning can load.
 */
import type { LinearLayer, ModelConfig } from '../models/architecture.ts';
import type { FactorValues, PeftModule } from '../peft/module.ts';
import { moduleSlices, type LayerKeep } from './surgery.ts';

/**
 * An output projection whose columns of cut heads or neurons are 0 and whose kept columns carry the folded masks; undefined
 * for a module that keeps its weights as they are.
 * @param weight f32 [rows, cols] of the original checkpoint
 */
export function zeroCutColumns(
  config: ModelConfig,
  keep: readonly LayerKeep[],
  module: string,
  weight: Float32Array,
  cols: number,
): Float32Array | undefined {
  const slice = moduleSlices(config, keep).get(module);
  if (!slice?.cols) return undefined;
  const dense = new Float32Array(weight.length);
  slice.cols.forEach((col, i) => {
    for (let at = col; at < weight.length; at += cols) dense[at] = (weight[at] as number) * (slice.scale?.[i] ?? 1);
  });
  return dense;
}

/**
 * The factors of a pruned module at the size of the original linear layer, zeros for cut features; its ranks stay as they are.
 * @param full the linear layer before pruning
 */
export function expandFactors(
  config: ModelConfig,
  keep: readonly LayerKeep[],
  module: PeftModule,
  values: FactorValues,
  full: LinearLayer,
): { readonly module: PeftModule; readonly values: FactorValues } {
  const { rows, cols } = moduleSlices(config, keep).get(module.name) ?? {};
  const { ranks } = module;
  const down = new Float32Array(ranks * full.inFeatures);
  const up = new Float32Array(full.outFeatures * ranks);
  for (let rank = 0; rank < ranks; rank++) {
    for (let i = 0; i < module.inFeatures; i++) {
      down[rank * full.inFeatures + (cols?.[i] ?? i)] = values.down[rank * module.inFeatures + i] as number;
    }
    for (let o = 0; o < module.outFeatures; o++)
      up[(rows?.[o] ?? o) * ranks + rank] = values.up[o * ranks + rank] as number;
  }
  const { inFeatures, outFeatures } = full;
  return { module: { ...module, inFeatures, outFeatures }, values: { down, up } };
}
