/** Room: bench/encoder. What a pruned model must compute: the whole model's logits with everything dropped switched off by masks. */
import type { Engine } from '../../engine/engine.ts';
import type { Plan } from '../../pruning/plan.ts';
import { MaskedPlan } from '../../pruning/masked-plan.ts';
import { toPeftModel, type PeftModelState } from '../../peft-model/assembly.ts';
import type { BatchInputs } from '../../peft-model/peft-model.ts';
import { keptLayers } from '../../train/stages.ts';
import type { BatchShape } from './cost.ts';
import { randomBatch } from './model.ts';

/** @param assembly whole */
export async function softLogits(
  engine: Engine,
  assembly: PeftModelState,
  plan: Plan,
  { batch, seq }: BatchShape,
): Promise<Float32Array> {
  const classifier = toPeftModel(engine, assembly);
  const ranks = new Map(Object.entries(plan.modules).map(([name, { kept }]) => [name, kept]));
  const modules = assembly.method?.modules ?? [];
  const soft = new MaskedPlan(engine, assembly.base.layers, keptLayers(plan), modules, ranks);
  const options = soft.options();
  const program = await engine.compile('soft', classifier.inputSpecs(batch, seq), (inputs) => ({
    outputs: { logits: classifier.logits(inputs as BatchInputs, options) },
  }));
  program.run(classifier.inputValues(randomBatch(assembly.base.config, batch, seq)));
  const logits = await program.read('logits');
  program.dispose();
  soft.free();
  classifier.parameters.free();
  return logits;
}
