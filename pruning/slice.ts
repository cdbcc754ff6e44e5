/**
 * Room: pruning. Physical slicing: cuts pruned heads and neurons out of the base weights, and ranks out of PEFT factors, so
 * that memory and work really fall (docs/method.md §5).
 */
import type { Engine } from '../engine/engine.ts';
import { f32ToF16 } from '../engine/io/float16.ts';
import type { Shape } from '../engine/graph/shape.ts';
import type { Variable } from '../engine/variable.ts';
import { BaseModel, gatherProjections } from '../models/base-model.ts';
import { linearLayers, type LayerShape, type ModelConfig, type Role } from '../models/architecture.ts';
import {
  factorShape,
  isRankMatrix,
  valueOf,
  type Axis,
  type PeftMethod,
  type PeftModule,
  type StateDict,
} from '../peft/module.ts';
import type { LayerKeep, Plan } from './plan.ts';

/** Rows and columns of a weight that stay; undefined = all. */
interface Slice {
  readonly rows?: readonly number[] | undefined;
  readonly cols?: readonly number[] | undefined;
  /** Whether the device may hold rows and columns that stay in whole fours, with zeros at the end: heads must stay side by side. */
  readonly inFours?: true;
  /** Multiplies the kept columns. */
  readonly scale?: readonly number[] | undefined;
}

/** Values and the shape they have. */
interface Matrix {
  readonly data: Float32Array;
  readonly shape: Shape;
}

/** What is cut from each weight, by Hugging Face module name. */
export function moduleSlices(config: ModelConfig, keep: readonly LayerKeep[]): Map<string, Slice> {
  return new Map(
    linearLayers(config).map(({ name, layer, role }) => [name, sliceOf(role, config, keep[layer] as LayerKeep)]),
  );
}

function sliceOf(role: Role, config: ModelConfig, { heads, neurons, fold }: LayerKeep): Slice {
  const { headDim, numHeads, kvHeads } = config;
  const features = (kept: readonly number[]): number[] =>
    kept.flatMap((h) => Array.from({ length: headDim }, (_, i) => h * headDim + i));
  const queries = features(heads);
  const keys = features(keptGroups(config, heads));
  const after = (start: number): number[] => keys.map((row) => start * headDim + row);
  const headScale = fold?.heads.flatMap((s) => Array<number>(headDim).fill(s));
  const slices: Record<Role, () => Slice> = {
    query: () => ({ rows: queries }),
    key: () => ({ rows: keys }),
    value: () => ({ rows: keys }),
    queryKeyValue: () => ({ rows: [...queries, ...after(numHeads), ...after(numHeads + kvHeads)] }),
    attentionOutput: () => ({ cols: queries, scale: headScale }),
    gate: () => ({ rows: neurons, inFours: true }),
    up: () => ({ rows: neurons, inFours: true }),
    down: () => ({ cols: neurons, inFours: true, scale: fold?.neurons }),
  };
  return slices[role]();
}

/** The key/value head that a query head reads. */
function groupOf({ numHeads, kvHeads }: ModelConfig, head: number): number {
  return Math.floor((head * kvHeads) / numHeads);
}

/** Key/value heads that some kept query head reads, ascending; the others go. */
function keptGroups(config: ModelConfig, heads: readonly number[]): number[] {
  return [...new Set(heads.map((head) => groupOf(config, head)))];
}

/** Sizes of the layers that are left. */
export function keptShapes(config: ModelConfig, keep: readonly LayerKeep[]): LayerShape[] {
  return keep.map(({ heads, neurons }) => {
    const groups = keptGroups(config, heads);
    const kvHeadOf = heads.map((head) => groups.indexOf(groupOf(config, head)));
    const shared = heads.length / groups.length;
    const regular = Number.isInteger(shared) && kvHeadOf.every((group, i) => group === Math.floor(i / shared));
    const sizes = { heads: heads.length, kvHeads: groups.length, neurons: neurons.length };
    return regular ? sizes : { ...sizes, kvHeadOf };
  });
}

