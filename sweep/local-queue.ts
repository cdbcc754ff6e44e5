/** Room: sweep. A queue without a server: so many trials at once, each a process of its own on this machine. */
import { setTimeout as wait } from 'node:timers/promises';
import { keyOf, type Job } from './job.ts';
import { BusyError, perform, RefusedError, StoppedError, TrialError, type Place } from './perform.ts';
import type { StepReport } from './child.ts';
import type { JobEnd, TrialQueue } from './queue.ts';

export interface LocalQueueOptions extends Place {
  /** Trials at once. */
  readonly workers: number;
  readonly onBegin?: ((job: Job) => void) | undefined;
  readonly onStep?: ((job: Job, report: StepReport) => void) | undefined;
}

/** Milliseconds before a trial that failed is tried again. */
const RETRY_AFTER = 1000;

export class LocalQueue implements TrialQueue {
  readonly #options: LocalQueueOptions;
  readonly #stop = new AbortController();
  readonly #waiting: Job[] = [];
  readonly #running = new Map<string, Promise<void>>();
  /** Jobs by the key of the one that they wait for. */
  readonly #after = new Map<string, Job[]>();
  readonly #known = new Set<string>();
  readonly #ends: JobEnd[] = [];
  #wake: () => void = () => undefined;

  constructor(options: LocalQueueOptions) {
    this.#options = options;
  }

  add(
    jobs: readonly Job[],
    { first = false, after }: { first?: boolean; after?: Job | undefined } = {},
  ): Promise<void> {
    const fresh = [...(after ? [after] : []), ...jobs].filter((job) => !this.#known.has(keyOf(job)));
    for (const job of fresh) this.#known.add(keyOf(job));
    const held = after ? fresh.filter((job) => job !== after) : [];
    if (after) this.#after.set(keyOf(after), [...(this.#after.get(keyOf(after)) ?? []), ...held]);
    const ready = fresh.filter((job) => !held.includes(job));
    if (first) this.#waiting.unshift(...ready);
    else this.#waiting.push(...ready);
    this.#fill();
    return Promise.resolve();
  }

  async next(signal: AbortSignal): Promise<JobEnd | undefined> {
    while (this.#ends.length === 0 && !signal.aborted) {
      await new Promise<void>((resolve) => {
        this.#wake = resolve;
        signal.addEventListener('abort', () => resolve(), { once: true });
      });
    }
    return signal.aborted ? undefined : this.#ends.shift();
  }

  forget(keys: readonly string[]): Promise<void> {
    const gone = new Set(keys);
    const left = this.#waiting.filter((job) => !gone.has(keyOf(job)));
    this.#waiting.splice(0, this.#waiting.length, ...left);
    for (const [key, jobs] of this.#after) this.#after.set(key, jobs.filter((job) => !gone.has(keyOf(job)))); // prettier-ignore
    return Promise.resolve();
  }

  missing(): Promise<string[]> {
    return Promise.resolve([]);
  }

  /** Stops what runs; it keeps its checkpoints. */
  async [Symbol.asyncDispose](): Promise<void> {
    this.#stop.abort();
    await Promise.all(this.#running.values());
  }

  #fill(): void {
    while (this.#running.size < this.#options.workers && !this.#stop.signal.aborted) {
      const job = this.#waiting.shift();
      if (!job) return;
      const key = keyOf(job);
      this.#running.set(
        key,
        this.#run(job).then((end) => {
          this.#running.delete(key);
          if (end) this.#ended(key, end);
          this.#fill();
        }),
      );
    }
  }

  #ended(key: string, end: JobEnd): void {
    this.#ends.push(end);
    if ('outcome' in end) this.#waiting.push(...(this.#after.get(key) ?? []));
    this.#after.delete(key);
    this.#wake();
  }

  /** @returns undefined where it was stopped */
  async #run(job: Job): Promise<JobEnd | undefined> {
    const key = keyOf(job);
    const { signal } = this.#stop;
    const { onBegin, onStep } = this.#options;
    for (let failures = 0; ;) {
      try {
        const watch = { signal, onBegin, onStep: (report: StepReport) => onStep?.(job, report) };
        return { key, outcome: await perform(job, this.#options, watch) };
      } catch (error) {
        if (signal.aborted || error instanceof StoppedError) return undefined;
        const isAgain =
          error instanceof BusyError || (error instanceof TrialError && !error.isFinal && failures++ < job.retries);
        if (!isAgain) return { key, error: messageOf(error) };
        await wait(RETRY_AFTER, undefined, { signal }).catch(() => undefined);
      }
    }
  }
}

function messageOf(error: unknown): string {
  if (error instanceof TrialError || error instanceof RefusedError) return error.message;
  return error instanceof Error ? (error.stack ?? error.message) : String(error);
}
