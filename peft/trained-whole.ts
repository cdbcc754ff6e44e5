/**
 * Room: peft. Weights of the base that an adapter holds whole, in the form of its files and in the one used here: PEFT keeps the matrices
 * of GPT-2's blocks as [in, out], the bias of what scores the vocabulary under two names, and all under those of the model's class.
 */
import type { HeadKind, ModelConfig } from '../models/architecture.ts';
import { nameInClass } from '../models/config.ts';
import { isStoredInOut, transpose } from '../models/weights.ts';
import { renamedConfigFor } from './config.ts';
import type { Adapter, AdapterTensor } from './files.ts';
import { isInSaved } from './targets.ts';

/** An adapter as used here: matrices [out, in], a bias under the name of its layer. */
export function fromStored(adapter: Adapter, model: ModelConfig): Adapter {
  const tensors = new Map<string, AdapterTensor>();
  for (const [name, tensor] of adapter.tensors) tensors.set(name, turnedWhereStored(model, name, tensor));
  for (const [name, other] of biasNames(model)) {
    const beside = tensors.get(other);
    if (beside && !tensors.has(name)) tensors.set(name, beside);
    tensors.delete(other);
  }
  return { ...adapter, tensors };
}

/** An adapter under other names. */
export function renamed(adapter: Adapter, rename: (name: string) => string): Adapter {
  const under = <T>(entries: ReadonlyMap<string, T>): Map<string, T> =>
    new Map([...entries].map(([name, value]) => [rename(name), value]));
  const modules = adapter.modules.map((module) => ({ ...module, name: rename(module.name) }));
  const { tensors, baseWeights } = adapter;
  return {
    ...adapter,
    config: renamedConfigFor(adapter.modules, adapter.config, rename),
    modules,
    tensors: under(tensors),
    ...(baseWeights && { baseWeights: under(baseWeights) }),
  };
}

/** An adapter as PEFT's files have it for a model with a head. */
export function toStored(adapter: Adapter, model: ModelConfig, head: HeadKind): Adapter {
  const tensors = new Map<string, AdapterTensor>();
  for (const [name, tensor] of adapter.tensors) tensors.set(name, turnedWhereStored(model, name, tensor));
  for (const [name, other] of biasNames(model)) {
    const bias = tensors.get(name);
    // PEFT wants all of a saved module.
    if (bias && isInSaved(other, adapter.config.modulesToSave)) tensors.set(other, bias);
  }
  const stored = { ...adapter, tensors };
  const inClass = (name: string): string => nameInClass(model, head, name);
  return adapter.modules.some(({ name }) => inClass(name) !== name) ? renamed(stored, inClass) : stored;
}

function turnedWhereStored(model: ModelConfig, name: string, tensor: AdapterTensor): AdapterTensor {
  const { shape, data } = tensor;
  const [rows, cols] = shape;
  if (rows === undefined || cols === undefined || !isStoredInOut(model, name)) return tensor;
  return { shape: [cols, rows], data: transpose(data, rows, cols) };
}

/** Names of biases that files have twice, and the other ones. */
function biasNames({ architecture: { heads } }: ModelConfig): (readonly [name: string, other: string])[] {
  return Object.values(heads).flatMap(({ vocabulary }) =>
    vocabulary?.otherBias === undefined ? [] : [[`${vocabulary.module}.bias`, vocabulary.otherBias] as const],
  );
}
