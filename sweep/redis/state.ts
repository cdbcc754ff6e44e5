/** Room: sweep/redis. What a server knows of sweeps: their jobs by state, and the workers. */
import type { Job as QueueJob, Queue } from 'bullmq';
import { STOP_MARK, type WorkerProgress } from './worker.ts';
import type { Connected, QueueAddress } from './connection.ts';
import { parseWorkerName, queueName, STATES, type WorkerName } from './names.ts';

/** A job under way. */
export interface ActiveJob {
  readonly key: string;
  readonly progress: WorkerProgress | undefined;
}

/** A sweep's jobs. */
export interface SweepJobs {
  readonly sweep: string;
  readonly counts: Readonly<Record<string, number>>;
}

export interface QueueState {
  readonly workers: readonly WorkerName[];
  readonly sweeps: readonly SweepJobs[];
  readonly active: readonly ActiveJob[];
  /** What workers said who gave jobs back. */
  readonly refusals: readonly string[];
}

/** Opens the queue for any adapter, and those for the kinds of the workers that are there. */
async function queuesOf({ bullmq, client }: Connected, address: QueueAddress): Promise<Queue[]> {
  const open = (adapter: string | undefined): Queue =>
    new bullmq.Queue(queueName(address, adapter), { connection: client });
  const names: string[] = [];
  for await (const found of client.scanStream({ match: `bull:${queueName(address, '*')}:meta`, count: 1000 }))
    names.push(...(found as string[]));
  const slugs = [...new Set(names)].map((name) => /@(.*):meta$/.exec(name)![1]!);
  return [open(undefined), ...slugs.map(open)];
}

/** Refusals that are looked at. */
const MOST_REFUSALS = 50;

/** @param sweep only this one's jobs */
export async function queueState(connected: Connected, address: QueueAddress, sweep?: string): Promise<QueueState> {
  const queues = await queuesOf(connected, address);
  const counts = new Map<string, Record<string, number>>();
  const active: ActiveJob[] = [];
  const refusals = new Set<string>();
  for (const queue of queues) {
    for (const state of STATES) {
      const keys = (await queue.getRanges([state])).filter((key) => sweep === undefined || key.startsWith(`${sweep}.`));
      for (const key of keys) {
        const of = key.split('.')[0]!;
        const own = counts.get(of) ?? {};
        own[state] = (own[state] ?? 0) + 1;
        counts.set(of, own);
      }
      if (state === 'active') active.push(...(await progressOf(queue, keys)));
      if (state === 'delayed')
        for (const { progress } of await progressOf(queue, keys.slice(0, MOST_REFUSALS)))
          if (progress?.refused !== undefined)
            refusals.add(`${progress.host} (${progress.adapter}): ${progress.refused}`);
    }
  }
  const workers = (await queues[0]!.getWorkers()).flatMap(({ rawname = '' }) => parseWorkerName(rawname) ?? []);
  for (const queue of queues) await queue.close();
  return {
    workers,
    sweeps: [...counts].map(([id, found]) => ({ sweep: id, counts: found })),
    active,
    refusals: [...refusals],
  };
}

async function progressOf(queue: Queue, keys: readonly string[]): Promise<ActiveJob[]> {
  const jobs = await Promise.all(keys.map((key) => queue.getJob(key) as Promise<QueueJob | undefined>));
  return jobs.flatMap((job) => {
    if (!job?.id) return [];
    const { progress } = job;
    return { key: job.id, progress: typeof progress === 'object' ? (progress as WorkerProgress) : undefined };
  });
}

/**
 * Takes a sweep's jobs out of the queue. Those under way are handed back by their workers, with a checkpoint, and wait until the sweep is resumed.
 * @returns how many were under way
 */
export async function stopJobs(connected: Connected, address: QueueAddress, sweep: string): Promise<number> {
  let underWay = 0;
  for (const queue of await queuesOf(connected, address)) {
    const keys = async (states: Parameters<Queue['getRanges']>[0]): Promise<string[]> =>
      (await queue.getRanges(states)).filter((key) => key.startsWith(`${sweep}.`));
    for (const key of await keys(['wait', 'delayed', 'prioritized'])) await queue.remove(key);
    for (const key of await keys(['active'])) {
      const job = (await queue.getJob(key)) as QueueJob | undefined;
      await job?.updateData({ ...(job.data as object), [STOP_MARK]: true });
      if (job) underWay++;
    }
    await queue.close();
  }
  return underWay;
}
