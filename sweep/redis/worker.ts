/**
 * Room: sweep/redis. A worker: takes jobs from a queue, one at a time, and does each in a process of its own, so that a long step never keeps
 * this one from renewing the job's lock. It states its adapter, and takes jobs for it alone before those for any.
 */
import { hostname } from 'node:os';
import type { Job as QueueJob, Queue, Worker } from 'bullmq';
import { UserError } from '../../engine/errors.ts';
import type { StepReport } from '../child.ts';
import { keyOf, parseJob, type Job, type Outcome } from '../job.ts';
import { BusyError, perform, RefusedError, StoppedError, TrialError, type Perform, type Place } from '../perform.ts';
import { reason, type Connected, type QueueAddress } from './connection.ts';
import { adapterSlug, HELD_FOR, queueName, workerName } from './names.ts';

export interface WorkerOptions extends Place {
  readonly address: QueueAddress;
  /** Description of this machine's adapter. */
  readonly adapter: string;
  /** Milliseconds that a job stays this worker's without word from it; undefined: by measured steps. */
  readonly lockDuration?: number | undefined;
  readonly say: (text: string) => void;
  /** In place of a process for each trial. */
  readonly perform?: Perform | undefined;
}

/** What a worker tells of its job. */
export interface WorkerProgress {
  readonly host: string;
  readonly pid: number;
  readonly adapter: string;
  readonly step?: number;
  readonly total?: number;
  readonly title?: string;
  /** Why this worker gave the job back. */
  readonly refused?: string;
}

/** Milliseconds: a lock before steps are measured, its bounds, and its length in steps. */
const LOCK = { first: 15_000, least: 5000, most: 600_000, steps: 30 } as const;

/** A worker may die with a job so often before the job is taken for the cause. */
const MAX_STALLED = 50;

/** Milliseconds before a job is offered again that was given back: refused, or its folder was busy. */
const AGAIN_AFTER = { refused: 5000, busy: 3000 } as const;

/** Milliseconds between two looks whether the job is to be stopped, and between two words of progress. */
const LOOK_EVERY = 5000;

/** Marks in a job's data that its sweep was stopped. */
export const STOP_MARK = 'stop';

export class TrialWorker {
  readonly #connected: Connected;
  readonly #options: WorkerOptions;
  readonly #name: string;
  readonly #stop = new AbortController();
  readonly #told = new Set<string>();
  readonly #queues = new Map<string, Queue>();
  #workers: Worker[] = [];
  #isBusy = false;
  #lock: number;
  #secondsPerStep = 0;
  #drained: () => void = () => undefined;

  constructor(connected: Connected, options: WorkerOptions) {
    this.#connected = connected;
    this.#options = options;
    this.#name = workerName({ host: hostname(), pid: process.pid, adapter: options.adapter });
    this.#lock = options.lockDuration ?? LOCK.first;
  }

  /** Takes jobs until the signal is aborted; then the one under way keeps a checkpoint and is handed back. */
  async run(signal: AbortSignal): Promise<void> {
    const done = new Promise<void>((resolve) => (this.#drained = resolve));
    signal.addEventListener('abort', () => {
      this.#stop.abort();
      this.#drained();
    });
    this.#open();
    if (!signal.aborted) await done;
    await Promise.all(this.#workers.map((worker) => worker.close()));
    this.#connected.client.disconnect();
  }

  #open(): void {
    const { address, adapter } = this.#options;
    this.#workers = [adapterSlug(adapter), undefined].map((slug) => this.#listen(queueName(address, slug)));
  }

  #listen(name: string): Worker {
    const worker: Worker = new this.#connected.bullmq.Worker(
      name,
      (job: QueueJob, token?: string) => this.#take(worker, job, token!),
      {
        connection: this.#connected.client,
        name: this.#name,
        lockDuration: this.#lock,
        stalledInterval: this.#lock,
        maxStalledCount: MAX_STALLED,
      },
    );
    worker.on('error', (error) => {
      // Outages are told by the connection.
      if (!/ECONN|EPIPE|closed|Connection/i.test(error.message))
        this.#options.say(`${this.#options.address.shown}: ${reason(error)}`);
    });
    return worker;
  }

