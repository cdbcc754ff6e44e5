/** Room: cli. `--pause-after`: training in parts. A sweep's scheduler decides between two parts whether a run goes on. */
import { Option, type Command } from 'commander';
import { UserError } from '../engine/errors.ts';
import type { RunOptions } from '../experiments/options.ts';
import type { TrainerCallback } from '../train/callbacks.ts';
import { PAUSED } from '../sweep/child.ts';
import { parseNumber } from './options.ts';

export interface PauseFlag {
  readonly pauseAfter?: number;
}

export function addPauseFlag(command: Command): Command {
  const text = `stop after the evaluation at step n, with a checkpoint and exit code ${PAUSED}; the same command goes on`;
  return command.addOption(
    new Option('--pause-after <n>', text).argParser((given) => parseNumber(given, '--pause-after')),
  );
}

/** @throws UserError where no evaluation follows that step */
export function checkPause({ pauseAfter }: PauseFlag, { train: { evalStrategy, evalSteps } }: RunOptions): void {
  if (pauseAfter === undefined) return;
  if (!Number.isInteger(pauseAfter) || pauseAfter < 1)
    throw new UserError(`--pause-after: found ${pauseAfter}, expected a whole number of steps, at least 1`);
  if (evalStrategy !== 'steps' || evalSteps === undefined || pauseAfter % evalSteps !== 0)
    throw new UserError(
      `--pause-after: step ${pauseAfter} is not evaluated; --eval-strategy steps --eval-steps ${pauseAfter} does`,
    );
}

/** Hears when the step is evaluated, or was before. @param pause stops the run as a signal does */
export function pausing({ pauseAfter = Infinity }: PauseFlag, pause: () => void): TrainerCallback {
  return {
    onTrainBegin: (step) => {
      if (step >= pauseAfter) pause();
    },
    onEvaluate: ({ step }) => {
      if (step >= pauseAfter) pause();
    },
  };
}
