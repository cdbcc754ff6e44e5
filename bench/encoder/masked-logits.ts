/** Room: bench/encoder. What a pruned model must compute: the whole model's logits with everything dropped switched off by masks. */
import type { BatchInputs, PeftModel } from '../../peft-model/peft-model.ts';
import type { Decision } from '../../pruning/decide.ts';
import { MaskedPlan } from '../../pruning/masked-plan.ts';
import type { BatchShape } from './cost.ts';
import { randomBatch } from './model.ts';

/** @param model whole */
export async function maskedLogits(
  model: PeftModel,
  decision: Decision,
  { batch, seq }: BatchShape,
): Promise<Float32Array> {
  const { engine, base, method } = model;
  using masked = new MaskedPlan(engine, base.layers, decision, method!.modules);
  const options = masked.options();
  using program = await engine.compile('masked', model.inputSpecs(batch, seq), (inputs) => ({
    outputs: { logits: model.logits(inputs as BatchInputs, options) },
  }));
  program.run(model.inputValues(randomBatch(base.config, batch, seq)));
  return await program.read('logits');
}
