/** Room: peft-model. PEFT modules merged into the base's weights on the device, and taken out again bit for bit. */
import type { Engine, HostArray } from '../engine/engine.ts';
import { option, UserError } from '../engine/errors.ts';
import { f32ToF16 } from '../engine/io/float16.ts';
import { unpadded } from '../engine/padding.ts';
import type { Variable } from '../engine/variable.ts';
import type { BaseModel } from '../models/base-model.ts';
import { tiedModules, type TiedModules } from '../models/heads.ts';
import type { PeftModelState } from './state.ts';

export interface Merged {
  /** Writes the bits back that merging overwrote; they are kept on the host. */
  undo(): void;
}

/** @throws UserError for a method that is not linear in a layer's input, and where a weight cannot take a module */
export async function mergeIntoBase(engine: Engine, base: BaseModel, state: PeftModelState): Promise<Merged> {
  const { method, values } = state;
  if (method && !method.merge) throw new UserError('merge: bottleneck adapters cannot be merged');
  const onHost = method?.modules.find(({ name }) => `${name}.weight` === base.wordEmbedding?.name);
  if (onHost) {
    throw new UserError(
      `merge: ${onHost.name} stays on the host, where nothing is merged; set ${option('embeddings')} to device`,
    );
  }
  const originals = new Map<Variable, HostArray>();
  const tied = tiedModules(base.config, state.head);
  let apart: { readonly own: Variable; readonly shared: Variable } | undefined;
  for (const module of method?.modules ?? []) {
    const rewrite = async (kind: 'weight' | 'bias', merge: (values: Float32Array) => Float32Array): Promise<void> => {
      const variable = base.weights.get(`${module.name}.${kind}`);
      if (!variable) return;
      const merged = merge(await engine.read(variable));
      const data = variable.dtype === 'f16' ? f32ToF16(merged) : merged;
      if (tied && kind === 'weight' && isShared(base, tied, module.name)) {
        const { shape, dtype, stored } = variable;
        apart = {
          own: engine.variable(`${module.name}.weight`, shape, { kind: 'weights', dtype, stored, data }),
          shared: variable,
        };
        base.replaceWeight(apart.own);
        return;
      }
      originals.set(variable, await bitsOf(engine, variable));
      engine.write(variable, data);
    };
    await rewrite('weight', (weight) => method!.merge!(module, values, weight, 'merge'));
    if (method?.mergeBias) await rewrite('bias', (bias) => method.mergeBias!(module, values, bias, 'merge'));
  }
  return {
    undo: () => {
      for (const [variable, bits] of originals) engine.write(variable, bits);
      if (!apart) return;
      base.replaceWeight(apart.shared, apart.own.name);
      engine.free(apart.own);
    },
  };
}

/** Whether a module is on one of two layers that read the same matrix: merged it gets one of its own. */
function isShared({ weights }: BaseModel, { scores, words }: TiedModules, module: string): boolean {
  const [one, other] = [weights.get(`${scores}.weight`), weights.get(`${words}.weight`)];
  return one !== undefined && one === other && (module === scores || module === words);
}

async function bitsOf(engine: Engine, { storage, dtype, shape, stored }: Variable): Promise<HostArray> {
  const bytes = await engine.readBytes(storage);
  return unpadded(dtype === 'f16' ? new Uint16Array(bytes) : new Float32Array(bytes), shape, stored);
}
