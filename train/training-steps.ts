/** Room: train. Steps on one loss: a program per batch shape holds forward, backward, clipping and update. */
import { TooLargeError } from '../engine/compile/limits.ts';
import type { Program } from '../engine/compile/program.ts';
import type { HostArray, Traced } from '../engine/engine.ts';
import { option, UserError } from '../engine/errors.ts';
import type { Tensor } from '../engine/graph/tensor.ts';
import { ADAMW_INPUTS, type AdamW } from '../engine/optim/adamw.ts';
import { add } from '../engine/ops/elementwise.ts';
import type { RandomState } from '../engine/ops/elementwise.ts';
import { ProgramCache, type BatchShape, type ProgramSource } from '../engine/program-cache.ts';
import { SLOT_INPUT } from './loss-buffer.ts';
import { MicroBatchSteps } from './micro-batches.ts';
import { Optimization } from './optimization.ts';
import { RANDOM_INPUTS, type Inputs, type OptimizationOptions, type StepTransform, type TrainingLoss } from './step.ts';
import { OptimizedSteps } from './run-steps.ts';

/** The optimizer, the record of losses, and the programs by batch shape of one training run. */
export class TrainingSteps<B extends BatchShape> extends OptimizedSteps<B> {
  readonly #training: TrainingLoss<B>;
  readonly #options: OptimizationOptions;
  readonly #transform: StepTransform | undefined;
  readonly #programs: ProgramCache;
  readonly #microBatches: MicroBatchSteps<B>;

  /** @param recordsNorm whether the gradients' norm is kept beside the losses */
  constructor(training: TrainingLoss<B>, options: OptimizationOptions, transform?: StepTransform, recordsNorm = false) {
    const { engine, parameters } = training;
    super(engine, new Optimization(engine, parameters, options, transform, recordsNorm ? { grad_norm: 1 } : {}));
    this.#training = training;
    this.#options = options;
    this.#transform = transform;
    this.#programs = new ProgramCache(engine, (shape) => this.#source(shape));
    this.#microBatches = new MicroBatchSteps(training, options, this, transform);
  }

  get optimizer(): AdamW {
    return this.optimization.optimizer;
  }

  /** Enqueues a step: one program, or where the device cannot hold that, micro-batches and an update. @param step counts from 0 */
  async run(step: number, batch: B): Promise<void> {
    const inputs = this.inputs(step, batch);
    const microBatches = this.#microBatches;
    const { accumulation = 1 } = this.#options;
    if (accumulation > 1 && !microBatches.has(batch)) await microBatches.divide(batch, inputs, accumulation);
    if (microBatches.has(batch)) return microBatches.run(batch, inputs);
    try {
      (await this.program(batch, inputs)).run(inputs);
    } catch (error) {
      if (!(error instanceof TooLargeError) || error.isResident) throw error;
      if (!this.#training.split) throw new UserError(`${error.message}: lower ${option('batchSize')}`);
      await microBatches.fit(batch, inputs, error);
      await microBatches.run(batch, inputs);
    }
  }

  /** The step's program for batches of this shape, compiled when the shape is first met. @param inputs values to tune with */
  program(shape: BatchShape, inputs?: Inputs): Promise<Program> {
    return this.#programs.get(shape, inputs);
  }

  /** Values of the program's inputs. @param step counts from 0 */
  inputs(step: number, batch: B): Record<string, HostArray> {
    return { ...this.#training.inputs(batch), ...this.optimization.inputs(step) };
  }

  tokens(batch: B): number {
    return this.#training.tokens(batch);
  }

  get programs(): readonly Program[] {
    return [...this.#programs.all, ...this.#microBatches.programs];
  }

  dispose(): void {
    this.#programs.dispose();
    this.#microBatches.dispose();
    this.optimization.free();
  }

  #source(shape: BatchShape): ProgramSource {
    const { parameters, name, specs } = this.#training;
    const inputs = { ...specs(shape), ...ADAMW_INPUTS, ...RANDOM_INPUTS, slot: SLOT_INPUT, ...this.#transform?.inputs };
    const parameter = (key: string): Tensor => parameters.get(key).tensor;
    const trace = (given: Readonly<Record<string, Tensor>>): Traced => {
      const i = given as typeof given & Readonly<Record<keyof typeof ADAMW_INPUTS | 'seed' | 'step' | 'slot', Tensor>>;
      const random: RandomState | undefined =
        this.#options.dropoutSeed === undefined ? undefined : { seed: i.seed, step: i.step };
      const taskLoss = this.#training.loss(i, { random, ...this.#transform?.forward(i) });
      const loss = this.#transform ? add(taskLoss, this.#transform.penalty(parameter)) : taskLoss;
      const step = this.optimizer.step(loss, i);
      const packed = this.optimizer.gradients.grouped(step.packed);
      const more = this.#transform?.updates({ inputs: i, gradients: step.gradients, packed, parameter }) ?? [];
      const losses = { loss, task_loss: taskLoss, grad_norm: step.norm };
      return { updates: [...step.updates, ...this.losses.record(i.slot, losses), ...more] };
    };
    return { name: `${name} ${shape.batch}x${shape.seq}`, inputs, trace, options: this.#options.compile };
  }
}
