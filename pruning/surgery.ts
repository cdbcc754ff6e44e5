/**
 * Room: pruning. Physical slicing: cuts pruned heads and neurons out of the base weights, and ranks out of PEFT factors, so
 * that memory and work really fall (light-peft.md §1–2).
 */
import type { Engine } from '../engine/engine.ts';
import { f32ToF16 } from '../engine/io/float16.ts';
import type { Shape } from '../engine/graph/shape.ts';
import type { Variable } from '../engine/variable.ts';
import { BaseModel, gatherProjections } from '../models/base-model.ts';
import type { EncoderConfig } from '../models/config.ts';
import { layerPrefix } from '../models/encoder.ts';
import type { FactorValues, PeftModule } from '../peft/module.ts';

/** What stays of a layer: indices into the original heads and neurons, ascending. */
export interface LayerKeep {
  readonly heads: readonly number[];
  readonly neurons: readonly number[];
  /** Mask values of the kept heads and neurons, to be folded into the output projections' columns. */
  readonly fold?: { readonly heads: readonly number[]; readonly neurons: readonly number[] };
}

/** Rows and columns of a weight that stay; undefined = all. */
interface Slice {
  readonly rows?: readonly number[];
  readonly cols?: readonly number[];
  /** Multiplies the kept columns. */
  readonly scale?: readonly number[];
}

/** Values and the shape they have. */
interface Matrix {
  readonly data: Float32Array;
  readonly shape: Shape;
}

/** What is cut from each weight, by Hugging Face module name. */
export function moduleSlices(config: EncoderConfig, keep: readonly LayerKeep[]): Map<string, Slice> {
  const headDim = config.hiddenSize / config.numHeads;
  const slices = new Map<string, Slice>();
  keep.forEach(({ heads, neurons, fold }, layer) => {
    const prefix = layerPrefix(config, layer);
    const features = heads.flatMap((h) => Array.from({ length: headDim }, (_, i) => h * headDim + i));
    for (const name of ['query', 'key', 'value']) slices.set(`${prefix}.attention.self.${name}`, { rows: features });
    const headScale = fold?.heads.flatMap((s) => Array<number>(headDim).fill(s));
    slices.set(`${prefix}.attention.output.dense`, { cols: features, ...(headScale && { scale: headScale }) });
    slices.set(`${prefix}.intermediate.dense`, { rows: neurons });
    slices.set(`${prefix}.output.dense`, { cols: neurons, ...(fold && { scale: fold.neurons }) });
  });
  return slices;
}

function sliceMatrix({ data, shape }: Matrix, { rows, cols, scale }: Slice): Matrix {
  const [height, width] = shape as [number, number];
  const keptRows = rows ?? Array.from({ length: height }, (_, i) => i);
  const keptCols = cols ?? Array.from({ length: width }, (_, i) => i);
  const out = new Float32Array(keptRows.length * keptCols.length);
  keptRows.forEach((row, r) => {
    keptCols.forEach((col, c) => {
      out[r * keptCols.length + c] = (data[row * width + col] as number) * (scale?.[c] ?? 1);
    });
  });
  return { data: out, shape: [keptRows.length, keptCols.length] };
}

/** A weight or bias after slicing; b_o and b_2 stay whole because only columns of their matrices go. */
function sliceWeight(matrix: Matrix, slice: Slice): Matrix {
  if (matrix.shape.length === 2) return sliceMatrix(matrix, slice);
  const rows = slice.rows;
  if (!rows) return matrix;
  return { data: Float32Array.from(rows, (r) => matrix.data[r] as number), shape: [rows.length] };
}

/**
 * The model without the pruned heads and neurons. The old buffers of cut weights are freed; the rest is shared, so the given
 * model must not be used again.
 * @param keep one entry per layer
 */
export async function pruneModel(engine: Engine, base: BaseModel, keep: readonly LayerKeep[]): Promise<BaseModel> {
  const slices = moduleSlices(base.config, keep);
  const weights = new Map<string, Variable>();
  for (const [name, weight] of base.weights) {
    const slice = slices.get(name.replace(/\.(weight|bias)$/, ''));
    weights.set(name, slice ? await cut(engine, weight, slice) : weight);
  }
  gatherProjections(engine, base.config, weights);
  const layers = keep.map(({ heads, neurons }) => ({ heads: heads.length, neurons: neurons.length }));
  return new BaseModel(engine, base.config, weights, layers, base.words);
}

async function cut(engine: Engine, weight: Variable, slice: Slice): Promise<Variable> {
  const whole = { data: await engine.read(weight), shape: weight.shape };
  const { data, shape } = sliceWeight(whole, slice);
  if (data.length === whole.data.length && !slice.scale) return weight;
  engine.free(weight);
  const stored = weight.dtype === 'f16' ? f32ToF16(data) : data;
  return engine.variable(weight.name, shape, { kind: weight.kind, dtype: weight.dtype, data: stored });
}

/** A PEFT module after slicing, with its factors. */
export interface PrunedModule {
  readonly module: PeftModule;
  readonly values: FactorValues;
}

/**
 * Cuts a module's ranks, and the features of its factors that follow the foundation's slicing: rows of up for query, key, value and
 * intermediate, columns of down for the two output projections. The scaling stays.
 * @param ranks kept ranks, ascending; not empty
 * @param attached whether Δ lives on the linear layer itself (LoRA) rather than on whole hidden states (adapters)
 */
export function pruneFactors(
  config: EncoderConfig,
  keep: readonly LayerKeep[],
  module: PeftModule,
  values: FactorValues,
  ranks: readonly number[],
  attached: boolean,
): PrunedModule {
  const slice = attached ? (moduleSlices(config, keep).get(module.name) ?? {}) : {};
  const { rows, cols, scale } = slice;
  const down = sliceMatrix(
    { data: values.down, shape: [module.ranks, module.inFeatures] },
    { rows: ranks, ...(cols && { cols }), ...(scale && { scale }) },
  );
  const up = sliceMatrix(
    { data: values.up, shape: [module.outFeatures, module.ranks] },
    { cols: ranks, ...(rows && { rows }) },
  );
  return {
    module: {
      ...module,
      ranks: ranks.length,
      inFeatures: down.shape[1] as number,
      outFeatures: up.shape[0] as number,
    },
    values: { down: down.data, up: up.data },
  };
}
