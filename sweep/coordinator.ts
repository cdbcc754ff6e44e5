/**
 * Room: sweep. Brings trials to their ends: adds jobs to a queue, hears what came of them, lets the scheduler decide, and records each trial
 * once. All that it must remember is in the records and in the queue, so that it may die at any time.
 */
import type { SweepSpec } from './spec.ts';
import type { TrialRecord } from '../report/sweep/schema.ts';
import { keyOf, type Job, type Outcome } from './job.ts';
import { estimateJob, jobOf, type PlannedTrial, type SweepPlan } from './plan.ts';
import type { JobEnd, TrialQueue } from './queue.ts';
import type { Records } from './records.ts';
import { createScheduler, type Scheduler } from './scheduler.ts';

export interface CoordinatorOptions {
  readonly plan: SweepPlan;
  readonly spec: Pick<SweepSpec, 'metric' | 'direction' | 'retries'>;
  /** Of the sweep, relative to the storage. */
  readonly folder: string;
  readonly records: Records;
  readonly queue: TrialQueue;
  readonly onRecord?: ((trial: TrialRecord) => void) | undefined;
  /** Hears of a trial that was stopped for good: nothing goes on from its checkpoint. */
  readonly onStopped?: ((id: string) => Promise<void>) | undefined;
  /** Hears what a trial's command has left. */
  readonly onResult?: ((id: string, result: Outcome['result']) => Promise<void>) | undefined;
}

/** Milliseconds between two looks for jobs that a queue has lost. */
const LOST_EVERY = 30_000;

/** Milliseconds in which ends that are there are heard. */
const COLLECT_FOR = 500;

/** A trial on its way. */
interface Progress {
  readonly trial: PlannedTrial;
  rung: number;
  /** Of its parts until now, and what it had at the last. */
  seconds: number;
  metrics: TrialRecord['metrics'];
  device: TrialRecord['device'];
}

export class Coordinator {
  readonly #options: CoordinatorOptions;
  readonly #scheduler: Scheduler | undefined;
  readonly #underWay: Map<string, Progress>;
  /** Jobs that are in the queue, by their keys. */
  readonly #jobs = new Map<string, Job>();

