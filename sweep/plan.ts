/** Room: sweep. From `sweep.yaml` to trials and what they share. Reads base and data, runs nothing. */
import { z } from 'zod';
import { UserError } from '../engine/errors.ts';
import { configSchema, type SchedulerOptions, type TrialConfig } from '../report/sweep/schema.ts';
import { expand } from './expand.ts';
import { estimationOf, idOf, methodOf, readOptions, trialId, type Command, type Resolved } from './identity.ts';
import { factsSchema, idSchema, jobSchema, type Facts, type Job } from './job.ts';
import { METHODS } from '../experiments/runner.ts';
import { assertOptions } from './options.ts';
import { forSelection } from './split.ts';
import type { SweepSpec } from './spec.ts';

/** Reads a configuration, its base and its data. @throws UserError */
export type Resolve = (command: Command, config: TrialConfig) => Promise<Resolved>;

/** What the time of a trial depends on; no steps: by epochs. */
const sizeSchema = z.strictObject({ steps: z.int(), epochs: z.number(), batchSize: z.int(), estimateSteps: z.int() });

export type TrialSize = z.infer<typeof sizeSchema>;

export const plannedSchema = z.strictObject({
  id: idSchema,
  config: configSchema,
  facts: factsSchema,
  size: sizeSchema,
  /** The shared estimation. */
  estimate: jobSchema.shape.estimate,
});

export type PlannedTrial = z.infer<typeof plannedSchema>;

export interface SweepPlan {
  readonly id: string;
  readonly command: Command;
  readonly trials: readonly PlannedTrial[];
  /** Configurations that turned out to be trials that are there already. */
  readonly repeated: number;
  readonly axes: readonly string[];
  readonly scheduler?: SchedulerOptions | undefined;
  readonly facts: Facts;
}

/** @param file named in errors @throws UserError for options that are none, and as `resolve` */
export async function planSweep(spec: SweepSpec, file: string, resolve: Resolve): Promise<SweepPlan> {
  const { command } = spec;
  const configs = expand(spec).map((config) => withRungs(forSelection(config, spec), spec.scheduler));
  if (configs.length === 0) throw new UserError(`${file}: no configuration is left, "exclude" leaves out all`);
  const trials = new Map<string, PlannedTrial>();
  for (const given of configs) {
    assertOptions(command, given, file);
    assertMethod(command, given, file);
    const resolved = await resolve(command, given);
    const config = readOptions(command, given, resolved.options);
    const id = trialId(command, config, resolved);
    if (trials.has(id)) continue;
    const shared = command === 'run' ? estimationOf(config, resolved) : undefined;
    const estimate = shared && { ...shared, command: 'estimate' as const };
    trials.set(id, { id, config, facts: resolved.facts, size: sizeOf(resolved.options), estimate });
  }
  const planned = [...trials.values()];
  const { facts } = planned[0]!;
  return {
    id: idOf({ trials: [...trials.keys()], metric: spec.metric, scheduler: spec.scheduler, final: spec.final }),
    command,
    trials: planned,
    repeated: configs.length - planned.length,
    axes: axesOf(planned.map(({ config }) => config)),
    scheduler: schedulerOptions(spec.scheduler),
    facts,
  };
}

function sizeOf({ train: { steps, epochs, batchSize }, estimate: { estimateSteps } }: Resolved['options']): TrialSize {
  return { steps, epochs, batchSize, estimateSteps };
}

function assertMethod(command: Command, config: TrialConfig, file: string): void {
  if (command !== 'run' || methodOf(config)) return;
  throw new UserError(
    `${file}: option "methods": found ${JSON.stringify(config.methods)}, expected some of ${METHODS.join(', ')}`,
  );
}

function schedulerOptions(given: SweepSpec['scheduler']): SchedulerOptions | undefined {
  if (given?.name === 'median') return { name: 'median', every: given.every, minTrials: given['min-trials'] };
  return given && { name: 'asha', minSteps: given['min-steps'], reductionFactor: given['reduction-factor'] };
}

/** With evaluations at the scheduler's rungs. */
function withRungs(config: TrialConfig, scheduler: SweepSpec['scheduler']): TrialConfig {
  if (!scheduler) return config;
  const every = scheduler.name === 'asha' ? scheduler['min-steps'] : scheduler.every;
  return { ...config, 'eval-strategy': 'steps', 'eval-steps': every };
}

/** Options that differ between trials. */
function axesOf(configs: readonly TrialConfig[]): string[] {
  const keys = [...new Set(configs.flatMap((config) => Object.keys(config)))];
  return keys.filter((key) => new Set(configs.map((config) => JSON.stringify(config[key]))).size > 1);
}

/** Estimations that several trials share, with how many. */
export function sharedEstimates({ trials }: Pick<SweepPlan, 'trials'>): Map<string, number> {
  const counts = new Map<string, number>();
  for (const { estimate } of trials) if (estimate) counts.set(estimate.id, (counts.get(estimate.id) ?? 0) + 1);
  return counts;
}

/** Jobs of a plan's trials. @param folder of the sweep, relative to the storage */
export function jobOf(
  plan: Pick<SweepPlan, 'id' | 'command'>,
  trial: PlannedTrial,
  { folder, retries }: { readonly folder: string; readonly retries: number },
  part?: Job['part'],
): Job {
  const { id, config, facts, estimate } = trial;
  const own = { version: 1, sweep: plan.id, folder, kind: 'trial', id, command: plan.command, config } as const;
  return { ...own, facts, retries, ...(estimate && { estimate }), ...(part && { part }) };
}

/** The estimation of a trial as a job of its own. @param waiting keys of the jobs that wait for it */
export function estimateJob(trial: Job, waiting: readonly string[]): Job {
  const { estimate, part: _, ...job } = trial;
  return { ...job, ...estimate!, kind: 'estimate', waiting: [...waiting] };
}
