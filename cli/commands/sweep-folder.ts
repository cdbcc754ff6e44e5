/** Room: cli. `sweep status`, `stop`, `resume` and `final`: what is done with a sweep that was begun. */
import { join, resolve } from 'node:path';
import { setTimeout as wait } from 'node:timers/promises';
import type { Command } from 'commander';
import { UserError } from '../../engine/errors.ts';
import { FolderLock } from '../../engine/io/folder-lock.ts';
import { readSweep } from '../../report/sweep/write.ts';
import { evaluateFinal } from '../../sweep/final.ts';
import { connect, parseAddress } from '../../sweep/redis/connection.ts';
import { queueState, stopJobs } from '../../sweep/redis/state.ts';
import { localState, type TrialsUnderWay } from '../../sweep/status.ts';
import { reopenSweep, SPEC_COPY, storageOf } from '../../sweep/sweep.ts';
import { print, say } from '../context.ts';
import { withOutFolder } from '../out-folder.ts';
import { Interruption } from '../signals.ts';
import { addQueueFlag, addRunFlags, QUEUE_VARIABLE, type SweepFlags } from '../sweep-flags.ts';
import { collectFromQueue, runFile, showSweep } from '../sweep-run.ts';
import { statusText, type SweepStatus } from '../sweep-status.ts';

interface StatusFlags {
  readonly queue?: string;
  readonly watch?: boolean;
  readonly json?: boolean;
}

/** Milliseconds between two looks. */
const WATCH_EVERY = 2000;

export function addSweepStatus(sweep: Command): void {
  const command = sweep
    .command('status')
    .description('how a sweep goes, or all sweeps of a queue; records what workers have finished')
    .argument('[dir]', 'folder of a sweep; without one, what --queue has')
    .option('--watch', 'again and again, until it has ended')
    .option('--json', 'print as JSON');
  addQueueFlag(command).action(status);
}

async function status(dir: string | undefined, flags: StatusFlags): Promise<void> {
  const { queue = process.env[QUEUE_VARIABLE], watch, json } = flags;
  if (dir === undefined && queue === undefined)
    throw new UserError('sweep status: expected the folder of a sweep, or --queue');
  const out = dir === undefined ? undefined : resolve(dir);
  for (let lines = 0; ;) {
    const found = await statusOf(out, queue);
    const text = statusText(found);
    if (watch && process.stdout.isTTY && lines > 0) process.stdout.write(`\u001b[${lines}A\u001b[J`);
    print(json, found, text);
    lines = text.split('\n').length;
    if (!watch || found.isOver) return;
    await wait(WATCH_EVERY);
  }
}

async function statusOf(out: string | undefined, url: string | undefined): Promise<SweepStatus> {
  const address = url === undefined ? undefined : parseAddress(url);
  if (out === undefined) return { isOver: false, queue: await stateOf(address!) };
  const { sweep } = await readSweep(out);
  const isOfQueue = sweep.queue !== undefined;
  if (isOfQueue && !address)
    throw new UserError(`${out}: its trials are on ${sweep.queue}: name it with --queue, which may have a password`);
  // Who watches records; without one, this command does.
  if (isOfQueue && (await FolderLock.holder(out)) === undefined)
    await withOutFolder({ out }, async () => collectFromQueue(await reopenSweep(out), address!));
  const data = await readSweep(out);
  const underWay: TrialsUnderWay = isOfQueue ? [] : await localState(out, data);
  const queue = isOfQueue ? await stateOf(address!, sweep.id) : undefined;
  return { isOver: data.trials.length >= sweep.trials, data, underWay, ...(queue && { queue }) };
}

async function stateOf(address: ReturnType<typeof parseAddress>, sweep?: string) {
  const connected = await connect(address, say);
  try {
    return await queueState(connected, address, sweep);
  } finally {
    connected.client.disconnect();
  }
}

export function addSweepStop(sweep: Command): void {
  const command = sweep
    .command('stop')
    .description('stop a sweep: trials under way keep a checkpoint; `sweep resume` goes on')
    .argument('<dir>', 'folder of the sweep');
  addQueueFlag(command).action(stop);
}

async function stop(dir: string, { queue = process.env[QUEUE_VARIABLE] }: StatusFlags): Promise<void> {
  const { sweep } = await readSweep(dir);
  await stopWatcher(dir);
  if (sweep.queue === undefined) {
    say(`${dir}: stopped; light-peft sweep resume ${dir} goes on`);
    return;
  }
  if (queue === undefined) throw new UserError(`${dir}: its trials are on ${sweep.queue}: name it with --queue, which may have a password`); // prettier-ignore
  const address = parseAddress(queue);
  const connected = await connect(address, say);
  const underWay = await stopJobs(connected, address, sweep.id).finally(() => connected.client.disconnect());
  say(`${dir}: stopped${underWay > 0 ? `; ${underWay} trials under way are handed back within seconds` : ''}; light-peft sweep resume ${dir} goes on`); // prettier-ignore
}

/** Milliseconds that a process gets to save what it does. */
const STOPPED_WITHIN = 120_000;

async function stopWatcher(dir: string): Promise<void> {
  const holder = await FolderLock.holder(dir);
  if (!holder) return;
  if (!holder.isHere)
    throw new UserError(
      `${dir}: process ${holder.pid} on ${holder.host} is at work there: stop it there first, by Ctrl-C or SIGTERM`,
    );
  process.kill(holder.pid, 'SIGTERM');
  const until = Date.now() + STOPPED_WITHIN;
  while ((await FolderLock.holder(dir)) !== undefined) {
    if (Date.now() > until) throw new UserError(`${dir}: process ${holder.pid} does not end; SIGKILL would lose the steps since its checkpoints`); // prettier-ignore
    await wait(200);
  }
}

export function addSweepResume(sweep: Command): void {
  const command = sweep
    .command('resume')
    .description('go on with a sweep that was stopped')
    .argument('<dir>', 'folder of the sweep');
  addRunFlags(command)
    .option('--detach', 'with --queue: leave when the trials are in the queue')
    .action(async (dir: string, flags: SweepFlags) => {
      await runFile(join(dir, SPEC_COPY), { storage: await storageOf(dir), ...flags, out: dir });
    });
}

export function addSweepFinal(sweep: Command): void {
  sweep
    .command('final')
    .description('evaluate the best configuration, all its seeds, on the split that nothing was chosen by')
    .argument('<dir>', 'folder of the sweep')
    .option('--trials <list>', 'these trials in its place, by their ids')
    .option('--json', 'print the trials as JSON')
    .action(final);
}

interface FinalFlags {
  readonly trials?: string;
  readonly json?: boolean;
}

async function final(dir: string, { trials, json }: FinalFlags): Promise<void> {
  const out = resolve(dir);
  process.chdir(await storageOf(out));
  using interruption = new Interruption('what is evaluated is kept; the same command goes on');
  await withOutFolder({ out }, () =>
    evaluateFinal({
      out,
      storage: process.cwd(),
      trials: trials?.split(',').map((id) => id.trim()),
      signal: interruption.signal,
      onTrial: ({ id }) => say(`trial ${id}`),
    }),
  );
  await showSweep(out, json);
}