  async #take(worker: Worker, queued: QueueJob, token: string): Promise<Outcome> {
    const { bullmq } = this.#connected;
    if (this.#isBusy || this.#stop.signal.aborted) {
      await queued.moveToWait(token);
      throw new bullmq.WaitingError();
    }
    this.#isBusy = true;
    const others = this.#workers.filter((other) => other !== worker);
    for (const other of others) await other.pause(true);
    try {
      return await this.#do(queued, token);
    } finally {
      this.#isBusy = false;
      for (const other of others) void other.resume();
      void this.#adjustLock();
    }
  }

  async #do(queued: QueueJob, token: string): Promise<Outcome> {
    const { bullmq } = this.#connected;
    let job: Job;
    try {
      job = parseJob(withoutMark(queued.data));
    } catch (error) {
      throw new bullmq.UnrecoverableError(messageOf(error));
    }
    const { say } = this.#options;
    const watch = this.#watch(queued);
    try {
      const outcome = await (this.#options.perform ?? perform)(job, this.#options, watch);
      for (const key of job.waiting ?? []) await this.#release(queued, key);
      say(`${keyOf(job)} ${outcome.state} in ${outcome.seconds.toFixed(1)} s`);
      return outcome;
    } catch (error) {
      return await this.#gaveUp(queued, token, job, error, watch.isMarked());
    } finally {
      watch.end();
    }
  }

  /** A job that waited for this one. One that is no longer held is left as it is. */
  async #release(queued: QueueJob, key: string): Promise<void> {
    const held = await this.#queueOf(queued).getJob(key);
    await held?.promote().catch(() => undefined);
  }

  async #gaveUp(queued: QueueJob, token: string, job: Job, error: unknown, isMarked: boolean): Promise<never> {
    const { bullmq } = this.#connected;
    const { say } = this.#options;
    const later = async (milliseconds: number): Promise<never> => {
      await queued.moveToDelayed(Date.now() + milliseconds, token);
      throw new bullmq.DelayedError();
    };
    if (error instanceof StoppedError) {
      say(`${keyOf(job)} handed back`);
      if (isMarked) await later(HELD_FOR);
      await queued.moveToWait(token);
      throw new bullmq.WaitingError();
    }
    if (error instanceof BusyError) return later(AGAIN_AFTER.busy);
    if (error instanceof RefusedError) {
      this.#tellOnce(`${job.sweep}: refused: ${error.message}`);
      await this.#progress(queued, { refused: error.message });
      return later(AGAIN_AFTER.refused);
    }
    say(`${keyOf(job)} failed: ${messageOf(error)}`);
    if (error instanceof TrialError && error.isFinal) throw new bullmq.UnrecoverableError(error.message);
    throw error;
  }

  /** Listens to a job's process, and to its sweep. */
  #watch(queued: QueueJob) {
    const stop = new AbortController();
    let isMarked = false;
    let last: StepReport | undefined;
    let first: { readonly step: number; readonly at: number } | undefined;
    const timer = setInterval(() => {
      void this.#progress(queued, last ?? {});
      void this.#isMarked(queued).then((found) => {
        isMarked ||= found;
        if (found) stop.abort();
      });
    }, LOOK_EVERY);
    return {
      signal: AbortSignal.any([this.#stop.signal, stop.signal]),
      onBegin: (job: Job) => this.#options.say(`${keyOf(job)} begins`),
      onStep: (report: StepReport) => {
        last = report;
        if (!first || report.step <= first.step) first = { step: report.step, at: Date.now() };
        else this.#secondsPerStep = (Date.now() - first.at) / (report.step - first.step) / 1000;
      },
      isMarked: () => isMarked,
      end: () => clearInterval(timer),
    };
  }

  async #isMarked(queued: QueueJob): Promise<boolean> {
    const found = await this.#queueOf(queued)
      .getJob(queued.id!)
      .catch(() => undefined);
    return found !== undefined && STOP_MARK in (found.data as object);
  }

  #queueOf({ queueName: name }: QueueJob): Queue {
    const known = this.#queues.get(name);
    if (known) return known;
    const queue = new this.#connected.bullmq.Queue(name, { connection: this.#connected.client });
    queue.on('error', () => undefined);
    this.#queues.set(name, queue);
    return queue;
  }

  async #progress(queued: QueueJob, more: Partial<WorkerProgress>): Promise<void> {
    const { adapter } = this.#options;
    const progress: WorkerProgress = { host: hostname(), pid: process.pid, adapter, ...more };
    await queued.updateProgress(progress).catch(() => undefined);
  }

  /** So long that a busy machine is not taken for a dead one, so short that a dead one is soon found. */
  async #adjustLock(): Promise<void> {
    if (this.#options.lockDuration !== undefined || this.#secondsPerStep === 0 || this.#stop.signal.aborted) return;
    const wanted = Math.min(LOCK.most, Math.max(LOCK.least, this.#secondsPerStep * 1000 * LOCK.steps));
    if (wanted < this.#lock * 2 && wanted > this.#lock / 2) return;
    this.#lock = wanted;
    const old = this.#workers;
    this.#open();
    await Promise.all(old.map((worker) => worker.close()));
  }

  #tellOnce(text: string): void {
    if (this.#told.has(text)) return;
    this.#told.add(text);
    this.#options.say(text);
  }
}

function withoutMark(data: unknown): unknown {
  if (typeof data !== 'object' || data === null) return data;
  const { [STOP_MARK]: _, ...job } = data as Record<string, unknown>;
  return job;
}

function messageOf(error: unknown): string {
  if (error instanceof UserError || error instanceof TrialError) return error.message;
  return error instanceof Error ? (error.stack ?? error.message) : String(error);
}