function sliceMatrix({ data, shape }: Matrix, { rows, cols, scale }: Slice): Matrix {
  const [height, width] = shape as [number, number];
  const keptRows = rows ?? Array.from({ length: height }, (_, i) => i);
  const keptCols = cols ?? Array.from({ length: width }, (_, i) => i);
  const out = new Float32Array(keptRows.length * keptCols.length);
  keptRows.forEach((row, r) => {
    keptCols.forEach((col, c) => {
      out[r * keptCols.length + c] = data[row * width + col]! * (scale?.[c] ?? 1);
    });
  });
  return { data: out, shape: [keptRows.length, keptCols.length] };
}

/** A weight or bias after slicing; b_o and b_2 stay whole because only columns of their matrices go. */
function sliceTensor(matrix: Matrix, slice: Slice): Matrix {
  if (matrix.shape.length === 2) return sliceMatrix(matrix, slice);
  const rows = slice.rows;
  if (!rows) return matrix;
  return { data: Float32Array.from(rows, (r) => matrix.data[r]!), shape: [rows.length] };
}

/**
 * The model without the pruned heads and neurons. The old buffers of cut weights are freed; the rest is shared, so the given
 * model must not be used again.
 * @param keep one entry per layer
 */
export async function sliceModel(engine: Engine, base: BaseModel, keep: readonly LayerKeep[]): Promise<BaseModel> {
  const slices = moduleSlices(base.config, keep);
  const weights = new Map<string, Variable>();
  for (const [name, weight] of base.weights) {
    const slice = slices.get(moduleName(name));
    weights.set(name, slice ? await cut(engine, weight, slice) : weight);
  }
  gatherProjections(engine, base.config, weights);
  return new BaseModel(engine, base.config, weights, keptShapes(base.config, keep), base.wordEmbedding);
}

async function cut(engine: Engine, weight: Variable, slice: Slice): Promise<Variable> {
  const whole = { data: await engine.read(weight), shape: weight.shape };
  const { data, shape } = sliceTensor(whole, slice);
  const keepsAll = data.length === whole.data.length;
  if (keepsAll && !slice.scale) return weight;
  engine.free(weight);
  const bits = weight.dtype === 'f16' ? f32ToF16(data) : data;
  // A layer that keeps all its neurons keeps its first matrices as they are: the last one must go on fitting them.
  const stored = slice.inFours && !keepsAll ? storedShape(shape, slice) : shape;
  return engine.variable(weight.name, shape, { kind: weight.kind, dtype: weight.dtype, data: bits, stored });
}

/**
 * Kernels load and store four neighbours at once where rows are whole fours. A neuron of zeros changes nothing: its activation is 0, and
 * so are all its gradients.
 */
function storedShape(shape: Shape, { rows, cols }: Slice): Shape {
  const cut = shape.length === 1 ? [rows] : [rows, cols];
  return shape.map((size, axis) => (cut[axis] ? 4 * Math.ceil(size / 4) : size));
}

/** Reads a weight of the whole base by its Hugging Face name: f32, row-major. */
export type ReadWeight = (name: string) => Promise<Float32Array>;

/** A PEFT module after slicing, with its factors. */
interface SlicedModule {
  readonly module: PeftModule;
  readonly values: Map<string, Float32Array>;
}

/** Values and shape of a base weight that trains along, sliced as the base is. */
export function sliceWeight(
  config: ModelConfig,
  keep: readonly LayerKeep[],
  name: string,
  data: Float32Array,
  shape: Shape,
): Matrix {
  const slice = moduleSlices(config, keep).get(moduleName(name));
  return slice ? sliceTensor({ data, shape }, slice) : { data, shape };
}

function moduleName(weight: string): string {
  return weight.replace(/\.(weight|bias)$/, '');
}

