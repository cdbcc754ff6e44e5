/** Room: train. The step loop: enqueues steps, reads losses back in batches, saves, stops on NaN, a signal or a lost device. */
import { option } from '../engine/errors.ts';
import { DeviceLostError } from '../engine/device/device.ts';
import { UserError } from '../engine/errors.ts';
import { warn } from '../engine/warnings.ts';
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
  /** Steps between two checkpoints; 0 = by time alone. */
  readonly saveEvery: number;
  /** Seconds between two checkpoints where no steps are given. */
  readonly saveSeconds?: number | undefined;
  /** Whether who stopped goes on by the same command. */
  readonly resumes?: boolean | undefined;
  readonly signal?: AbortSignal;
  readonly onReport?: (report: StepReport) => void;
}

/** Steps enqueued ahead of the device: enough to keep it busy, few enough that Ctrl-C is soon heard. */
const AHEAD = 4;

/** Seconds of work that may be lost. */
const SAVE_SECONDS = 120;

/** Saving may take this part of the time. */
const SAVING_SHARE = 0.05;

/** How long steps took, saving excluded, and the real tokens in them. */
export interface StepTiming {
  readonly seconds: number;
  readonly tokens: number;
}

/** The work of one training run. */
export interface LoopBody {
  /** Enqueues a step and returns the number of real tokens in it. */
  enqueue(step: number): number | Promise<number>;
  /** Resolves when everything enqueued so far has run, or the device is gone. */
  finished(): Promise<unknown>;
  /** Losses of steps from … to − 1; waits for them. */
  losses(from: number, to: number): Promise<number[]>;
  /** Whether the run ends with the step enqueued last. */
  isOver?(): boolean;
  /** Hears of steps from … to − 1, whose losses were read. @returns whether the run ends with the steps enqueued so far */
  settled?(from: number, to: number): Promise<boolean>;
  readonly evaluation?: LoopEvaluation | undefined;
  /** Writes a checkpoint from which `next` is the step to continue with. Absent: nothing is saved. @param timing of the steps so far */
  save?(next: number, timing: StepTiming): Promise<void>;
}

/** What is measured between steps, and after the last. */
export interface LoopEvaluation {
  /** Whether it is due after so many steps. */
  isDue(steps: number): boolean;
  /** Whether it was made after so many steps, the latest. */
  isDone(steps: number): boolean;
  /**
   * Measures; the losses of all steps have been read.
   * @returns whether the run ends
   * @throws the signal's reason, once it is aborted: the evaluation is made anew when the run goes on
   */
  run(steps: number): Promise<boolean>;
  /** Whether a checkpoint follows. */
  readonly isSaved: boolean;
}

/** Training was stopped by a signal; a checkpoint was written where one can be. */
export class InterruptedError extends UserError {
  override readonly exitCode: number;

  /** @param exitCode of the command; that of Ctrl-C, where nothing else ended it */
  constructor(message: string, exitCode = 130) {
    super(message);
    this.exitCode = exitCode;
  }
}

/** Loss became NaN or infinite. */
export class NonFiniteLossError extends NonFiniteError {}

/**
 * Runs steps from … total − 1. Saves after so many steps, else after some minutes, and when it is stopped. While it runs it listens to the
 * signal: who sends it knows by that whether it is heard.
 * @returns how long its steps took, and after how many the run ended
 * @throws NonFiniteLossError, InterruptedError, DeviceLostError, each naming the step and what was kept
 */
