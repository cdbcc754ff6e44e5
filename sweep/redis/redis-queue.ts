/**
 * Room: sweep/redis. A sweep's jobs in BullMQ: what waits for an estimation is delayed, and promoted by the worker that has made it. Jobs stay
 * until their end was recorded.
 */
import { setTimeout as wait } from 'node:timers/promises';
import type { Job as QueueJob, Queue } from 'bullmq';
import { keyOf, outcomeSchema, parseJob, type Job } from '../job.ts';
import { validate } from '../../engine/io/files.ts';
import type { JobEnd, TrialQueue } from '../queue.ts';
import { serverError, type Connected, type QueueAddress } from './connection.ts';
import { STOP_MARK } from './worker.ts';
import { HELD_FOR, queueName, STATES } from './names.ts';

/** Milliseconds between two looks for jobs that have ended. */
const LOOK_EVERY = 1000;

/** Jobs that are added in one call. */
const BATCH = 500;

/** Milliseconds before a trial that failed is tried again, doubled each time. */
const RETRY_AFTER = 2000;

export interface RedisQueueOptions {
  readonly address: QueueAddress;
  readonly sweep: string;
  /** The kind of adapter that a job is for, as `adapterSlug` names it; undefined: any. */
  readonly adapterOf?: ((job: Job) => Promise<string | undefined>) | undefined;
}

export class RedisQueue implements TrialQueue {
  readonly #connected: Connected;
  readonly #options: RedisQueueOptions;
  /** By the adapter that their jobs are for. */
  readonly #queues = new Map<string | undefined, Queue>();
  /** The adapter of each job that was added, by its key. */
  readonly #places = new Map<string, string | undefined>();
  readonly #ended: string[] = [];

  constructor(connected: Connected, options: RedisQueueOptions) {
    this.#connected = connected;
    this.#options = options;
  }

  async add(
    jobs: readonly Job[],
    { first = false, after }: { first?: boolean; after?: Job | undefined } = {},
  ): Promise<void> {
    try {
      // What waits is there before what it waits for.
      await this.#addAll(jobs, { first, isHeld: after !== undefined });
      await this.#takeUp(jobs, after === undefined);
      if (!after) return;
      await this.#addAll([after], { first, isHeld: false });
      await this.#takeUp([after], true);
    } catch (error) {
      throw serverError(this.#options.address, error);
    }
  }

  async #addAll(jobs: readonly Job[], { first, isHeld }: { first: boolean; isHeld: boolean }): Promise<void> {
    for (let i = 0; i < jobs.length; i += BATCH) {
      const groups = new Map<Queue, Job[]>();
      for (const job of jobs.slice(i, i + BATCH).map(parseJob)) {
        const queue = await this.#queueOf(job);
        groups.set(queue, [...(groups.get(queue) ?? []), job]);
      }
      for (const [queue, group] of groups) {
        await queue.addBulk(
          group.map((job) => ({
            name: job.kind,
            data: job,
            opts: {
              jobId: keyOf(job),
              attempts: job.retries + 1,
              backoff: { type: 'exponential', delay: RETRY_AFTER },
              lifo: first,
              ...(isHeld && { delay: HELD_FOR }),
            },
          })),
        );
      }
    }
  }

  /** Jobs that were stopped may go on; with `starts` those that are held go on now. */
  async #takeUp(jobs: readonly Job[], starts: boolean): Promise<void> {
    const delayed = await this.#delayed();
    for (const job of jobs.filter((one) => delayed.has(keyOf(one)))) {
      const held = await this.#job(keyOf(job));
      if (held && STOP_MARK in (held.data as object)) await held.updateData(job);
      if (starts) await held?.promote().catch(() => undefined);
    }
  }

  async #delayed(): Promise<Set<string>> {
    const found: string[] = [];
    for (const queue of this.#queues.values()) found.push(...(await queue.getRanges(['delayed'])));
    return new Set(found);
  }

  async next(signal: AbortSignal): Promise<JobEnd | undefined> {
    while (!signal.aborted) {
      const key = this.#ended.shift();
      const end = key === undefined ? undefined : await this.#endOf(key);
      if (end) return end;
      if (key !== undefined) continue;
      await this.#look().catch(() => undefined);
      if (this.#ended.length === 0) await wait(LOOK_EVERY, undefined, { signal }).catch(() => undefined);
    }
    return undefined;
  }

  async #look(): Promise<void> {
    for (const queue of this.#queues.values()) {
      const keys = await queue.getRanges(['completed', 'failed']);
      this.#ended.push(...keys.filter((key) => key.startsWith(`${this.#options.sweep}.`)));
    }
  }

  async #endOf(key: string): Promise<JobEnd | undefined> {
    const job = await this.#job(key);
    if (!job?.finishedOn) return undefined;
    if (job.failedReason) return { key, error: job.failedReason };
    return { key, outcome: validate(job.returnvalue as unknown, outcomeSchema, `what a worker returned of ${key}`) };
  }

  async forget(keys: readonly string[]): Promise<void> {
    // One that is at work cannot be taken out; its end is nobody's then.
    for (const key of keys) await (await this.#job(key))?.remove().catch(() => undefined);
  }

  async missing(keys: readonly string[]): Promise<string[]> {
    const there = new Set<string>();
    for (const queue of this.#queues.values()) for (const key of await queue.getRanges(STATES)) there.add(key);
    return keys.filter((key) => !there.has(key));
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const queue of this.#queues.values()) await queue.close();
    this.#connected.client.disconnect();
  }

  async #job(key: string): Promise<QueueJob | undefined> {
    const known = this.#places.has(key) ? [this.#queues.get(this.#places.get(key))] : [...this.#queues.values()];
    for (const queue of known) {
      const job = (await queue?.getJob(key)) as QueueJob | undefined;
      if (job) return job;
    }
    return undefined;
  }

  async #queueOf(job: Job): Promise<Queue> {
    const adapter = await this.#options.adapterOf?.(job);
    this.#places.set(keyOf(job), adapter);
    return this.#open(adapter);
  }

  #open(adapter: string | undefined): Queue {
    const known = this.#queues.get(adapter);
    if (known) return known;
    const { bullmq, client } = this.#connected;
    const queue = new bullmq.Queue(queueName(this.#options.address, adapter), { connection: client });
    // Outages are heard by the connection.
    queue.on('error', () => undefined);
    this.#queues.set(adapter, queue);
    return queue;
  }
}
