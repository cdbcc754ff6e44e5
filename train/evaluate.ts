/** Room: train. Inference over a data set: scores in input order, and how fast they came. */
import type { Traced } from '../engine/engine.ts';
import type { Tensor } from '../engine/graph/tensor.ts';
import { ProgramCache } from '../peft-model/programs.ts';
import type { BatchInputs, PeftModel, ForwardOptions } from '../peft-model/peft-model.ts';
import type { Batch, DataLoader } from '../data/data-loader.ts';

export interface InferenceCost {
  readonly seconds: number;
  readonly examples: number;
  readonly peakBytes: number;
}

export interface Inference extends InferenceCost {
  /** f32 [examples, labels], in the order of the examples. */
  readonly logits: Float32Array;
  readonly labels: Int32Array;
}

/** A model's forward pass, compiled once per batch shape. */
export class InferenceSession {
  readonly #classifier: PeftModel;
  readonly #programs: ProgramCache;
  readonly #rowsPerRun: number | undefined;

  /**
   * @param options masks of a plan that is not applied physically
   * @param rowsPerRun tokens whose scores exist at a time, for heads that read every token; absent: all of a batch
   */
  constructor(classifier: PeftModel, options: ForwardOptions = {}, rowsPerRun?: number) {
    this.#classifier = classifier;
    this.#rowsPerRun = rowsPerRun;
    this.#programs = new ProgramCache(classifier.engine, (batch, seq, choose) => {
      const trace = (inputs: Readonly<Record<string, Tensor>>): Traced => ({
        outputs: { logits: classifier.logits(inputs as BatchInputs, options) },
      });
      return classifier.engine.compile(`infer ${batch}x${seq}`, classifier.inputSpecs(batch, seq, rowsPerRun), trace, {
        ...(choose && { choose }),
      });
    });
  }

  async prepare(batch: Batch): Promise<void> {
    await this.#programs.get(batch.batch, batch.seq, this.#inputs(batch, 0));
  }

  /** The head's scores of a batch, its filling rows included. */
  async run(batch: Batch): Promise<Float32Array> {
    const program = await this.#programs.get(batch.batch, batch.seq);
    const tokens = batch.batch * batch.seq;
    const perRun = this.#rowsPerRun ?? tokens;
    const parts: Float32Array[] = [];
    for (let start = 0; start < tokens; start += perRun) {
      program.run(this.#inputs(batch, start));
      parts.push(await program.read('logits'));
    }
    return parts.length === 1 ? (parts[0] as Float32Array) : joined(parts);
  }

  /** @param start the first token that the head reads, where it reads some at a time */
  #inputs(batch: Batch, start: number): ReturnType<PeftModel['inputValues']> {
    const inputs = this.#classifier.inputValues(batch);
    const count = this.#rowsPerRun;
    if (count === undefined) return inputs;
    const tokens = batch.batch * batch.seq;
    return { ...inputs, rows: Int32Array.from({ length: count }, (_, i) => (start + i < tokens ? start + i : -1)) };
  }

  dispose(): void {
    this.#programs.dispose();
  }
}

function joined(parts: readonly Float32Array[]): Float32Array {
  const whole = new Float32Array(parts.reduce((sum, part) => sum + part.length, 0));
  let at = 0;
  for (const part of parts) {
    whole.set(part, at);
    at += part.length;
  }
  return whole;
}

/**
 * Class scores of every example. All shapes are compiled before the clock starts.
 * @param soft masks of a plan that is not applied physically
 */
export async function infer(
  classifier: PeftModel,
  batches: DataLoader,
  examples: number,
  soft: ForwardOptions = {},
): Promise<Inference> {
  let logits = new Float32Array();
  const labels = new Int32Array(examples);
  const onScores = (index: number, scores: Float32Array, label: number): void => {
    if (logits.length === 0) logits = new Float32Array(examples * scores.length);
    logits.set(scores, index * scores.length);
    labels[index] = label;
  };
  const cost = await inferEach(classifier, batches, onScores, soft);
  return { logits, labels, ...cost };
}

/**
 * Scores of every example: of its classes, its choices, or every token of its row.
 * @param onScores is given an example's place, its scores in memory that is used again, and its label where it has one
 */
export async function inferEach(
  classifier: PeftModel,
  batches: DataLoader,
  onScores: (index: number, scores: Float32Array, label: number) => void,
  soft: ForwardOptions = {},
): Promise<InferenceCost> {
  const { engine } = classifier;
  engine.arena.release();
  engine.memory.resetPeak();
  const forward = new InferenceSession(classifier, soft);
  let examples = 0;
  try {
    for (const batch of batches.epoch(0)) {
      const known = engine.pipelines.built;
      await forward.prepare(batch);
      // Drivers may leave compilation to a kernel's first run.
      if (engine.pipelines.built > known) await forward.run(batch);
    }
    const started = performance.now();
    for (const batch of batches.epoch(0)) {
      const values = await forward.run(batch);
      const rows = batch.count / batch.indices.length;
      const width = (values.length / batch.batch) * rows;
      batch.indices.forEach((index, i) => {
        onScores(index, values.subarray(i * width, (i + 1) * width), batch.labels[i] as number);
      });
      examples += batch.indices.length;
    }
    const seconds = (performance.now() - started) / 1000;
    return { seconds, examples, peakBytes: engine.memory.peak };
  } finally {
    forward.dispose();
  }
}
