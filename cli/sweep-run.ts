/** Room: cli. A sweep at work: trials on this machine, or on all that take from a queue, shown on the terminal until they have ended. */
import { dirname, join, relative, resolve } from 'node:path';
import { UserError } from '../engine/errors.ts';
import { sweepTable } from '../report/sweep/terminal.ts';
import { readSweep, writeSweepReport } from '../report/sweep/write.ts';
import type { FactsOf } from '../sweep/perform.ts';
import { LocalQueue } from '../sweep/local-queue.ts';
import { Adapters } from '../sweep/redis/adapters.ts';
import { connect, parseAddress, type QueueAddress } from '../sweep/redis/connection.ts';
import { queueName } from '../sweep/redis/names.ts';
import { RedisQueue } from '../sweep/redis/redis-queue.ts';
import type { TrialQueue } from '../sweep/queue.ts';
import { sourcesHash } from '../sweep/sources.ts';
import { readSpec } from '../sweep/spec.ts';
import { openSweep, runSweep, type Sweep } from '../sweep/sweep.ts';
import { InterruptedError } from '../train/loop.ts';
import { print, say, whyNoPage } from './context.ts';
import { terminalWidth } from './help.ts';
import { withOutFolder } from './out-folder.ts';
import { Interruption } from './signals.ts';
import { QUEUE_VARIABLE, type SweepFlags } from './sweep-flags.ts';
import { SweepProgress } from './sweep-progress.ts';
import { configurationReader } from './trial-facts.ts';

/** Reads configurations for a plan: the sources do not change meanwhile. */
export function planReader(specFile: string): ReturnType<typeof configurationReader> {
  const hashes = new Map<string, Promise<string>>();
  return configurationReader(specFile, (command) => {
    const hash = hashes.get(command) ?? sourcesHash(command);
    hashes.set(command, hash);
    return hash;
  });
}

/** What this machine has of what a job names, as it is when the job begins. */
export function factsReader(): FactsOf {
  const reader = configurationReader('the trial');
  return async (command, config) => (await reader(command, config)).facts;
}

/** Runs a sweep's file in its folder. @returns the ids of its trials, in order */
export async function runFile(file: string, flags: SweepFlags & { readonly out: string }): Promise<string[]> {
  const { storage = '.', queue = process.env[QUEUE_VARIABLE], detach, json } = flags;
  if (detach && queue === undefined)
    throw new UserError('--detach: needs --queue, nothing goes on here without this process');
  const spec = await readSpec(file);
  const [specPath, out] = [resolve(file), resolve(flags.out)];
  const shown = queue === undefined ? undefined : parseAddress(queue).shown;
  const commandLine = `light-peft sweep ${file} --out ${flags.out}`;
  // Paths of trials are relative to what all machines share.
  process.chdir(storage);
  const { plan } = await withOutFolder({ out }, async () => {
    const paths = { specFile: file, specPath, out, storage: '.' };
    const opened = await openSweep({ spec, ...paths, resolve: planReader(file), commandLine, queue: shown });
    await (queue === undefined ? runLocally(opened, flags) : runOnQueue(opened, queue, flags));
    return opened;
  });
  await showSweep(out, json);
  return plan.trials.map(({ id }) => id);
}

/** The table and the page of a sweep. */
export async function showSweep(out: string, json: boolean | undefined): Promise<void> {
  const page = await writeSweepReport(out).catch((error: unknown) => whyNoPage(error, out));
  const data = await readSweep(out);
  print(json, data, `${sweepTable(data, terminalWidth())}\nTrials: ${join(out, 'trials.jsonl')}\nPage: ${page}`);
}

async function runLocally(sweep: Sweep, flags: SweepFlags): Promise<void> {
  const { workers = 1 } = flags;
  if (!Number.isInteger(workers) || workers < 1)
    throw new UserError(`--workers: found ${workers}, expected a whole number, at least 1`);
  await shown(sweep, flags, 'what is finished is kept', (progress) =>
    Promise.resolve(
      new LocalQueue({
        storage: process.cwd(),
        factsOf: factsReader(),
        workers,
        onBegin: (job) => progress.begin(job),
        onStep: (job, report) => progress.step(job, report),
      }),
    ),
  );
}

/** @param url of the queue */
async function runOnQueue(sweep: Sweep, url: string, flags: SweepFlags): Promise<void> {
  const address = parseAddress(url);
  if (flags.detach) {
    if (sweep.plan.scheduler)
      throw new UserError('--detach: a scheduler decides in this process; leave one of them out');
    const done = await collectFromQueue(sweep, address);
    say(done ? 'All trials are recorded.' : `Trials wait on ${address.shown}; light-peft sweep status ${sweep.out} shows and collects them.`); // prettier-ignore
    return;
  }
  await shown(sweep, flags, 'workers go on', () => queueOn(sweep, address));
}

/** Adds what is missing and records what has ended, without waiting. @returns whether all trials are recorded */
export async function collectFromQueue(sweep: Sweep, address: QueueAddress): Promise<boolean> {
  await using queue = await queueOn(sweep, address);
  return await runSweep(sweep, queue, { signal: new AbortController().signal, isCollecting: true });
}

async function queueOn({ out, storage, spec, file }: Sweep, address: QueueAddress): Promise<RedisQueue> {
  assertInStorage(out, storage);
  const connected = await connect(address, say);
  const { adapter } = spec;
  const queue = new connected.bullmq.Queue(queueName(address, undefined), { connection: connected.client });
  const adapters = new Adapters({
    wanted: adapter,
    folder: out,
    queue,
    onWait: () => say(`Waiting for a worker${adapter === 'same' ? '' : ` whose adapter is ${adapter}`}.`),
  });
  return new RedisQueue(connected, {
    address,
    sweep: file.id,
    ...(adapter !== 'any' && { adapterOf: (job) => adapters.of(job) }),
  });
}

/** Workers find trials by their place in the storage. */
function assertInStorage(out: string, storage: string): void {
  const path = relative(resolve(storage), resolve(out));
  if (path === '' || path.startsWith('..'))
    throw new UserError(`--out: ${out} is not within --storage ${storage}, the folder that all machines share; for example ${dirname(resolve(storage))}`); // prettier-ignore
}

async function shown(
  sweep: Sweep,
  { retryFailed }: SweepFlags,
  kept: string,
  open: (progress: SweepProgress) => Promise<TrialQueue>,
): Promise<void> {
  const { out, file } = sweep;
  using interruption = new Interruption(`${kept}; the same command goes on`);
  const { signal } = interruption;
  const { trials: before } = await readSweep(out);
  using progress = new SweepProgress(file, before.length);
  await using queue = await open(progress);
  // A signal without a listener would end the process at once.
  signal.addEventListener('abort', () => undefined);
  const isWhole = await runSweep(sweep, queue, {
    signal,
    retryFailed,
    onRecord: (trial, recorded) => progress.record(trial, recorded),
  });
  if (!isWhole) throw new InterruptedError(`Interrupted: ${kept}; the same command goes on.`, interruption.exitCode);
}
