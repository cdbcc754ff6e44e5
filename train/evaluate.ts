/** Room: train. Inference over a data set: scores in input order, and how fast they came. */
import type { Traced } from '../engine/engine.ts';
import type { Tensor } from '../engine/graph/tensor.ts';
import { ProgramCache } from './programs.ts';
import type { BatchInputs, Classifier, ForwardOptions } from './classifier.ts';
import type { Batch, Batches } from './data/batches.ts';

export interface Inference {
  /** f32 [examples, labels], in the order of the examples. */
  readonly logits: Float32Array;
  readonly labels: Int32Array;
  readonly seconds: number;
  readonly examples: number;
  readonly peakBytes: number;
}

/** A model's forward pass, compiled once per batch shape. */
export class Forward {
  readonly #classifier: Classifier;
  readonly #programs: ProgramCache;

  /** @param options masks of a plan that is not applied physically */
  constructor(classifier: Classifier, options: ForwardOptions = {}) {
    this.#classifier = classifier;
    this.#programs = new ProgramCache(classifier.engine, (batch, seq, choose) => {
      const trace = (inputs: Readonly<Record<string, Tensor>>): Traced => ({
        outputs: { logits: classifier.logits(inputs as BatchInputs, options) },
      });
      return classifier.engine.compile(`infer ${batch}x${seq}`, classifier.inputSpecs(batch, seq), trace, {
        ...(choose && { choose }),
      });
    });
  }

  async prepare(batch: Batch): Promise<void> {
    await this.#programs.get(batch.batch, batch.seq, this.#classifier.inputValues(batch));
  }

  /** The head's scores of a batch, its filling rows included. */
  async run(batch: Batch): Promise<Float32Array> {
    const program = await this.#programs.get(batch.batch, batch.seq);
    program.run(this.#classifier.inputValues(batch));
    return await program.read('logits');
  }

  dispose(): void {
    this.#programs.dispose();
  }
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
  const { engine } = classifier;
  engine.arena.release();
  engine.memory.resetPeak();
  const forward = new Forward(classifier, soft);
  let logits = new Float32Array();
  const labels = new Int32Array(examples);
  for (const batch of batches.epoch(0)) await forward.prepare(batch);
  const started = performance.now();
  for (const batch of batches.epoch(0)) {
    const values = await forward.run(batch);
    const classes = values.length / batch.batch;
    if (logits.length === 0) logits = new Float32Array(examples * classes);
    batch.indices.forEach((index, row) => {
      logits.set(values.subarray(row * classes, (row + 1) * classes), index * classes);
      labels[index] = batch.labels[row] as number;
    });
  }
  const seconds = (performance.now() - started) / 1000;
  const peakBytes = engine.memory.peak;
  forward.dispose();
  return { logits, labels, seconds, examples, peakBytes };
}
