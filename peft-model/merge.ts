/** Room: peft-model. PEFT modules merged into the base's weights on the device, and taken out again bit for bit. */
import type { Engine, HostArray } from '../engine/engine.ts';
import { option, UserError } from '../engine/errors.ts';
import { f32ToF16 } from '../engine/io/float16.ts';
import { unpadded } from '../engine/padding.ts';
import type { Variable } from '../engine/variable.ts';
import type { BaseModel } from '../models/base-model.ts';
import type { ModelConfig } from '../models/architecture.ts';
import { tiedApart, type PeftModelState } from './state.ts';

export interface Merged {
  /** Writes the bits back that merging overwrote; they are kept on the host. */
  undo(): void;
}

/** @throws UserError for a method that is not linear in a layer's input, and where a weight cannot take a module */
export async function mergeIntoBase(engine: Engine, base: BaseModel, state: PeftModelState): Promise<Merged> {
  const { method, values } = state;
  if (method && !method.merge) throw new UserError('merge: bottleneck adapters cannot be merged');
  assertMergeable(base.config, state, 'merge');
  const onHost = method?.modules.find(({ name }) => `${name}.weight` === base.wordEmbedding?.name);
  if (onHost) {
    throw new UserError(
      `merge: ${onHost.name} stays on the host, where nothing is merged; set ${option('embeddings')} to device`,
    );
  }
  const originals = new Map<Variable, HostArray>();
  for (const module of method?.modules ?? []) {
    const rewrite = async (kind: 'weight' | 'bias', merge: (values: Float32Array) => Float32Array): Promise<void> => {
      const variable = base.weights.get(`${module.name}.${kind}`);
      if (!variable) return;
      originals.set(variable, await bitsOf(engine, variable));
      const merged = merge(await engine.read(variable));
      engine.write(variable, variable.dtype === 'f16' ? f32ToF16(merged) : merged);
    };
    await rewrite('weight', (weight) => method!.merge!(module, values, weight, 'merge'));
    if (method?.mergeBias) await rewrite('bias', (bias) => method.mergeBias!(module, values, bias, 'merge'));
  }
  return {
    undo: () => {
      for (const [variable, bits] of originals) engine.write(variable, bits);
    },
  };
}

async function bitsOf(engine: Engine, { storage, dtype, shape, stored }: Variable): Promise<HostArray> {
  const bytes = await engine.readBytes(storage);
  return unpadded(dtype === 'f16' ? new Uint16Array(bytes) : new Float32Array(bytes), shape, stored);
}

/** @throws UserError for a module on one of two layers that share a matrix: merged it would change both */
export function assertMergeable(config: ModelConfig, state: PeftModelState, at: string): void {
  const { tied, apart } = tiedApart(config, state);
  const found = state.method?.modules.find(({ name }) => name === tied?.scores || name === tied?.words);
  if (!found || !tied || apart) return;
  const other = found.name === tied.scores ? tied.words : tied.scores;
  throw new UserError(
    `${at}: "${found.name}" shares its matrix with ${other}: merging would change both; keep the adapter beside the base`,
  );
}
