/** Room: models. Weights in checkpoints: their names there, and reading them in the form used here. */
import { UserError } from '../engine/errors.ts';
import type { Placing } from '../engine/io/load.ts';
import type { TensorFile } from '../engine/io/safetensors.ts';
import { sameShape, showShape, type Shape } from '../engine/graph/shape.ts';
import type { Architecture, ModelConfig } from './architecture.ts';

/** Storage of frozen matrices; biases and normalisation weights are always f32. */
export type WeightType = 'f32' | 'f16';

/** A weight in a checkpoint, and what it becomes. */
export interface FoundWeight extends Placing {
  /** Its name in the file. */
  readonly key: string;
  /** In the file. */
  readonly bytes: number;
}

/**
 * The name under which a checkpoint stores a weight: bare models leave the family's prefix out, old ones say gamma and beta, and what
 * scores the vocabulary may have another's weight or a bias beside it.
 */
export function storedName(file: TensorFile, name: string, { architecture }: ModelConfig): string | undefined {
  const { prefix, otherPrefixes = [] } = architecture;
  const candidates = [name, ...standIns(architecture, name)].flatMap((one) => {
    const own = one.startsWith(prefix) ? one.slice(prefix.length) : undefined;
    return own === undefined ? [one] : [one, own, ...otherPrefixes.map((other) => other + own)];
  });
  const old = (n: string): string =>
    n.replace(/LayerNorm\.weight$/, 'LayerNorm.gamma').replace(/LayerNorm\.bias$/, 'LayerNorm.beta');
  return [...candidates, ...candidates.map(old)].find((candidate) => file.has(candidate));
}

/** Weights that a checkpoint may hold in place of those of two layers that are tied. */
function standIns({ heads, embeddings }: Architecture, name: string): string[] {
  return Object.values(heads).flatMap(({ vocabulary }) => {
    if (!vocabulary) return [];
    const { module, tied, untiedByFile = false, otherBias } = vocabulary;
    const pair = [`${module}.weight`, `${embeddings.words}.weight`];
    if (tied && pair.includes(name)) return pair.filter((one) => one !== name);
    return (tied || untiedByFile) && otherBias !== undefined && name === `${module}.bias` ? [otherBias] : [];
  });
}

/** Weights with a row for every token, by all heads of a family: the word embedding, and what scores the vocabulary. */
export function vocabularyWeights({ architecture: { heads, embeddings } }: ModelConfig): string[] {
  const scores = Object.values(heads).flatMap(({ vocabulary }) => {
    if (!vocabulary) return [];
    const { module, otherBias } = vocabulary;
    return [`${module}.weight`, `${module}.bias`, ...(otherBias === undefined ? [] : [otherBias])];
  });
  return [...new Set([`${embeddings.words}.weight`, ...scores])];
}

/** Whether files hold this weight transposed: the matrices of GPT-2's blocks. */
export function isStoredInOut({ architecture: { storedInOut, block } }: ModelConfig, name: string): boolean {
  if (!storedInOut || !name.endsWith('.weight')) return false;
  return Object.values(block.linears).some((linear) => name.endsWith(`.${linear.name}.weight`));
}

/**
 * Finds a weight; here matrices are [out, in].
 * @throws UserError naming file and key for a weight that is missing or of another shape than the configuration's
 */
export function findWeight(
  file: TensorFile,
  config: ModelConfig,
  name: string,
  shape: Shape,
  weightType: WeightType,
): FoundWeight {
  const key = storedName(file, name, config) ?? name;
  const transposed = isStoredInOut(config, name);
  const expected = transposed ? [...shape].reverse() : shape;
  const { shape: found, bytes } = file.info(key);
  if (!sameShape(found, expected)) {
    throw new UserError(
      `${file.path}: ${key} has shape ${showShape(found)}, config.json asks for ${showShape(expected)}`,
    );
  }
  return { key, name, shape, dtype: shape.length === 2 ? weightType : 'f32', transposed, bytes };
}

/** A weight of a checkpoint on the host, in the form used here. @throws UserError as `findWeight` */
export async function readWeight(
  file: TensorFile,
  config: ModelConfig,
  name: string,
  shape: Shape,
): Promise<Float32Array> {
  const { key, transposed } = findWeight(file, config, name, shape, 'f32');
  const data = await file.readFloat32(key);
  return transposed ? transpose(data, shape[1]!, shape[0]!) : data;
}

/** @param rows and @param cols of `data` */
export function transpose<T extends Float32Array | Uint16Array>(data: T, rows: number, cols: number): T {
  const out = data.slice() as T;
  for (let row = 0; row < rows; row++) {
    for (let col = 0; col < cols; col++) out[col * rows + row] = data[row * cols + col]!;
  }
  return out;
}
