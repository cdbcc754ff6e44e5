/** Room: peft-model. Forward passes on batches: a program per batch shape, compiled when a shape is first met. */
import type { InputSpec } from '../engine/compile/program.ts';
import type { Engine, HostArray } from '../engine/engine.ts';
import type { Tensor } from '../engine/graph/tensor.ts';
import { ProgramCache, type BatchShape } from '../engine/program-cache.ts';
import type { Batch } from '../data/data-loader.ts';
import { rowsPerExample, splitBatch } from '../data/micro-batches.ts';
import type { Objective } from '../data/objective.ts';
import type { BatchInputs, ForwardOptions, PeftModel } from './peft-model.ts';

type Inputs = Readonly<Record<string, HostArray>>;

/** What a session computes of a batch: one tensor. */
export interface BatchFunction<B extends BatchShape> {
  /** Of its programs, in errors and profiles. */
  readonly name: string;
  readonly specs: (shape: BatchShape) => Readonly<Record<string, InputSpec>>;
  /** Inputs of the runs that a batch takes, in order; usually one. */
  readonly inputs: (batch: B) => readonly Inputs[];
  readonly trace: (inputs: Readonly<Record<string, Tensor>>) => Tensor;
  /** For devices that cannot take a batch whole; absent: it is refused then. */
  readonly parts?: BatchParts<B>;
}

/** How a batch is computed in parts. */
export interface BatchParts<B extends BatchShape> {
  /** Rows that stay together. */
  readonly unit: (batch: B) => number;
  readonly split: (batch: B, rows: number) => readonly B[];
  /** The values of a batch from those of its parts. */
  readonly join: (batch: B, parts: readonly { readonly batch: B; readonly values: Float32Array }[]) => Float32Array;
}

export class InferenceSession<B extends BatchShape = Batch> implements Disposable {
  readonly #programs: ProgramCache;
  readonly #inputs: BatchFunction<B>['inputs'];
  readonly #parts: BatchFunction<B>['parts'];

  constructor(engine: Engine, { name, specs, inputs, trace, parts }: BatchFunction<B>) {
    this.#inputs = inputs;
    this.#parts = parts;
    this.#programs = new ProgramCache(engine, (shape) => ({
      name: `${name} ${shape.batch}x${shape.seq}`,
      inputs: specs(shape),
      trace: (given) => ({ outputs: { value: trace(given) } }),
    }));
  }

  /** Compiles what a batch needs. */
  async prepare(batch: B): Promise<void> {
    await this.#rowsOf(batch);
  }

  /** Rows of a batch that run at a time. */
  async #rowsOf(batch: B): Promise<number> {
    const parts = this.#parts;
    if (!parts) {
      await this.#programs.get(batch, this.#inputs(batch)[0]);
      return batch.batch;
    }
    const inputs = (rows: number): Inputs | undefined => this.#inputs(parts.split(batch, rows)[0]!)[0];
    return this.#programs.rowsOf(batch, { inputs, unit: parts.unit(batch) });
  }

  /** The values of a batch, those of its filling rows included. */
  async run(batch: B): Promise<Float32Array> {
    const rows = await this.#rowsOf(batch);
    if (rows === batch.batch) return this.#runWhole(batch);
    const { split, join } = this.#parts!;
    const parts: { batch: B; values: Float32Array }[] = [];
    for (const part of split(batch, rows)) parts.push({ batch: part, values: await this.#runWhole(part) });
    return join(batch, parts);
  }

  async #runWhole(batch: B): Promise<Float32Array> {
    const program = await this.#programs.get(batch);
    const parts: Float32Array[] = [];
    for (const inputs of this.#inputs(batch)) {
      program.run(inputs);
      parts.push(await program.read('value'));
    }
    return parts.length === 1 ? parts[0]! : joined(parts);
  }

  dispose(): void {
    this.#programs.dispose();
  }

  [Symbol.dispose](): void {
    this.dispose();
  }
}

/**
 * The head's scores.
 * @param options masks of a plan that is not applied physically
 * @param rowsPerRun tokens whose scores exist at a time, for heads that read every token; absent: all of a batch
 */
export function logitsSession(model: PeftModel, options: ForwardOptions = {}, rowsPerRun?: number): InferenceSession {
  return new InferenceSession(model.engine, {
    name: 'infer',
    specs: ({ batch, seq }) => model.inputSpecs(batch, seq, { count: rowsPerRun }),
    inputs: (batch: Batch) => {
      const inputs = model.inputValues(batch);
      return rowsPerRun === undefined ? [inputs] : rowRuns(inputs, batch, rowsPerRun);
    },
    trace: (inputs) => model.logits(inputs as BatchInputs, options),
    parts: {
      unit: rowsPerExample,
      split: (batch, rows) => splitBatch(batch, rows, (labels) => labels.subarray(0, 0)),
      join: ({ batch }, parts) => joinedRows(parts, batch, rowsPerRun),
    },
  });
}

/**
 * The objective's mean loss over what is labelled in a batch, one value.
 * @param options masks of a plan that is not applied physically
 */
export function lossSession(model: PeftModel, objective: Objective, options: ForwardOptions = {}): InferenceSession {
  return new InferenceSession(model.engine, {
    name: 'evaluate',
    specs: ({ batch, seq }) => ({ ...model.inputSpecs(batch, seq), labels: objective.labels(batch, seq) }),
    inputs: (batch: Batch) => [{ ...model.inputValues(batch), labels: batch.labels }],
    trace: (inputs) => model.loss(objective, inputs as BatchInputs, inputs.labels!, options),
    parts: {
      unit: rowsPerExample,
      split: (batch, rows) =>
        splitBatch(batch, rows, (labels, from) => objective.part(labels, from, rows, batch.batch)),
      join: ({ labels }, parts) =>
        Float32Array.of(
          parts.reduce((sum, { batch, values }) => sum + values[0]! * objective.share(batch.labels, labels), 0),
        ),
    },
  });
}

/** What was computed of a part of a batch. */
export interface PartValues {
  readonly batch: Batch;
  readonly values: Float32Array;
}

/** Values of the rows of a batch, one of each or equally many, without those of filling in the last part, and in the last of a part's runs. */
export function joinedRows(parts: readonly PartValues[], rows: number, rowsPerRun = 1): Float32Array {
  const read = parts.map(({ batch: { batch, seq }, values }) => {
    const runs = Math.ceil((batch * seq) / rowsPerRun);
    return values.subarray(0, (values.length * batch * seq) / (runs * rowsPerRun));
  });
  const whole = joined(read);
  const computed = parts.reduce((sum, { batch }) => sum + batch.batch, 0);
  return whole.subarray(0, (whole.length / computed) * rows);
}

/** Inputs that differ in the rows the head reads: some tokens at a time, −1 past the last. */
function rowRuns(inputs: Inputs, { batch, seq }: BatchShape, count: number): Inputs[] {
  const tokens = batch * seq;
  return Array.from({ length: Math.ceil(tokens / count) }, (_, run) => {
    const at = (i: number): number => run * count + i;
    return { ...inputs, rows: Int32Array.from({ length: count }, (__, i) => (at(i) < tokens ? at(i) : -1)) };
  });
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
