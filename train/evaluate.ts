/** Room: train. Inference over a data set: logits in input order, and how fast they came. */
import type { Traced } from '../engine/engine.ts';
import type { Tensor } from '../engine/graph/tensor.ts';
import { ProgramCache } from './programs.ts';
import type { BatchInputs, Classifier, ForwardOptions } from './classifier.ts';
import type { Batches } from './data/batches.ts';

export interface Inference {
  /** f32 [examples, labels], in the order of the examples. */
  readonly logits: Float32Array;
  readonly labels: Int32Array;
  readonly seconds: number;
  readonly examples: number;
  readonly peakBytes: number;
}

/**
 * Class scores of every example. All shapes are compiled before the clock starts.
 * @param soft masks of a plan that is not applied physically
 */
export async function infer(
  classifier: Classifier,
  batches: Batches,
  examples: number,
  soft: ForwardOptions = {},
): Promise<Inference> {
  const { engine, labels: classes } = classifier;
  engine.arena.release();
  engine.memory.resetPeak();
  const programs = new ProgramCache(engine, (batch, seq, choose) => {
    const trace = (inputs: Readonly<Record<string, Tensor>>): Traced => ({
      outputs: { logits: classifier.logits(inputs as BatchInputs, soft) },
    });
    return engine.compile(`infer ${batch}x${seq}`, classifier.inputSpecs(batch, seq), trace, {
      ...(choose && { choose }),
    });
  });
  const logits = new Float32Array(examples * classes);
  const labels = new Int32Array(examples);
  for (const batch of batches.epoch(0)) await programs.get(batch.batch, batch.seq, classifier.inputValues(batch));
  const started = performance.now();
  for (const batch of batches.epoch(0)) {
    const program = await programs.get(batch.batch, batch.seq);
    program.run(classifier.inputValues(batch));
    const values = await program.read('logits');
    batch.indices.forEach((index, row) => {
      logits.set(values.subarray(row * classes, (row + 1) * classes), index * classes);
      labels[index] = batch.labels[row] as number;
    });
  }
  const seconds = (performance.now() - started) / 1000;
  const peakBytes = engine.memory.peak;
  programs.dispose();
  return { logits, labels, seconds, examples, peakBytes };
}
