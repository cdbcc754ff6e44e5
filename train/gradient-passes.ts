/**
 * Room: train. Forward and backward passes that add the gradients of a batch to those of the step so far: the batch at once, or in
 * micro-batches where that is asked for or the device cannot hold it. Gradients, losses, dropout and a transform's samples are those of the
 * whole batch, but for rounding.
 */
import { TooLargeError } from '../engine/compile/limits.ts';
import type { Update } from '../engine/compile/graph.ts';
import type { Program } from '../engine/compile/program.ts';
import type { Traced } from '../engine/engine.ts';
import type { Tensor } from '../engine/graph/tensor.ts';
import { add, constant, mul } from '../engine/ops/elementwise.ts';
import { reshape } from '../engine/ops/leaf.ts';
import { GradientSums } from '../engine/optim/gradient-sums.ts';
import type { PackedGradients } from '../engine/optim/packed-gradients.ts';
import { ProgramCache, type BatchShape, type ProgramSource } from '../engine/program-cache.ts';
import type { Variable } from '../engine/variable.ts';
import { RANDOM_INPUTS, type Inputs, type OptimizationOptions, type StepTransform, type TrainingLoss } from './step.ts';

const PART_INPUTS = {
  weight: { shape: [1], dtype: 'f32' },
  share: { shape: [1], dtype: 'f32' },
  firstToken: { shape: [1], dtype: 'u32' },
} as const;

type Given = Readonly<Record<string, Tensor>> &
  Readonly<Record<keyof typeof RANDOM_INPUTS | keyof typeof PART_INPUTS, Tensor>>;

export class GradientPasses<B extends BatchShape> implements Disposable {
  readonly sums: GradientSums;
  readonly #training: TrainingLoss<B>;
  readonly #options: OptimizationOptions;
  readonly #transform: StepTransform | undefined;
  readonly #programs: ProgramCache;
  /** The loss of the micro-batches so far. */
  readonly #loss: Variable;
  /** Rows at a time, by shape. */
  readonly #rows = new Map<string, number>();

  constructor(
    training: TrainingLoss<B>,
    options: OptimizationOptions,
    gradients: PackedGradients,
    transform: StepTransform | undefined,
  ) {
    const { engine } = training;
    this.#training = training;
    this.#options = options;
    this.#transform = transform;
    this.sums = new GradientSums(engine, gradients);
    this.#loss = engine.variable('task_loss.accumulated', [1], { kind: 'state' });
    this.#programs = new ProgramCache(engine, (shape) => this.#source(shape));
  }

  /** The loss of the step so far, shape []. */
  get loss(): Tensor {
    return reshape(this.#loss.tensor, []);
  }

  /** Begins anew. */
  cleared(): Update[] {
    return [...this.sums.cleared(), { target: this.#loss, value: constant(0, [1]) }];
  }

  /** Whether it is known how batches of this shape go through. */
  has(shape: BatchShape): boolean {
    return this.#rows.has(keyOf(shape));
  }

  /** Finds how many rows fit. @param reason why all do not */
  async fit(batch: B, inputs: Inputs, reason: TooLargeError): Promise<void> {
    const unit = this.#training.unit?.(batch) ?? 1;
    const first = (rows: number): Inputs => this.#parts(batch, rows, inputs)[0]!;
    this.#rows.set(keyOf(batch), await this.#programs.rowsOf(batch, { inputs: first, unit, reason }));
  }

  /** Divides batches of this shape into so many parts, or more where a part does not fit. */
  async divide(batch: B, inputs: Inputs, parts: number): Promise<void> {
    const unit = this.#training.unit?.(batch) ?? 1;
    const rows = unit * Math.ceil(batch.batch / unit / parts);
    try {
      await this.#programs.get({ batch: rows, seq: batch.seq }, this.#parts(batch, rows, inputs)[0]);
      this.#rows.set(keyOf(batch), rows);
    } catch (error) {
      if (!(error instanceof TooLargeError) || error.isResident) throw error;
      await this.fit(batch, inputs, error);
    }
  }

  /** Enqueues the passes of a batch whose shape is known. @param inputs those of the whole step */
  async run(batch: B, inputs: Inputs): Promise<void> {
    const rows = this.#rows.get(keyOf(batch))!;
    const program = await this.#programs.get({ batch: rows, seq: batch.seq });
    for (const part of this.#parts(batch, rows, inputs)) program.run(part);
  }

  /** Inputs of the micro-batches' runs. */
  #parts(batch: B, rows: number, inputs: Inputs): Inputs[] {
    return this.#training.split!(batch, rows).map(({ batch: part, weight, share }, i) => ({
      ...inputs,
      ...this.#training.inputs(part),
      weight: Float32Array.of(weight),
      share: Float32Array.of(share),
      firstToken: Uint32Array.of(i * rows * batch.seq),
    }));
  }

  #source({ batch, seq }: BatchShape): ProgramSource {
    const { name, specs, loss } = this.#training;
    const inputs = { ...specs({ batch, seq }), ...RANDOM_INPUTS, ...PART_INPUTS, ...this.#transform?.inputs };
    const trace = (given: Readonly<Record<string, Tensor>>): Traced => {
      const i = given as Given;
      const { seed, step, firstToken, weight, share } = i;
      const random = this.#options.dropoutSeed === undefined ? undefined : { seed, step, firstToken };
      const part = mul(loss(i, { random, ...this.#transform?.forward(i) }), reshape(weight, []));
      const more = this.#transform?.microBatch?.({ inputs: i, share }) ?? [];
      const target = this.#loss;
      return { updates: [...this.sums.add(part), { target, value: add(target.tensor, part) }, ...more] };
    };
    return { name: `${name} ${batch}x${seq} of more`, inputs, trace, options: this.#options.compile };
  }

  get programs(): readonly Program[] {
    return this.#programs.all;
  }

  dispose(): void {
    this.#programs.dispose();
    this.sums.free();
    this.#training.engine.free(this.#loss);
  }

  [Symbol.dispose](): void {
    this.dispose();
  }
}

function keyOf({ batch, seq }: BatchShape): string {
  return `${batch}x${seq}`;
}
