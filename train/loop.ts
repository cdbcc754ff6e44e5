/** Room: train. The step loop: enqueues steps, reads losses back in batches, saves, stops on NaN, Ctrl-C or a lost device. */
import { option } from '../engine/errors.ts';
import { DeviceLostError } from '../engine/device/device.ts';
import { UserError } from '../engine/errors.ts';
import { LossWatch, NonFiniteError } from './finite.ts';

/** What a person watching wants to know, some times a second at most. */
export interface StepReport {
  /** Step the run began with; > 0 when it was resumed. */
  readonly from: number;
  readonly step: number;
  readonly total: number;
  readonly loss: number;
  readonly tokensPerSecond: number;
}

export interface LoopOptions {
  /** First step to run; > 0 when resuming. */
  readonly from: number;
  readonly total: number;
  /** Steps between two read-backs of the loss. */
  readonly readEvery: number;
  /** Steps between two checkpoints; 0 = only when interrupted. */
  readonly saveEvery: number;
  readonly signal?: AbortSignal;
  readonly onReport?: (report: StepReport) => void;
}

/** Steps enqueued ahead of the device: enough to keep it busy, few enough that Ctrl-C is soon heard. */
const AHEAD = 4;

/** The work of one training run. */
export interface LoopBody {
  /** Enqueues a step and returns the number of real tokens in it. */
  enqueue(step: number): number | Promise<number>;
  /** Resolves when everything enqueued so far has run, or the device is gone. */
  finished(): Promise<unknown>;
  /** Losses of steps from … to − 1; waits for them. */
  losses(from: number, to: number): Promise<number[]>;
  /** Writes a checkpoint from which `next` is the step to continue with. Absent: nothing is saved. */
  save?(next: number): Promise<void>;
}

/** Training was stopped by the user; a checkpoint was written where one can be. */
export class InterruptedError extends UserError {
  override readonly exitCode = 130;
}

/** Loss became NaN or infinite. */
export class NonFiniteLossError extends NonFiniteError {}

/**
 * Runs steps from … total − 1.
 * @returns seconds spent and real tokens seen, saving excluded
 * @throws NonFiniteLossError, InterruptedError, DeviceLostError, each naming the step and what was kept
 */
export async function runSteps(options: LoopOptions, body: LoopBody): Promise<{ seconds: number; tokens: number }> {
  const { from, total, readEvery, saveEvery, signal, onReport } = options;
  let read = from;
  let saved: number | undefined;
  const watch = new LossWatch();
  let seconds = 0;
  let tokens = 0;
  let started = performance.now();
  let reportedTokens = 0;
  let reportedSeconds = 0;
  const pause = (): void => {
    seconds += (performance.now() - started) / 1000;
    started = performance.now();
  };
  const settle = async (next: number): Promise<void> => {
    if (read === next) return;
    const losses = await body.losses(read, next);
    const bad = losses.findIndex((loss) => !Number.isFinite(loss));
    if (bad !== -1)
      throw new NonFiniteLossError(
        `Loss is ${losses[bad]} at step ${read + bad + 1}: ${remedy(read + bad)}. ${kept(saved)}`,
      );
    watch.see(losses, read + 1);
    read = next;
    pause();
    const rate = (tokens - reportedTokens) / Math.max(1e-9, seconds - reportedSeconds);
    reportedTokens = tokens;
    reportedSeconds = seconds;
    onReport?.({ from, step: next, total, loss: losses[losses.length - 1]!, tokensPerSecond: rate });
  };
  const save = async (next: number): Promise<void> => {
    await settle(next);
    if (!body.save) return;
    await body.save(next);
    saved = next;
    started = performance.now();
  };
  const underWay: Promise<unknown>[] = [];
  let step = from;
  try {
    for (; step < total; step++) {
      if (signal?.aborted) {
        await save(step);
        throw new InterruptedError(`Interrupted after step ${step} of ${total}. ${kept(saved)}`);
      }
      tokens += await body.enqueue(step);
      underWay.push(body.finished().catch(() => undefined));
      if (underWay.length > AHEAD) await underWay.shift();
      const next = step + 1;
      if (saveEvery > 0 && next % saveEvery === 0 && next < total) await save(next);
      else if (next - read >= readEvery || next === total) await settle(next);
    }
  } catch (error) {
    if (!(error instanceof DeviceLostError)) throw error;
    throw new UserError(`${error.message} at step ${step + 1} of ${total}. ${kept(saved)}`);
  }
  return { seconds, tokens };
}

/** @param before steps before the one whose loss is not finite */
function remedy(before: number): string {
  return before > 0 ? `lower ${option('lr')}` : 'nothing was learned yet, so weights or data are too large';
}

function kept(saved: number | undefined): string {
  return saved === undefined
    ? 'No checkpoint was written.'
    : `The checkpoint of step ${saved} is kept; go on with ${option('resume')}.`;
}
