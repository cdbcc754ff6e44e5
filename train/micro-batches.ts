/**
 * Room: train. A step in parts, where the device cannot hold the whole: a program adds up the gradients of one micro-batch after another, a
 * last one updates. Losses, gradients, dropout and a transform's samples are those of the whole batch, but for rounding.
 */
import { TooLargeError } from '../engine/compile/limits.ts';
import type { Program } from '../engine/compile/program.ts';
import type { Traced } from '../engine/engine.ts';
import type { Tensor } from '../engine/graph/tensor.ts';
import { add, constant, mul } from '../engine/ops/elementwise.ts';
import { reshape } from '../engine/ops/leaf.ts';
import { ADAMW_INPUTS, type AdamW } from '../engine/optim/adamw.ts';
import { ProgramCache, type BatchShape, type ProgramSource } from '../engine/program-cache.ts';
import type { Variable } from '../engine/variable.ts';
import { SLOT_INPUT, type LossBuffer } from './loss-buffer.ts';
import { RANDOM_INPUTS, type Inputs, type OptimizationOptions, type StepTransform, type TrainingLoss } from './step.ts';

const PART_INPUTS = {
  weight: { shape: [1], dtype: 'f32' },
  share: { shape: [1], dtype: 'f32' },
  firstToken: { shape: [1], dtype: 'u32' },
} as const;

type Given<I> = Readonly<Record<string, Tensor>> & Readonly<Record<keyof I, Tensor>>;

export class MicroBatchSteps<B extends BatchShape> {
  readonly #training: TrainingLoss<B>;
  readonly #options: OptimizationOptions;
  readonly #transform: StepTransform | undefined;
  readonly #optimizer: AdamW;
  readonly #losses: LossBuffer;
  readonly #programs: ProgramCache;
  /** Rows at a time, by shape. */
  readonly #rows = new Map<string, number>();
  #update: Promise<Program> | undefined;
  /** The task's loss of the micro-batches so far. */
  #taskLoss: Variable | undefined;

  constructor(
    training: TrainingLoss<B>,
    options: OptimizationOptions,
    { optimizer, losses }: { readonly optimizer: AdamW; readonly losses: LossBuffer },
    transform: StepTransform | undefined,
  ) {
    this.#training = training;
    this.#options = options;
    this.#transform = transform;
    this.#optimizer = optimizer;
    this.#losses = losses;
    this.#programs = new ProgramCache(training.engine, (shape) => this.#source(shape));
  }

  /** Whether batches of this shape were fitted before. */
  has(shape: BatchShape): boolean {
    return this.#rows.has(keyOf(shape));
  }

  /** Finds how many rows fit. @param reason why all do not */
  async fit(batch: B, inputs: Inputs, reason: TooLargeError): Promise<void> {
    const unit = this.#training.unit?.(batch) ?? 1;
    const first = (rows: number): Inputs => this.#parts(batch, rows, inputs)[0]!;
    this.#rows.set(keyOf(batch), await this.#programs.rowsOf(batch, { inputs: first, unit, reason }));
    await (this.#update ??= this.#compileUpdate());
  }

  /** Divides batches of this shape into so many parts, or more where a part does not fit. */
  async divide(batch: B, inputs: Inputs, parts: number): Promise<void> {
    const unit = this.#training.unit?.(batch) ?? 1;
    const rows = unit * Math.ceil(batch.batch / unit / parts);
    try {
      await this.#programs.get({ batch: rows, seq: batch.seq }, this.#parts(batch, rows, inputs)[0]);
      this.#rows.set(keyOf(batch), rows);
      await (this.#update ??= this.#compileUpdate());
    } catch (error) {
      if (!(error instanceof TooLargeError) || error.isResident) throw error;
      await this.fit(batch, inputs, error);
    }
  }

  /** Enqueues a step. @param inputs those of the whole step, for a batch that fits */
  async run(batch: B, inputs: Inputs): Promise<void> {
    const { seq } = batch;
    const rows = this.#rows.get(keyOf(batch))!;
    const program = await this.#programs.get({ batch: rows, seq });
    for (const part of this.#parts(batch, rows, inputs)) program.run(part);
    (await this.#update!).run(inputs);
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
      const i = given as Given<typeof RANDOM_INPUTS & typeof PART_INPUTS>;
      const { seed, step, firstToken, weight, share } = i;
      const random = this.#options.dropoutSeed === undefined ? undefined : { seed, step, firstToken };
      const part = mul(loss(i, { random, ...this.#transform?.forward() }), reshape(weight, []));
      const target = this.#sum;
      const more = this.#transform?.microBatch?.({ inputs: i, share }) ?? [];
      return {
        updates: [...this.#optimizer.accumulate(part), { target, value: add(target.tensor, part) }, ...more],
      };
    };
    return { name: `${name} ${batch}x${seq} of more`, inputs, trace, options: this.#options.compile };
  }

  #compileUpdate(): Promise<Program> {
    const { engine, name, parameters } = this.#training;
    const inputs = { ...ADAMW_INPUTS, slot: SLOT_INPUT, ...this.#transform?.inputs };
    const parameter = (key: string): Tensor => parameters.get(key).tensor;
    return engine.compile(`${name} update`, inputs, (given) => {
      const i = given as Given<typeof ADAMW_INPUTS & { readonly slot: unknown }>;
      const target = this.#sum;
      const penalty = this.#transform?.penalty(parameter);
      const { updates, gradients, norm } = this.#optimizer.stepAccumulated(penalty, i);
      const taskLoss = reshape(target.tensor, []);
      const loss = penalty ? add(taskLoss, penalty) : taskLoss;
      const losses = { loss, task_loss: taskLoss, grad_norm: norm };
      const more = this.#transform?.updates({ inputs: i, gradients, parameter, isAccumulated: true }) ?? [];
      const cleared = { target, value: constant(0, [1]) };
      return { updates: [...updates, ...this.#losses.record(i.slot, losses), cleared, ...more] };
    });
  }

  get #sum(): Variable {
    this.#taskLoss ??= this.#training.engine.variable('task_loss.accumulated', [1], { kind: 'state' });
    return this.#taskLoss;
  }

  get programs(): readonly Program[] {
    return this.#programs.all;
  }

  dispose(): void {
    this.#programs.dispose();
    void this.#update?.then((program) => program.dispose());
    if (this.#taskLoss) this.#training.engine.free(this.#taskLoss);
  }
}

function keyOf({ batch, seq }: BatchShape): string {
  return `${batch}x${seq}`;
}
