/**
 * Room: sweep. Many trials: every configuration of `sweep.yaml`, on this machine or on all that take from one queue. This file is the folder of a
 * sweep and its run; `spec.ts` is the file, `expand.ts` makes configurations of it, `plan.ts` trials and what they share, `identity.ts` says
 * when two are the same; `coordinator.ts` brings them to their ends, `scheduler.ts` stops weak ones, `perform.ts` does one in a process of its
 * own; `local-queue.ts` and `redis/` hold what is to be done.
 *
 * It imports audit, experiments, report and the rooms below for their options and formats: trials are commands of their own, it never trains.
 * It may not know of flags of its own or terminals; how a configuration is read, it is given (`Resolve`).
 */
import { randomBytes } from 'node:crypto';
import { copyFile, readdir, rm } from 'node:fs/promises';
import { basename, join, relative, resolve as absolute } from 'node:path';
import { z } from 'zod';
import { UserError } from '../engine/errors.ts';
import { exists, writeJson } from '../engine/io/files.ts';
import { makeFolder } from '../engine/io/make-folder.ts';
import { versions } from '../experiments/provenance.ts';
import { header, readVersioned, writeVersioned, type VersionedFormat } from '../engine/io/versioned.ts';
import type { SweepFile, TrialRecord } from '../report/sweep/schema.ts';
import { SWEEP, SWEEP_FILE } from '../report/sweep/write.ts';
import { Coordinator } from './coordinator.ts';
import { folderOf } from './perform.ts';
import { plannedSchema, planSweep, type Resolve, type SweepPlan } from './plan.ts';
import type { TrialQueue } from './queue.ts';
import { Records } from './records.ts';
import { plainText, readSpec, type SweepSpec } from './spec.ts';

/** The sweep's own copy of its file. */
export const SPEC_COPY = 'sweep.yaml';

/** The trials as they were planned last: what was put into a queue. */
const PLAN_FILE = 'plan.json';

const planSchema = z.strictObject({
  ...header('light-peft/sweep-plan', 1),
  /** From the sweep's folder to what its paths are relative to. */
  storage: z.string(),
  trials: z.array(plannedSchema),
});
const PLAN: VersionedFormat<z.infer<typeof planSchema>> = {
  format: 'light-peft/sweep-plan',
  version: 1,
  schema: planSchema,
};

/** A sweep in its folder, planned. */
export interface Sweep {
  readonly out: string;
  /** What the folder's path is relative to, as the paths in its configurations are. */
  readonly storage: string;
  readonly spec: SweepSpec;
  readonly plan: SweepPlan;
  readonly file: SweepFile;
}

export interface SweepRequest {
  readonly spec: SweepSpec;
  /** The file that it was read from, as it was named. */
  readonly specFile: string;
  /** The same, wherever this process is. */
  readonly specPath: string;
  readonly out: string;
  readonly storage: string;
  readonly resolve: Resolve;
  /** What a reader types to get the same. */
  readonly commandLine: string;
  /** Without user and password. */
  readonly queue?: string | undefined;
}

/**
 * Plans a sweep and takes up its folder: trials may be added to those that are there, but not under another scheduler.
 * @throws UserError
 */
export async function openSweep(request: SweepRequest): Promise<Sweep> {
  const { spec, specFile, specPath, out, storage, resolve } = request;
  const plan = await planSweep(spec, specFile, resolve);
  await makeFolder(out);
  const path = join(out, SWEEP_FILE);
  const before = (await exists(path)) ? await readVersioned(path, SWEEP) : undefined;
  const file = await describe(plan, spec, request, before);
  if (before) assertSameDecisions(before, file, path);
  const { format: _, version: __, ...content } = file;
  const copy = join(out, SPEC_COPY);
  if (absolute(copy) !== specPath) await copyFile(specPath, copy);
  await writeVersioned(path, SWEEP, content);
  await writeVersioned(join(out, PLAN_FILE), PLAN, {
    storage: relative(absolute(out), absolute(storage)),
    trials: [...plan.trials],
  });
  return { out, storage, spec, plan, file };
}