export async function runSteps(options: LoopOptions, body: LoopBody): Promise<StepTiming & { steps: number }> {
  const { from, total, readEvery, saveEvery, saveSeconds = SAVE_SECONDS, resumes = false, signal, onReport } = options;
  let read = from;
  let end = total;
  let saved = from > 0 ? from : undefined;
  let saveAt = performance.now() + saveSeconds * 1000;
  const onAbort = (): void => undefined;
  signal?.addEventListener('abort', onAbort);
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
    pause();
    const isOver = await body.settled?.(read, bad === -1 ? next : read + bad);
    started = performance.now();
    if (bad !== -1)
      throw new NonFiniteLossError(
        `Loss is ${losses[bad]} at step ${read + bad + 1}: ${remedy(read + bad)}. ${kept(saved, resumes)}`,
      );
    watch.see(losses, read + 1);
    read = next;
    if (isOver) end = next;
    const rate = (tokens - reportedTokens) / Math.max(1e-9, seconds - reportedSeconds);
    reportedTokens = tokens;
    reportedSeconds = seconds;
    onReport?.({ from, step: next, total, loss: losses[losses.length - 1]!, tokensPerSecond: rate });
  };
  /** @returns what went wrong, where it is the disk's fault: then only the checkpoint is lost, not the training. */
  const save = async (next: number): Promise<string | undefined> => {
    await settle(next);
    if (!body.save) return undefined;
    const begun = performance.now();
    const failure = await body.save(next, { seconds, tokens }).then(() => undefined, diskError);
    if (failure === undefined) saved = next;
    started = performance.now();
    saveAt = started + Math.max(saveSeconds * 1000, (started - begun) / SAVING_SHARE);
    return failure;
  };
  const { evaluation } = body;
  /** @param where said of the place @throws InterruptedError */
  const interrupt = async (next: number, where = ''): Promise<never> => {
    await settle(next);
    // A run that a callback ended goes on from an earlier checkpoint, so that the callback hears of its end again.
    const isEnded = next === end && end < total;
    const failure = isEnded ? undefined : await save(next);
    const why = failure === undefined ? '' : `${failure}. `;
    throw new InterruptedError(`Interrupted ${where}after step ${next} of ${total}. ${why}${kept(saved, resumes)}`);
  };
  const measure = async (next: number): Promise<void> => {
    try {
      if (await evaluation?.run(next)) end = next;
    } catch (error) {
      if (!signal?.aborted || error !== signal.reason) throw error;
      await interrupt(next, 'in the evaluation ');
    }
    started = performance.now();
  };
  const isDue = (next: number): boolean =>
    body.save !== undefined && next < end && (saveEvery > 0 ? next % saveEvery === 0 : performance.now() >= saveAt);
  /** What follows the steps before `next`. */
  const conclude = async (next: number): Promise<void> => {
    const isMeasured = evaluation?.isDue(next) ?? false;
    const isSaved = isDue(next) || (isMeasured && evaluation!.isSaved);
    if (isMeasured || isSaved || next - read >= readEvery || next === end) await settle(next);
    if (isMeasured || next === end) await measure(next);
    if (!isSaved || next === end) return;
    const failure = await save(next);
    if (failure !== undefined) warn(`no checkpoint at step ${next}: ${failure}; training goes on`);
  };
  /** Whether the run was stopped in the evaluation that follows the steps before the first. */
  const isUnmeasured = from > 0 && evaluation && !evaluation.isDone(from) && (evaluation.isDue(from) || from === total);
  const underWay: Promise<unknown>[] = [];
  let step = from;
  try {
    if (isUnmeasured) await conclude(from);
    for (; step < end; step++) {
      if (signal?.aborted) await interrupt(step);
      tokens += await body.enqueue(step);
      if (body.isOver?.()) end = step + 1;
      underWay.push(body.finished().catch(() => undefined));
      if (underWay.length > AHEAD) await underWay.shift();
      await conclude(step + 1);
    }
  } catch (error) {
    if (!(error instanceof DeviceLostError)) throw error;
    throw new UserError(`${error.message} at step ${step + 1} of ${total}. ${kept(saved, resumes)}`);
  } finally {
    signal?.removeEventListener('abort', onAbort);
  }
  return { steps: step, seconds, tokens };
}

function diskError(error: unknown): string {
  if (error instanceof UserError && !(error instanceof DeviceLostError)) return error.message;
  throw error;
}

/** @param before steps before the one whose loss is not finite */
function remedy(before: number): string {
  return before > 0 ? `lower ${option('lr')}` : 'nothing was learned yet, so weights or data are too large';
}

function kept(saved: number | undefined, resumes: boolean): string {
  if (saved === undefined) return 'No checkpoint was written.';
  const how = resumes ? 'the same command goes on' : `go on with ${option('resume')}`;
  return `The checkpoint of step ${saved} is kept; ${how}.`;
}
