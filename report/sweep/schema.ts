/**
 * Room: report/sweep. Files of a sweep's folder: `sweep.json`, what the sweep is; `trials.jsonl`, a line a trial that came to its end;
 * `decisions.jsonl`, what the scheduler decided; `final.json`, chosen trials on the test split.
 */
import { z } from 'zod';
import { header } from '../../engine/io/versioned.ts';

const count = z.int().nonnegative();
const measured = z.record(z.string(), z.number());

/** Values of options by their flags: text, number, truth, null or lists and mappings of them. */
export const configSchema = z.record(z.string(), z.json());

export type TrialConfig = z.infer<typeof configSchema>;

export const SWEEP_COMMANDS = ['run', 'train', 'estimate', 'prune', 'audit'] as const;

const TRIAL_STATES = ['done', 'failed', 'stopped'] as const;

/** The WebGPU adapter that a trial ran on. */
export const deviceSchema = z.strictObject({ adapter: z.string().min(1), software: z.boolean(), host: z.string() });

export type Device = z.infer<typeof deviceSchema>;

export const trialSchema = z.strictObject({
  /** Of its full configuration, base, data and the sources that can change a number. */
  id: z.string().min(1),
  /** Options that it was given, by their flags; the others have their defaults. */
  config: configSchema,
  /** `stopped`: by the scheduler of trials. */
  state: z.enum(TRIAL_STATES),
  /** Figures by name; of a stopped trial those of its last evaluation, of a failed one none. */
  metrics: measured,
  /** Wall time of its processes. */
  seconds: z.number().nonnegative(),
  /** Null where none of its processes came so far. */
  device: deviceSchema.nullable(),
  /** Why it failed; null where it did not. */
  error: z.string().nullable(),
});

/** A line of `trials.jsonl`. */
export type TrialRecord = z.infer<typeof trialSchema>;

export const decisionSchema = z.strictObject({
  trial: z.string().min(1),
  /** From 0. */
  rung: count,
  /** Training steps at the rung. */
  step: count.positive(),
  /** The metric there, null where it is no number; all figures there; the seconds until then. */
  value: z.number().nullable(),
  metrics: measured,
  seconds: z.number().nonnegative(),
  device: deviceSchema.nullable(),
  /** Trials that go on by what is known now, this one or earlier ones that waited. Those never named are stopped. */
  promoted: z.array(z.string()),
});

/** A line of `decisions.jsonl`, in the order in which results came. */
export type SchedulerDecision = z.infer<typeof decisionSchema>;

export const schedulerSchema = z.discriminatedUnion('name', [
  z.strictObject({ name: z.literal('asha'), minSteps: count.positive(), reductionFactor: z.int().min(2) }),
  z.strictObject({ name: z.literal('median'), every: count.positive(), minTrials: count.positive() }),
]);

export type SchedulerOptions = z.infer<typeof schedulerSchema>;

export const DIRECTIONS = ['maximize', 'minimize'] as const;

export type Direction = (typeof DIRECTIONS)[number];

export const sweepSchema = z.strictObject({
  ...header('light-peft/sweep', 1),
  id: z.string().min(1),
  name: z.string().min(1),
  /** What a trial is. */
  command: z.enum(SWEEP_COMMANDS),
  /** The command that makes the sweep. */
  commandLine: z.string(),
  /** ISO 8601. */
  date: z.string(),
  metric: z.string().optional(),
  direction: z.enum(DIRECTIONS),
  scheduler: schedulerSchema.optional(),
  /** Flags of the options that differ between trials, `seed` and `methods` among them. */
  axes: z.array(z.string()),
  /** Trials, finished or not. */
  trials: count,
  model: z.string(),
  fingerprint: z.string(),
  /** Hash of the sources that can change a number. */
  sources: z.string(),
  versions: z.record(z.string(), z.string()),
  /** The queue without user and password; absent: trials run on the sweep's own machine. */
  queue: z.string().optional(),
});

export type SweepFile = z.infer<typeof sweepSchema>;

export const finalSchema = z.strictObject({
  ...header('light-peft/sweep-final', 1),
  /** What was evaluated on. */
  split: z.string(),
  /** How trials were chosen, in words. */
  chosen: z.string(),
  trials: z.array(z.strictObject({ id: z.string(), metrics: measured, device: deviceSchema })),
});

export type FinalFile = z.infer<typeof finalSchema>;

/** All that is known of a sweep. */
export interface SweepData {
  readonly sweep: SweepFile;
  readonly trials: readonly TrialRecord[];
  readonly decisions: readonly SchedulerDecision[];
  readonly final?: FinalFile | undefined;
}
