/** Room: peft-model. PEFT modules merged into the base's weights on the device, and taken out again bit for bit. */
import type { Engine, HostArray } from '../engine/engine.ts';
import { option, UserError } from '../engine/errors.ts';
import { f32ToF16 } from '../engine/io/float16.ts';
import { unpadded } from '../engine/padding.ts';
import type { Variable } from '../engine/variable.ts';
import type { BaseModel } from '../models/base-model.ts';
import { biasName, tiedModules } from '../models/heads.ts';
import type { HeadKind, ModelConfig } from '../models/architecture.ts';
import type { PeftMethod } from '../peft/module.ts';
import type { PeftModelState } from './state.ts';

export interface Merged {
  /** Writes the bits back that merging overwrote; they are kept on the host. */
  undo(): void;
}

/** @throws UserError for a method that is not linear in a layer's input, and where a weight cannot take a module */
export async function mergeIntoBase(
  engine: Engine,
  base: BaseModel,
  { method, values, head }: PeftModelState,
): Promise<Merged> {
  if (method && !method.merge) throw new UserError('merge: bottleneck adapters cannot be merged');
  assertMergeable(base.config, { method, head }, 'merge');
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
export function assertMergeable(
  config: ModelConfig,
  { method, head }: { readonly method: PeftMethod | undefined; readonly head: HeadKind },
  at: string,
): void {
  const tied = tiedModules(config, head);
  const apart = method?.modules.find(({ name }) => biasName(config, head, name) !== `${name}.bias`);
  if (method?.mergeBias && apart) {
    throw new UserError(
      `${at}: "${apart.name}" has its bias as ${biasName(config, head, apart.name)}, which is not merged; keep the adapter beside the base`,
    );
  }
  const found = method?.modules.find(({ name }) => tied.includes(name));
  if (!found) return;
  const others = tied.filter((name) => name !== found.name).join(', ');
  throw new UserError(
    `${at}: "${found.name}" shares its matrix with ${others}: merging would change both; keep the adapter beside the base`,
  );
}
