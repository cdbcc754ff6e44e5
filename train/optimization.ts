/** Room: train. What the steps of a run have in common, however they are put together: the optimizer, its pace, the record of losses. */
import type { Engine, HostArray } from '../engine/engine.ts';
import type { Parameters } from '../engine/nn/parameters.ts';
import { AdamW, ADAMW_DEFAULTS } from '../engine/optim/adamw.ts';
import { scheduleAt, type Schedule } from '../engine/optim/schedule.ts';
import type { Variable } from '../engine/variable.ts';
import type { StepRecord } from './callbacks.ts';
import { LossBuffer } from './loss-buffer.ts';
import type { OptimizationOptions, StepTransform } from './step.ts';

/** Losses kept on the device between two read-backs; more would delay the report, fewer would wait more often. */
export const READ_EVERY = 16;

export class Optimization {
  readonly optimizer: AdamW;
  readonly losses: LossBuffer;
  readonly #parameters: Parameters;
  readonly #options: OptimizationOptions;
  readonly #transform: StepTransform | undefined;

  /** @param more series kept beside the losses, by their width */
  constructor(
    engine: Engine,
    parameters: Parameters,
    options: OptimizationOptions,
    transform: StepTransform | undefined,
    more: Readonly<Record<string, number>>,
  ) {
    this.#parameters = parameters;
    this.#options = options;
    this.#transform = transform;
    const { beta1, beta2, eps, weightDecay, maxGradNorm } = { ...ADAMW_DEFAULTS, ...options };
    this.optimizer = new AdamW(engine, parameters, { beta1, beta2, eps, weightDecay, maxGradNorm });
    this.losses = new LossBuffer(engine, { loss: 1, task_loss: 1, ...more }, READ_EVERY);
  }

  /** Values of the inputs that do not depend on a batch. @param step counts from 0 */
  inputs(step: number): Record<string, HostArray> {
    const { dropoutSeed = 0 } = this.#options;
    return {
      ...this.optimizer.inputs(step + 1, this.#lrAt(step)),
      seed: Uint32Array.of(dropoutSeed),
      step: Uint32Array.of(step),
      slot: this.losses.slot(step),
      ...this.#transform?.values(step),
    };
  }

  #lrAt(step: number): number {
    return this.#options.lr * scheduleAt(scheduleOf(this.#options), step);
  }

  /** What there is to tell of steps from … to − 1, the latest. @param past their losses, with those of all before */
  async records(
    { loss, taskLoss }: { readonly loss: readonly number[]; readonly taskLoss: readonly number[] },
    from: number,
    to: number,
    perEpoch: number,
  ): Promise<StepRecord[]> {
    const norms = await this.losses.read('grad_norm', from, to);
    return norms.map((gradNorm, i) => {
      const at = from + i;
      const step = at + 1;
      return { step, epoch: step / perEpoch, loss: loss[at]!, taskLoss: taskLoss[at]!, lr: this.#lrAt(at), gradNorm };
    });
  }

  /** What is trained. */
  get weights(): readonly Variable[] {
    return this.#parameters.groups.map(({ flat }) => flat);
  }

  /** Everything a checkpoint holds. */
  get state(): readonly Variable[] {
    return [...this.weights, ...this.optimizer.state, ...(this.#transform?.state ?? [])];
  }

  /** The rest, which checkpoints of earlier versions may lack. */
  get newState(): readonly Variable[] {
    return this.#transform?.newState ?? [];
  }

  free(): void {
    this.optimizer.free();
    this.losses.free();
  }
}

function scheduleOf(options: OptimizationOptions): Schedule {
  const { schedule: name, steps: total, warmupRatio, numCycles: cycles, power, lr, lrEnd } = options;
  const { warmupSteps: warmup = Math.ceil(total * warmupRatio) } = options;
  return { name, total, warmup, cycles, power, end: lrEnd === undefined ? undefined : lrEnd / lr };
}
