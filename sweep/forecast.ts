/** Room: sweep. How long a sweep will take, from the first steps of its first trial. */
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join, relative, resolve } from 'node:path';
import { z } from 'zod';
import type { StepReport } from './child.ts';
import type { Job } from './job.ts';
import { jobOf, type PlannedTrial, type SweepPlan, type TrialSize } from './plan.ts';
import { perform, type Place } from './perform.ts';

/** Steps that are measured, and of the estimation before them. */
const MEASURED = { steps: 12, every: 4, estimateSteps: 2, evalExamples: 64 } as const;

/** A step of the estimation, which trains masks besides, against one of training. */
const ESTIMATION_COST = 1.3;

const resultSchema = z.looseObject({ tasks: z.array(z.object({ trainExamples: z.number() })).default([]) });

export interface Measured {
  readonly secondsPerStep: number;
  /** What a trial takes besides its steps: loading, compilation, its page. */
  readonly overhead: number;
  /** Steps of the batch size that was measured. */
  readonly batchSize: number;
  /** Training examples of the whole data. */
  readonly examples: number;
}

/** Runs some steps of a trial in a folder that goes again. @returns undefined for commands that do not train */
export async function measureTrial(plan: SweepPlan, place: Place, signal: AbortSignal): Promise<Measured | undefined> {
  const [trial] = plan.trials as [PlannedTrial];
  if (plan.command !== 'run' && plan.command !== 'train') return undefined;
  const folder = await mkdtemp(join(tmpdir(), 'light-peft-sweep-'));
  try {
    const job = shortJob(plan, trial, relative(resolve(place.storage), folder));
    const times: { readonly step: number; readonly at: number }[] = [];
    const onStep = ({ step }: StepReport): void => void times.push({ step, at: performance.now() / 1000 });
    const own = { ...place, factsOf: () => Promise.resolve(job.facts) };
    const { seconds, result } = await perform(job, own, { signal, onStep });
    // The first report comes after compilation.
    const [first, last] = [times.findLast(({ step }) => step === MEASURED.every)!, times.at(-1)!];
    const secondsPerStep = (last.at - first.at) / (last.step - first.step);
    const { tasks } = resultSchema.parse(result ?? {});
    return {
      secondsPerStep,
      overhead: Math.max(0, seconds - secondsPerStep * (MEASURED.steps + MEASURED.estimateSteps * ESTIMATION_COST)),
      batchSize: trial.size.batchSize,
      examples: tasks.reduce((sum, { trainExamples }) => sum + trainExamples, 0),
    };
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}

/** The trial with few steps, and a word after every fourth. */
function shortJob(plan: SweepPlan, trial: PlannedTrial, folder: string): Job {
  const { 'eval-strategy': _, 'eval-steps': __, epochs: ___, ...config } = trial.config;
  const { steps, every, estimateSteps, evalExamples } = MEASURED;
  const few = { steps, 'save-every': every, 'estimate-steps': estimateSteps, 'max-eval-examples': evalExamples };
  return jobOf(plan, { ...trial, estimate: undefined, config: { ...config, ...few } }, { folder, retries: 0 });
}

/** Seconds of all trials and estimations, one after the other. */
export function forecast(plan: SweepPlan, measured: Measured): number {
  const estimations = new Map(
    plan.trials.flatMap((trial) => (trial.estimate ? [[trial.estimate.id, trial.size]] : [])),
  );
  const ofTrials = plan.trials.map(({ size, estimate }) => secondsOf(stepsOf(size, measured) + (estimate ? 0 : size.estimateSteps), size, measured)); // prettier-ignore
  const ofEstimations = [...estimations.values()].map((size) => secondsOf(size.estimateSteps * ESTIMATION_COST, size, measured)); // prettier-ignore
  return [...ofTrials, ...ofEstimations].reduce((a, b) => a + b, 0);
}

function secondsOf(steps: number, { batchSize }: TrialSize, measured: Measured): number {
  return measured.overhead + steps * measured.secondsPerStep * (batchSize / measured.batchSize);
}

function stepsOf({ steps, epochs, batchSize }: TrialSize, { examples }: Measured): number {
  return steps > 0 ? steps : Math.ceil(examples / batchSize) * epochs;
}
