/**
 * Room: sweep. Does a job on this machine, wherever it came from: checks that base, data and sources are the sweep's, makes the estimation
 * that it needs if it is not there, and runs the trial as a process of its own. A finished one is read; a started one goes on.
 */
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { stringify } from 'yaml';
import { z } from 'zod';
import { UserError } from '../engine/errors.ts';
import { exists, readJson, writeFileAtomic } from '../engine/io/files.ts';
import { AT_WORK } from '../engine/io/folder-lock.ts';
import { makeFolder } from '../engine/io/make-folder.ts';
import { header, readVersioned, writeVersioned, type VersionedFormat } from '../engine/io/versioned.ts';
import { parseComparison } from '../report/schema.ts';
import { PAUSED, runChild, type ChildOptions, type ChildResult, type StepReport } from './child.ts';
import { outcomeSchema, type Facts, type Job, type Outcome } from './job.ts';
import * as metrics from './metrics.ts';
import { plainText } from './spec.ts';

/** Base and data that a configuration names, as this machine has them. */
export type FactsOf = (command: Job['command'], config: Job['config']) => Promise<Facts>;

/** Where jobs are done. */
export interface Place {
  /** The folder that paths of jobs are relative to. */
  readonly storage: string;
  readonly factsOf: FactsOf;
}

export interface Watch {
  /** Stops the trial, which keeps a checkpoint. */
  readonly signal: AbortSignal;
  readonly onStep?: ((report: StepReport) => void) | undefined;
  /** Hears that a process begins: of the job, or of the estimation that it needs. Nothing of what is finished. */
  readonly onBegin?: ((job: Job) => void) | undefined;
}

/** Base, data or sources of this machine are not those of the sweep: another machine may do the job. */
export class RefusedError extends UserError {}

/** The job was stopped by its signal; it goes on from its checkpoint. */
export class StoppedError extends Error {}

/** Another process is at work in the job's folder. */
export class BusyError extends Error {}

/** The trial failed. `isFinal`: by its options or data, so that it would fail again. */
export class TrialError extends Error {
  readonly isFinal: boolean;

  constructor(message: string, isFinal: boolean) {
    super(message);
    this.isFinal = isFinal;
  }
}

/** Exit codes of the command: its part is done; what it was given is wrong. */
const CODES = { done: 0, wrong: 2, paused: PAUSED } as const;

/** Of a trial that came to its end, in its folder. */
const finishedSchema = z.strictObject({ ...header('light-peft/trial', 1), ...outcomeSchema.shape });

const FINISHED: VersionedFormat<z.infer<typeof finishedSchema>> = {
  format: 'light-peft/trial',
  version: 1,
  schema: finishedSchema,
};

/** Folders of a sweep. */
export function folderOf(folder: string, kind: Job['kind'], id: string): string {
  return join(folder, kind === 'estimate' ? 'estimates' : 'trials', id);
}

/** Does a job. @throws RefusedError, StoppedError, BusyError, TrialError */
export type Perform = (job: Job, place: Place, watch: Watch) => Promise<Outcome>;

/** @throws RefusedError, StoppedError, BusyError, TrialError */
export async function perform(job: Job, place: Place, watch: Watch): Promise<Outcome> {
  await assertSame(job, place);
  const { estimate } = job;
  if (estimate)
    await performOne({ ...job, ...estimate, kind: 'estimate', estimate: undefined, part: undefined }, place, watch);
  return performOne(job, place, watch);
}

async function assertSame({ command, config, facts }: Job, { factsOf }: Place): Promise<void> {
  const own = await factsOf(command, config).catch((error: unknown) => {
    throw error instanceof UserError ? new RefusedError(error.message) : error;
  });
  const differ = (what: string, here: unknown, there: unknown): void => {
    if (here !== there)
      throw new RefusedError(`the ${what} of this machine is ${short(here)}, that of the sweep ${short(there)}`);
  };
  differ('hash of the sources', own.sources, facts.sources);
  differ(`base ${plainText(config.model)}`, own.base, facts.base);
  for (const name of new Set([...Object.keys(facts.data), ...Object.keys(own.data)]))
    differ(`data (${name})`, own.data[name], facts.data[name]);
}

