/** Room: peft-model. Stage two as a function, beside `estimate`, `decide` and `train`. */
import type { Decision } from '../pruning/decide.ts';
import type { PeftModel } from './peft-model.ts';
import type { SliceOptions } from './slice-state.ts';

/**
 * Cuts what a decision drops out of base and modules. The base's buffers go into the result: `model` throws when it is used again.
 * @param decision of `decide`
 * @returns the smaller model, to be trained or evaluated
 */
export function prune(model: PeftModel, decision: Decision, options: SliceOptions = {}): Promise<PeftModel> {
  return model.prune(decision, options);
}
