/**
 * Room: train. A step in parts, where the device cannot hold the whole or it is asked for: passes add up the gradients of one micro-batch
 * after another, a last program updates.
 */
import type { TooLargeError } from '../engine/compile/limits.ts';
import type { Program } from '../engine/compile/program.ts';
import type { Tensor } from '../engine/graph/tensor.ts';
import { add } from '../engine/ops/elementwise.ts';
import { ADAMW_INPUTS, type AdamW } from '../engine/optim/adamw.ts';
import type { BatchShape } from '../engine/program-cache.ts';
import { GradientPasses } from './gradient-passes.ts';
import { disposeOf } from './run-steps.ts';
import { SLOT_INPUT, type LossBuffer } from './loss-buffer.ts';
import type { Inputs, OptimizationOptions, StepTransform, TrainingLoss } from './step.ts';

type Given = Readonly<Record<string, Tensor>> & Readonly<Record<keyof typeof ADAMW_INPUTS | 'slot', Tensor>>;

export class MicroBatchSteps<B extends BatchShape> {
  readonly #training: TrainingLoss<B>;
  readonly #options: OptimizationOptions;
  readonly #transform: StepTransform | undefined;
  readonly #optimizer: AdamW;
  readonly #losses: LossBuffer;
  /** Made when a step is first in parts. */
  #passes: GradientPasses<B> | undefined;
  #update: Promise<Program> | undefined;

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
  }

  /** Whether batches of this shape were fitted before. */
  has(shape: BatchShape): boolean {
    return this.#passes?.has(shape) ?? false;
  }

  /** Finds how many rows fit. @param reason why all do not */
  async fit(batch: B, inputs: Inputs, reason: TooLargeError): Promise<void> {
    await this.#made.fit(batch, inputs, reason);
    await (this.#update ??= this.#compileUpdate());
  }

  /** Divides batches of this shape into so many parts, or more where a part does not fit. */
  async divide(batch: B, inputs: Inputs, parts: number): Promise<void> {
    await this.#made.divide(batch, inputs, parts);
    await (this.#update ??= this.#compileUpdate());
  }

  /** Enqueues a step. @param inputs those of the whole step, for a batch that fits */
  async run(batch: B, inputs: Inputs): Promise<void> {
    await this.#made.run(batch, inputs);
    (await this.#update!).run(inputs);
  }

  #compileUpdate(): Promise<Program> {
    const { engine, name, parameters } = this.#training;
    const passes = this.#made;
    const inputs = { ...ADAMW_INPUTS, slot: SLOT_INPUT, ...this.#transform?.inputs };
    const parameter = (key: string): Tensor => parameters.get(key).tensor;
    return engine.compile(`${name} update`, inputs, (given) => {
      const i = given as Given;
      const penalty = this.#transform?.penalty(parameter);
      const { packed, gradients } = this.#gradients(penalty);
      const { updates, norm } = this.#optimizer.apply(packed, i);
      const { loss: taskLoss } = passes;
      const loss = penalty ? add(taskLoss, penalty) : taskLoss;
      const losses = { loss, task_loss: taskLoss, grad_norm: norm };
      const grouped = this.#optimizer.gradients.grouped(packed);
      const graph = { inputs: i, gradients, packed: grouped, parameter, isAccumulated: true };
      const more = this.#transform?.updates(graph) ?? [];
      return { updates: [...updates, ...this.#losses.record(i.slot, losses), ...passes.cleared(), ...more] };
    });
  }

  /** Those of all micro-batches, and of what is added once a step. */
  #gradients(penalty: Tensor | undefined): { packed: readonly Tensor[]; gradients: ReadonlyMap<string, Tensor> } {
    const { sums } = this.#made;
    const sofar = sums.byName();
    if (!penalty) return { packed: sums.sums.map(({ tensor }) => tensor), gradients: sofar };
    const more = this.#optimizer.gradients.of(penalty);
    const gradients = new Map([...sofar].map(([name, gradient]) => [name, add(gradient, more.get(name)!)]));
    return { packed: this.#optimizer.gradients.pack(gradients), gradients };
  }

  get #made(): GradientPasses<B> {
    this.#passes ??= new GradientPasses(this.#training, this.#options, this.#optimizer.gradients, this.#transform);
    return this.#passes;
  }

  get programs(): readonly Program[] {
    return this.#passes?.programs ?? [];
  }

  dispose(): void {
    disposeOf(this.#update);
    this.#passes?.dispose();
  }
}