function short(value: unknown): string {
  return plainText(value).slice(0, 19);
}

async function performOne(job: Job, { storage }: Place, watch: Watch): Promise<Outcome> {
  const folder = folderOf(join(storage, job.folder), job.kind, job.id);
  const record = join(folder, 'trial.json');
  if (await exists(record)) {
    const { format: _, version: __, ...outcome } = await readVersioned(record, FINISHED);
    return outcome;
  }
  await makeFolder(folder);
  const config = join(folder, 'config.yaml');
  await writeFileAtomic(config, stringify(job.config));
  watch.onBegin?.(job);
  const child = await runChild(argumentsOf(job, folder, config, storage), {
    cwd: storage,
    log: join(folder, 'log.txt'),
    ...watch,
  } satisfies ChildOptions);
  const outcome = await outcomeOf(job, folder, child, watch.signal);
  if (outcome.state === 'done') await writeVersioned(record, FINISHED, outcome);
  return outcome;
}

function argumentsOf(job: Job, folder: string, config: string, storage: string): string[] {
  const { command, estimate, part } = job;
  const pause = part ? ['--pause-after', String(part.pauseAfter)] : [];
  const log = ['--log-jsonl', join(folder, 'log.jsonl')];
  const given = estimate ? ['--estimate', folderOf(join(storage, job.folder), 'estimate', estimate.id)] : [];
  const more: Readonly<Record<Job['command'], readonly string[]>> = {
    run: [...log, ...pause, ...given],
    train: [...log, ...pause, '--resume'],
    estimate: ['--resume'],
    prune: ['--json', '--overwrite'],
    audit: [],
  };
  return [command, '--config', config, '--out', folder, ...more[command]];
}

async function outcomeOf(job: Job, folder: string, child: ChildResult, { aborted }: AbortSignal): Promise<Outcome> {
  const { code, seconds, device, error } = child;
  if (code === CODES.done) {
    const { result, ...found } = await resultOf(job, folder, child);
    return { state: 'done', metrics: found.metrics, seconds, device, ...(result !== undefined && { result }) };
  }
  if (code === CODES.paused && job.part) {
    const found = metrics.metricsAtStep(await readFile(join(folder, 'log.jsonl'), 'utf8'), job.part.pauseAfter);
    if (!found) throw new TrialError(`no evaluation at step ${job.part.pauseAfter} in its log`, true);
    return { state: 'paused', metrics: found, seconds, device };
  }
  if (aborted) throw new StoppedError(error);
  if (error.includes(AT_WORK)) throw new BusyError(error);
  const how = code === null ? 'its process was killed' : `exit code ${code}`;
  throw new TrialError(error === '' ? how : error, code === CODES.wrong);
}

interface Found {
  readonly metrics: metrics.Metrics;
  readonly result?: Outcome['result'];
}

async function resultOf(job: Job, folder: string, { stdout }: ChildResult): Promise<Found> {
  switch (job.command) {
    case 'run': {
      // One method with one seed: all that a comparison has.
      const path = join(folder, 'comparison.json');
      const comparison = parseComparison(await readJson(path, z.unknown()), path);
      return { metrics: metrics.metricsOfComparison(comparison), result: z.json().parse(comparison) };
    }
    case 'train':
      return { metrics: await metrics.metricsOfTraining(join(folder, 'train.json')) };
    case 'estimate':
      return { metrics: await metrics.metricsOfEstimation(join(folder, 'records.json')) };
    case 'prune':
      return { metrics: metrics.metricsOfJson(stdout) };
    case 'audit':
      return { metrics: await metrics.metricsOfAudit(join(folder, 'audit.json')) };
  }
}
