/**
 * Room: sweep. A job: a trial, or part of one, or an estimation that several trials share. It is checked where it is made and where it is
 * taken; its paths are relative to the storage.
 */
import { z } from 'zod';
import { configSchema, deviceSchema, SWEEP_COMMANDS } from '../report/sweep/schema.ts';
import { validate } from '../engine/io/files.ts';
import { assertInside, assertOptions, assertWithin } from './options.ts';

export const idSchema = z.string().regex(/^[0-9a-f]{12}$/, 'expected 12 hexadecimal digits');

const flagSchema = z.string().regex(/^[a-z][a-z0-9-]*$/, 'expected the name of a flag');
const hashSchema = z.string().regex(/^sha256:[0-9a-f]{64}$/, 'expected sha256: and 64 hexadecimal digits');

/** What a worker must have as the sweep has it. */
export const factsSchema = z.strictObject({
  base: hashSchema,
  data: z.record(z.string(), z.union([z.string(), z.number(), z.boolean()])),
  sources: hashSchema,
});

export type Facts = z.infer<typeof factsSchema>;

const stepCount = z.int().positive();
const workSchema = z.strictObject({
  command: z.enum(SWEEP_COMMANDS),
  config: z.intersection(z.record(flagSchema, z.json()), configSchema),
});

export const jobSchema = z.strictObject({
  version: z.literal(1),
  /** Of the sweep. */
  sweep: idSchema,
  /** The sweep's folder. */
  folder: z.string(),
  kind: z.enum(['estimate', 'trial']),
  id: idSchema,
  ...workSchema.shape,
  /** The estimation that a trial prunes by. */
  estimate: z.strictObject({ id: idSchema, ...workSchema.shape }).optional(),
  /** Part of the trial's training, by the scheduler's rungs; absent: all of it. */
  part: z.strictObject({ rung: z.int().nonnegative(), pauseAfter: stepCount }).optional(),
  facts: factsSchema,
  retries: z.int().nonnegative().max(100),
  /** Keys of jobs that wait for this one. */
  waiting: z.array(z.string().max(100)).optional(),
});

export type Job = z.infer<typeof jobSchema>;

/** What came of a job. */
export const outcomeSchema = z.strictObject({
  state: z.enum(['done', 'paused']),
  metrics: z.record(z.string(), z.number()),
  seconds: z.number().nonnegative(),
  device: deviceSchema.nullable(),
  /** The file that the command left, as JSON; absent where that is not small. */
  result: z.json().optional(),
});

export type Outcome = z.infer<typeof outcomeSchema>;

/** The job's name in a queue: the same whenever the same work is added. */
export function keyOf({ sweep, kind, id, part }: Pick<Job, 'sweep' | 'kind' | 'id' | 'part'>): string {
  return `${sweep}.${kind === 'estimate' ? 'estimate' : `rung-${part?.rung ?? 0}`}.${id}`;
}

/**
 * A job as it came from a queue.
 * @throws UserError for anything that is no job, names a path outside the storage, or carries an option that a trial may not have
 */
export function parseJob(value: unknown): Job {
  const job = validate(value, jobSchema, 'job');
  assertInside(job.folder, 'job: key "folder"');
  for (const { command, config } of [job, ...(job.estimate ? [job.estimate] : [])]) {
    assertOptions(command, config, 'job: key "config"');
    assertWithin(config, 'job: key "config"');
  }
  return job;
}
