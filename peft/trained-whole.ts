/**
 * Room: peft. Weights of the base that an adapter holds whole, in the form of its files and in the one used here: PEFT keeps the matrices
 * of GPT-2's blocks as [in, out], and the bias of what scores the vocabulary under two names.
 */
import type { ModelConfig } from '../models/architecture.ts';
import { isStoredInOut, transpose } from '../models/weights.ts';
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

/** An adapter as PEFT's files have it. */
export function toStored(adapter: Adapter, model: ModelConfig): Adapter {
  const tensors = new Map<string, AdapterTensor>();
  for (const [name, tensor] of adapter.tensors) tensors.set(name, turnedWhereStored(model, name, tensor));
  for (const [name, other] of biasNames(model)) {
    const bias = tensors.get(name);
    // PEFT wants all of a saved module.
    if (bias && isInSaved(other, adapter.config.modulesToSave)) tensors.set(other, bias);
  }
  return { ...adapter, tensors };
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
