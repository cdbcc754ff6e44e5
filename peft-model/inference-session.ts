/** Room: peft-model. Forward passes on batches: a program per batch shape, compiled when a shape is first met. */
import type { InputSpec } from '../engine/compile/program.ts';
import type { Engine, HostArray } from '../engine/engine.ts';
import type { Tensor } from '../engine/graph/tensor.ts';
import { ProgramCache, type BatchShape } from '../engine/program-cache.ts';
import type { Batch } from '../data/data-loader.ts';
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
}

export class InferenceSession<B extends BatchShape = Batch> implements Disposable {
  readonly #programs: ProgramCache;
  readonly #inputs: BatchFunction<B>['inputs'];

  constructor(engine: Engine, { name, specs, inputs, trace }: BatchFunction<B>) {
    this.#inputs = inputs;
    this.#programs = new ProgramCache(engine, (shape, selectConfig) =>
      engine.compile(
        `${name} ${shape.batch}x${shape.seq}`,
        specs(shape),
        (given) => ({ outputs: { value: trace(given) } }),
        { selectConfig },
      ),
    );
  }

  /** Compiles what a batch needs. */
  async prepare(batch: B): Promise<void> {
    await this.#programs.get(batch, this.#inputs(batch)[0]);
  }

  /** The values of a batch, those of its filling rows included. */
  async run(batch: B): Promise<Float32Array> {
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
    specs: ({ batch, seq }) => model.inputSpecs(batch, seq, rowsPerRun),
    inputs: (batch: Batch) => {
      const inputs = model.inputValues(batch);
      return rowsPerRun === undefined ? [inputs] : rowRuns(inputs, batch, rowsPerRun);
    },
    trace: (inputs) => model.logits(inputs as BatchInputs, options),
  });
}

/** The objective's mean loss over what is labelled in a batch, one value. */
export function lossSession(model: PeftModel, objective: Objective): InferenceSession {
  return new InferenceSession(model.engine, {
    name: 'evaluate',
    specs: ({ batch, seq }) => ({ ...model.inputSpecs(batch, seq), labels: objective.labels(batch, seq) }),
    inputs: (batch: Batch) => [{ ...model.inputValues(batch), labels: batch.labels }],
    trace: (inputs) => model.loss(objective, inputs as BatchInputs, inputs.labels!),
  });
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
