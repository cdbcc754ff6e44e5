/**
 * Room: pruning. The way back to full size: a pruned result as an unpruned model that computes the same, with zeros for all that
 * was cut. It is what tools that know nothing of pruning can load.
 */
import type { LinearLayer, ModelConfig } from '../models/architecture.ts';
import { factorShape, valueOf, type Axis, type PeftMethod, type PeftModule, type StateDict } from '../peft/module.ts';
import type { LayerKeep } from './plan.ts';
import { moduleSlices } from './slice.ts';

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
    for (let at = col; at < weight.length; at += cols) dense[at] = weight[at]! * (slice.scale?.[i] ?? 1);
  });
  return dense;
}

/**
 * A pruned module at the size of the original linear layer, zeros for cut features; its ranks stay as they are.
 * @param full the linear layer before pruning
 */
export function expandModule(
  config: ModelConfig,
  keep: readonly LayerKeep[],
  method: PeftMethod,
  module: PeftModule,
  values: StateDict,
  full: LinearLayer,
): { readonly module: PeftModule; readonly values: Map<string, Float32Array> } {
  const { rows, cols } = moduleSlices(config, keep).get(module.name) ?? {};
  const whole = { ...module, inFeatures: full.inFeatures, outFeatures: full.outFeatures };
  const places: Partial<Record<Axis, readonly number[]>> = { ...(rows && { out: rows }), ...(cols && { in: cols }) };
  const expanded = new Map<string, Float32Array>();
  for (const factor of method.factors(module)) {
    const [height, width = 1] = factorShape(factor, module) as [number, number?];
    const [fullHeight, fullWidth = 1] = factorShape(factor, whole) as [number, number?];
    const [rowPlaces, colPlaces] = factor.axes.map((axis) => places[axis]);
    const data = new Float32Array(fullHeight * fullWidth);
    const from = valueOf(values, factor.name);
    for (let r = 0; r < height; r++) {
      const at = (rowPlaces?.[r] ?? r) * fullWidth;
      for (let c = 0; c < width; c++) data[at + (colPlaces?.[c] ?? c)] = from[r * width + c]!;
    }
    expanded.set(factor.name, data);
  }
  return { module: whole, values: expanded };
}

/**
 * A weight of the base that was trained along, at its original size: zeros for what was cut.
 * @param shape of the original
 */
export function expandWeight(
  config: ModelConfig,
  keep: readonly LayerKeep[],
  name: string,
  values: Float32Array,
  shape: readonly number[],
): Float32Array {
  const { rows, cols } = moduleSlices(config, keep).get(name.replace(/\.(weight|bias)$/, '')) ?? {};
  const [height, width = 1] = shape as [number, number?];
  const keptCols = shape.length === 2 ? cols : undefined;
  const keptWidth = keptCols?.length ?? width;
  const data = new Float32Array(height * width);
  for (let r = 0; r < values.length / keptWidth; r++) {
    const at = (rows?.[r] ?? r) * width;
    for (let c = 0; c < keptWidth; c++) data[at + (keptCols?.[c] ?? c)] = values[r * keptWidth + c]!;
  }
  return data;
}