/** The folder that the paths of a sweep are relative to, wherever it is mounted. @throws UserError where there is no sweep */
export async function storageOf(out: string): Promise<string> {
  return absolute(out, (await readVersioned(join(out, PLAN_FILE), PLAN)).storage);
}

/** The sweep of a folder, as it was planned last. @throws UserError */
export async function reopenSweep(out: string): Promise<Sweep> {
  const storage = await storageOf(out);
  const file = await readVersioned(join(out, SWEEP_FILE), SWEEP);
  const { trials } = await readVersioned(join(out, PLAN_FILE), PLAN);
  const spec = await readSpec(join(out, SPEC_COPY));
  const { id, command, axes, scheduler } = file;
  return {
    out,
    storage,
    spec,
    file,
    plan: { id, command, axes, scheduler, trials, repeated: 0, facts: trials[0]!.facts },
  };
}

async function describe(
  { command, trials, axes, scheduler, facts }: SweepPlan,
  { name, metric, direction = 'maximize' }: SweepSpec,
  { specFile, commandLine, queue }: SweepRequest,
  before: SweepFile | undefined,
): Promise<SweepFile> {
  const models = new Set(trials.map(({ config }) => plainText(config.model)));
  return {
    format: 'light-peft/sweep',
    version: 1,
    id: before?.id ?? randomBytes(6).toString('hex'),
    name: name ?? specFile.replace(/^.*[/\\]/, '').replace(/\.ya?ml$/, ''),
    command,
    commandLine,
    date: before?.date ?? new Date().toISOString(),
    ...(metric !== undefined && { metric }),
    direction,
    ...(scheduler && { scheduler }),
    axes: [...axes],
    trials: trials.length,
    model: [...models].join(', '),
    fingerprint: facts.base,
    sources: facts.sources,
    versions: await versions(),
    ...(queue !== undefined && { queue }),
  };
}

/** @throws UserError where decisions were made by other rules */
function assertSameDecisions(before: SweepFile, now: SweepFile, path: string): void {
  const rules = ({ scheduler, metric, direction }: SweepFile): string =>
    scheduler ? JSON.stringify({ scheduler, metric, direction }) : 'nothing';
  if (rules(before) !== rules(now))
    throw new UserError(`${path}: its scheduler decided by ${rules(before)}: use another folder for the new one`);
}

export interface SweepWatch {
  readonly signal: AbortSignal;
  /** Runs failed trials again. */
  readonly retryFailed?: boolean | undefined;
  readonly onRecord?: ((trial: TrialRecord, recorded: number) => void) | undefined;
  /** Ends when what has ended is recorded, without waiting for more. */
  readonly isCollecting?: boolean | undefined;
}

/** Runs what is left of a sweep. @returns whether all trials are recorded */
export async function runSweep(sweep: Sweep, queue: TrialQueue, watch: SweepWatch): Promise<boolean> {
  const { out, storage, plan, spec, file } = sweep;
  await using records = await Records.open(out, ({ state }) => watch.retryFailed === true && state === 'failed');
  const coordinator = new Coordinator({
    plan: { ...plan, id: file.id },
    spec,
    folder: relative(absolute(storage), absolute(out)),
    records,
    queue,
    onRecord: (trial) => watch.onRecord?.(trial, records.trials.size),
    onStopped: (id) => removeCheckpoints(folderOf(out, 'trial', id)),
    onResult: (id, result) => keepResult(folderOf(out, 'trial', id), result),
  });
  await coordinator.begin();
  return watch.isCollecting ? await coordinator.collect() : await coordinator.run(watch.signal);
}

/** Of a trial that nothing goes on from. */
async function removeCheckpoints(folder: string): Promise<void> {
  if (!(await exists(folder))) return;
  const paths = await readdir(folder, { recursive: true });
  for (const path of paths.filter((name) => basename(name) === 'checkpoint.safetensors'))
    await rm(join(folder, path), { force: true });
}

/** The comparison of a trial that another machine ran on a disk of its own. */
async function keepResult(folder: string, result: unknown): Promise<void> {
  const path = join(folder, 'comparison.json');
  if (await exists(path)) return;
  await makeFolder(folder);
  await writeJson(path, result);
}
