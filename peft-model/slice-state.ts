/** Room: peft-model. Stage two: base and state cut as a plan says, on the device or on the host. */
import type { Engine } from '../engine/engine.ts';
import { parseOptions } from '../engine/options.ts';
import type { Shape } from '../engine/graph/shape.ts';
import { z } from 'zod';
import type { ModelConfig } from '../models/architecture.ts';
import type { BaseModel } from '../models/base-model.ts';
import type { Checkpoint } from '../models/checkpoint.ts';
import { configFor, methodOf } from '../peft/config.ts';
import type { Decision } from '../pruning/decide.ts';
import { sliceModel, sliceValues, type ReadWeight } from '../pruning/slice.ts';
import { weightReader } from './from-base.ts';
import { readOwnHead } from './own-head.ts';
import { reinitialise, type PeftModelState } from './state.ts';

/** Options of `prune`, with defaults. */
export const sliceOptionsSchema = z.strictObject({
  startFrom: z.enum(['inherit', 'reinit']).default('inherit').describe('what fine-tuning starts from after pruning'),
  seed: z.int().nonnegative().default(0).describe('of fresh values, where they are drawn anew'),
  newHead: z.boolean().default(false).describe("draw the head anew too, in place of the checkpoint's own"),
});

/** What is left starts from its trained values, or afresh from a seed. */
export type SliceOptions = z.input<typeof sliceOptionsSchema>;

/** Cuts a model on the device. The given base must not be used again. */
export async function sliceState(
  engine: Engine,
  { base, checkpoint }: { readonly base: BaseModel; readonly checkpoint?: Checkpoint | undefined },
  state: PeftModelState,
  decision: Decision,
  given: SliceOptions,
): Promise<{ base: BaseModel; state: PeftModelState }> {
  const { startFrom, seed, newHead } = parseOptions(sliceOptionsSchema, given);
  const shapes = (name: string): Shape | undefined => base.weights.get(name)?.shape;
  const left = await sliced(base.config, state, decision, shapes, weightReader(engine, base));
  const cut = await sliceModel(engine, base, decision.layers);
  if (startFrom === 'inherit') return { base: cut, state: left };
  const ownHead = newHead || !checkpoint ? undefined : await readOwnHead(checkpoint, state);
  return { base: cut, state: await reinitialise(base.config, left, seed, weightReader(engine, cut), ownHead) };
}

/**
 * What is left of a state.
 * @param shapes of weights of the base that train along, before slicing
 * @param read weights of the whole base
 */
export async function sliced(
  config: ModelConfig,
  state: PeftModelState,
  decision: Decision,
  shapes: (name: string) => Shape | undefined,
  read: ReadWeight,
): Promise<PeftModelState> {
  if (!state.method) throw new Error('prune: there are no PEFT modules to prune');
  const { method, values } = await sliceValues(config, state.method, state.values, decision, shapes, read);
  const peft = configFor(method.modules, state.peft);
  return { ...state, peft, method: methodOf(peft, method.modules), values, plan: decision };
}
