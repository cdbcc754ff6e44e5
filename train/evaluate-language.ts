/** Room: train. How well a language model predicts: mean loss over the counted tokens, and perplexity. */
import type { Engine, Traced } from '../engine/engine.ts';
import type { Tensor } from '../engine/graph/tensor.ts';
import { toPeftModel, type PeftModelState } from '../peft-model/assembly.ts';
import type { BatchInputs } from '../peft-model/peft-model.ts';
import type { DataLoader } from '../data/data-loader.ts';
import type { InferenceCost } from './evaluate.ts';
import { ProgramCache } from '../peft-model/programs.ts';

export interface LanguageMetrics {
  /** Tokens predicted. */
  readonly count: number;
  /** Mean over them of −log of their probability, in nats. */
  readonly loss: number;
  /** e to the loss. */
  readonly perplexity: number;
}

/** All shapes are compiled before the clock starts; the loss is summed in double precision. */
export async function evaluateLanguage(
  engine: Engine,
  assembly: PeftModelState,
  batches: DataLoader,
): Promise<{ inference: InferenceCost; metrics: LanguageMetrics }> {
  engine.arena.release();
  engine.memory.resetPeak();
  const classifier = toPeftModel(engine, assembly);
  const programs = new ProgramCache(engine, (batch, seq, choose) => {
    const labels = classifier.labels(batch, seq);
    const trace = (inputs: Readonly<Record<string, Tensor>>): Traced => ({
      outputs: { loss: classifier.loss(inputs as BatchInputs, inputs.labels as Tensor) },
    });
    const specs = { ...classifier.inputSpecs(batch, seq), labels };
    return engine.compile(`evaluate ${batch}x${seq}`, specs, trace, { ...(choose && { choose }) });
  });
  try {
    for (const batch of batches.epoch(0)) {
      await programs.get(batch.batch, batch.seq, { ...classifier.inputValues(batch), labels: batch.labels });
    }
    let [sum, count, examples] = [0, 0, 0];
    const started = performance.now();
    for (const batch of batches.epoch(0)) {
      const program = await programs.get(batch.batch, batch.seq);
      program.run({ ...classifier.inputValues(batch), labels: batch.labels });
      let labelled = 0;
      for (const label of batch.labels) labelled += Number(label >= 0);
      sum += labelled * ((await program.read('loss'))[0] as number);
      count += labelled;
      examples += batch.count;
    }
    const seconds = (performance.now() - started) / 1000;
    const loss = sum / Math.max(1, count);
    const metrics = { count, loss, perplexity: Math.exp(loss) };
    return { inference: { seconds, examples, peakBytes: engine.memory.peak }, metrics };
  } finally {
    programs.dispose();
    classifier.parameters.free();
  }
}