/**
 * Cuts a module's ranks, and, for a method attached to linear layers, the features of its factors that follow the foundation's slicing:
 * outputs for query, key, value and the FFN's first layers, inputs for the two output projections. The scaling stays.
 * @param ranks kept ranks, ascending; empty for a module without ranks
 */
async function sliceModule(
  config: ModelConfig,
  keep: readonly LayerKeep[],
  method: PeftMethod,
  module: PeftModule,
  values: StateDict,
  ranks: readonly number[],
  read: ReadWeight,
): Promise<SlicedModule> {
  const whole = cutFactors(method, module, values, module.ranks === 0 ? {} : { rank: ranks });
  const slice = method.adaptsLinear ? moduleSlices(config, keep).get(module.name) : undefined;
  if (!slice) return whole;
  const { rows, cols, scale } = slice;
  const cut = cutFactors(method, whole.module, whole.values, { out: rows, in: cols }, scale);
  if (!cols || !method.onSlice) return cut;
  const weight = await read(`${module.name}.weight`);
  const shape = [module.outFeatures, module.inFeatures];
  const changed = method.onSlice(
    { ...whole, weight },
    { ...cut, weight: sliceMatrix({ data: weight, shape }, slice).data },
  );
  return { module: cut.module, values: new Map([...cut.values, ...changed]) };
}

/**
 * PEFT modules that stay and the values of their factors, sliced as the base will be; weights of the base that train along are sliced too.
 * @param shapes of such weights before slicing
 */
export async function sliceValues(
  config: ModelConfig,
  method: PeftMethod,
  values: StateDict,
  plan: Pick<Plan, 'layers' | 'modules'>,
  shapes: (name: string) => Shape | undefined,
  read: ReadWeight,
): Promise<{ method: PeftMethod; values: Map<string, Float32Array> }> {
  const factors = new Set(method.modules.flatMap((m) => method.factors(m).map(({ name }) => name)));
  const sliced = new Map<string, Float32Array>();
  for (const [name, value] of values) {
    if (factors.has(name)) continue;
    const shape = shapes(name);
    sliced.set(name, shape ? sliceWeight(config, plan.layers, name, value, shape).data : value);
  }
  const modules: PeftModule[] = [];
  for (const module of method.modules) {
    const kept = plan.modules[module.name]?.kept;
    if (!kept) continue;
    const result = await sliceModule(config, plan.layers, method, module, values, kept, read);
    modules.push(result.module);
    for (const [name, value] of result.values) sliced.set(name, value);
  }
  return { method: method.withModules(modules), values: sliced };
}

/**
 * Keeps some entries of each axis in all factors of a module.
 * @param scale multiplies the kept inputs of matrices that are added to the weight, whose columns it multiplies too
 */
function cutFactors(
  method: PeftMethod,
  module: PeftModule,
  values: StateDict,
  kept: Partial<Record<Axis, readonly number[]>>,
  scale?: readonly number[],
): SlicedModule {
  const cut = new Map<string, Float32Array>();
  for (const factor of method.factors(module)) {
    const [rowAxis, colAxis] = factor.axes.length === 2 ? factor.axes : ([...factor.axes, 'one'] as const);
    const [height, width = 1] = factorShape(factor, module);
    const [rows, cols] = [kept[rowAxis as Axis], kept[colAxis as Axis]];
    const matrix = { data: valueOf(values, factor.name), shape: [height as number, width] };
    const scaled = scale && isRankMatrix(factor) && colAxis === 'in';
    const slice = { rows, cols, scale: scaled ? scale : undefined };
    cut.set(factor.name, sliceMatrix(matrix, slice).data);
  }
  const { rank, in: inputs, out } = kept;
  const sizes = {
    ranks: rank?.length ?? module.ranks,
    inFeatures: inputs?.length ?? module.inFeatures,
    outFeatures: out?.length ?? module.outFeatures,
  };
  return { module: { ...module, ...sizes }, values: cut };
}