  constructor(options: CoordinatorOptions) {
    this.#options = options;
    const { plan, spec, records } = options;
    this.#scheduler = plan.scheduler && createScheduler(plan.scheduler, spec.direction ?? 'maximize');
    const left = plan.trials.filter(({ id }) => !records.trials.has(id));
    this.#underWay = new Map(
      left.map((trial) => [trial.id, { trial, rung: 0, seconds: 0, metrics: {}, device: null }]),
    );
  }

  /** Adds what is left to the queue. */
  async begin(): Promise<void> {
    const waiting = this.#replay();
    const ready = [...this.#underWay.values()].filter(({ trial }) => !waiting.has(trial.id));
    await this.#add(ready);
    if (!this.#scheduler?.mayWait) for (const id of waiting) await this.#stopped(id);
  }

  /** Until every trial is recorded, or the signal is aborted. @returns whether all are */
  async run(signal: AbortSignal): Promise<boolean> {
    const { queue } = this.#options;
    let looked = Date.now();
    while (this.#jobs.size > 0 || (await this.#revive())) {
      const end = await queue.next(AbortSignal.any([signal, AbortSignal.timeout(LOST_EVERY)]));
      if (signal.aborted) return false;
      if (end) await this.#hear(end);
      if (Date.now() - looked < LOST_EVERY) continue;
      looked = Date.now();
      await this.#addLost();
    }
    for (const id of [...this.#underWay.keys()]) await this.#stopped(id);
    return true;
  }

  /** Records what has come to its end, and adds what follows from it, without waiting for more. @returns whether every trial is recorded */
  async collect(): Promise<boolean> {
    const now = AbortSignal.timeout(COLLECT_FOR);
    for (let end = await this.#options.queue.next(now); end; end = await this.#options.queue.next(now))
      await this.#hear(end);
    await this.#addLost();
    return this.#underWay.size === 0;
  }

  /** Makes the decisions of the log again. @returns trials that wait for one */
  #replay(): Set<string> {
    const waiting = new Set<string>();
    const heard = new Set<string>();
    for (const { trial, rung, value, metrics, seconds, device, promoted } of this.#options.records.decisions) {
      const result = `${trial} ${rung}`;
      if (heard.has(result)) this.#scheduler?.revive();
      else this.#scheduler?.report({ trial, rung, value: value ?? NaN });
      heard.add(result);
      const progress = this.#underWay.get(trial);
      if (progress) Object.assign(progress, { rung, metrics, seconds, device });
      waiting.add(trial);
      for (const id of promoted) {
        waiting.delete(id);
        const other = this.#underWay.get(id);
        if (other) other.rung = rung + 1;
      }
    }
    return new Set([...waiting].filter((id) => this.#underWay.has(id)));
  }

  /** Adds trials at their rungs, those that share an estimation behind it. */
  async #add(trials: readonly Progress[], first = false): Promise<void> {
    const groups = new Map<string | undefined, Job[]>();
    for (const { trial, rung } of trials) {
      const { plan, folder, spec } = this.#options;
      const part = this.#scheduler && { rung, pauseAfter: this.#scheduler.stepAt(rung) };
      const job = jobOf(plan, trial, { folder, retries: spec.retries }, part);
      this.#jobs.set(keyOf(job), job);
      const shared = rung === 0 ? trial.estimate?.id : undefined;
      groups.set(shared, [...(groups.get(shared) ?? []), job]);
    }
    for (const [shared, jobs] of groups) {
      const after = shared === undefined ? undefined : estimateJob(jobs[0]!, jobs.map(keyOf));
      if (after) this.#jobs.set(keyOf(after), after);
      await this.#options.queue.add(jobs, { first, after });
    }
  }

  async #hear(end: JobEnd): Promise<void> {
    const job = this.#jobs.get(end.key);
    if (job) await ('error' in end ? this.#failed(job, end.error) : this.#ended(job, end.outcome));
    this.#jobs.delete(end.key);
    await this.#options.queue.forget([end.key]);
  }

  async #failed(job: Job, error: string): Promise<void> {
    if (job.kind === 'trial') return this.#record(job.id, 'failed', error);
    const waiting = [...this.#jobs.values()].filter(
      ({ kind, estimate }) => kind === 'trial' && estimate?.id === job.id,
    );
    for (const other of waiting) {
      await this.#record(other.id, 'failed', `its estimation ${job.id}: ${error}`);
      this.#jobs.delete(keyOf(other));
    }
    await this.#options.queue.forget(waiting.map(keyOf));
  }

  async #ended(job: Job, { state, metrics, seconds, device, result }: Outcome): Promise<void> {
    const progress = this.#underWay.get(job.id);
    if (job.kind === 'estimate' || !progress) return;
    progress.seconds += seconds;
    progress.metrics = metrics;
    progress.device = device ?? progress.device;
    if (state === 'done') {
      if (result !== undefined) await this.#options.onResult?.(job.id, result);
      await this.#record(job.id, 'done', null);
    } else await this.#decide(job, progress);
  }

  async #decide({ id, part }: Job, progress: Progress): Promise<void> {
    const { rung } = part!;
    const { metric } = this.#options.spec;
    const value = progress.metrics[metric!];
    if (value === undefined) return this.#record(id, 'failed', noMetric(metric!, progress.metrics));
    await this.#log(progress, rung, this.#scheduler!.report({ trial: id, rung, value }));
    if (!this.#scheduler!.mayWait && !this.#isPromoted(id, rung)) await this.#stopped(id);
  }

  #isPromoted(id: string, rung: number): boolean {
    return (this.#underWay.get(id)?.rung ?? 0) > rung;
  }

  /** Writes a decision down, then acts on it. */
  async #log({ trial, metrics, seconds, device }: Progress, rung: number, promoted: string[]): Promise<void> {
    const value = metrics[this.#options.spec.metric!]!;
    const step = this.#scheduler!.stepAt(rung);
    const known = { metrics: finite(metrics), seconds, device, promoted };
    await this.#options.records.addDecision({ trial: trial.id, rung, step, value: Number.isNaN(value) ? null : value, ...known }); // prettier-ignore
    const others = promoted.flatMap((id) => this.#underWay.get(id) ?? []);
    for (const other of others) other.rung = rung + 1;
    await this.#add(others, true);
  }

  /** Lets the best of those that wait go on, where none has come to its end. @returns whether there is one */
  async #revive(): Promise<boolean> {
    const { records } = this.#options;
    if ([...records.trials.values()].some(({ state }) => state === 'done')) return false;
    const found = this.#scheduler?.revive();
    const progress = found && this.#underWay.get(found.trial);
    if (!progress) return false;
    await this.#log(progress, found.rung, [found.trial]);
    return true;
  }

  async #stopped(id: string): Promise<void> {
    await this.#record(id, 'stopped', null);
    await this.#options.onStopped?.(id);
  }

  async #record(id: string, state: TrialRecord['state'], error: string | null): Promise<void> {
    const progress = this.#underWay.get(id);
    if (!progress) return;
    const { metric } = this.#options.spec;
    const { trial, seconds, device } = progress;
    const metrics = state === 'failed' ? {} : finite(progress.metrics);
    const isMissing = state === 'done' && metric !== undefined && progress.metrics[metric] === undefined;
    const record: TrialRecord = isMissing
      ? { id, config: trial.config, state: 'failed', metrics, seconds, device, error: noMetric(metric, metrics) }
      : { id, config: trial.config, state, metrics, seconds, device, error };
    await this.#options.records.addTrial(record);
    this.#underWay.delete(id);
    this.#options.onRecord?.(record);
  }

  /** Adds again what a queue has lost. */
  async #addLost(): Promise<void> {
    const keys = await this.#options.queue.missing([...this.#jobs.keys()]);
    const lost = keys.map((key) => this.#jobs.get(key)!);
    for (const job of lost.filter(({ kind }) => kind === 'estimate')) {
      const held = [...this.#jobs.values()].filter(({ kind, estimate }) => kind === 'trial' && estimate?.id === job.id);
      await this.#options.queue.add(held, { after: job });
    }
    await this.#options.queue.add(lost.filter(({ kind }) => kind === 'trial'));
  }
}

/** JSON has no others. */
function finite(metrics: TrialRecord['metrics']): TrialRecord['metrics'] {
  return Object.fromEntries(Object.entries(metrics).filter(([, value]) => Number.isFinite(value)));
}

function noMetric(metric: string, metrics: TrialRecord['metrics']): string {
  return `no figure is called "${metric}", found ${Object.keys(metrics).join(', ')}`;
}
