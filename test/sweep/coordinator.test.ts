/** Protects: every trial is recorded once, whatever the queue and the process do; decisions are made again from their log. */
import { appendFile, mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import fc from 'fast-check';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { SchedulerOptions } from '../../report/sweep/schema.ts';
import { Coordinator } from '../../sweep/coordinator.ts';
import { keyOf, type Job, type Outcome } from '../../sweep/job.ts';
import type { PlannedTrial, SweepPlan } from '../../sweep/plan.ts';
import type { JobEnd, TrialQueue } from '../../sweep/queue.ts';
import { Records } from '../../sweep/records.ts';

let dir: string;
let folders = 0;
beforeAll(async () => {
  dir = await mkdtemp(join(tmpdir(), 'light-peft-coordinator-'));
});
afterAll(() => rm(dir, { recursive: true, force: true }));

const facts = { base: 'b', data: {}, sources: 's' };
const id = (i: number): string => i.toString(16).padStart(12, '0');
const ESTIMATE = { id: 'eeeeeeeeeeee', command: 'estimate', config: {} } as const;

function planOf(count: number, more: Partial<SweepPlan> = {}, estimate?: PlannedTrial['estimate']): SweepPlan {
  const size = { steps: 8, epochs: 1, batchSize: 1, estimateSteps: 1 };
  const trials = Array.from({ length: count }, (_, i) => ({ id: id(i), config: { lr: i }, facts, size, estimate }));
  return { id: 'aaaaaaaaaaaa', command: 'run', trials, repeated: 0, axes: ['lr'], facts, ...more };
}

/** A queue that is a list, and a machine that computes a trial's figures from its number. */
class FakeQueue implements TrialQueue {
  readonly added: string[] = [];
  readonly #jobs: Job[] = [];
  readonly #held = new Map<string, Job[]>();
  readonly #ended = new Map<string, JobEnd>();
  readonly #fails: (job: Job) => string | undefined;
  readonly #order: (length: number) => number;

  constructor(fails: (job: Job) => string | undefined = () => undefined, order: (length: number) => number = () => 0) {
    this.#fails = fails;
    this.#order = order;
  }

  add(jobs: readonly Job[], { after }: { after?: Job | undefined } = {}): Promise<void> {
    this.added.push(...jobs.map(keyOf), ...(after ? [keyOf(after)] : []));
    if (after) this.#held.set(keyOf(after), [...jobs]);
    this.#jobs.push(...(after ? [after] : jobs));
    return Promise.resolve();
  }

  next(): Promise<JobEnd | undefined> {
    const [job] = this.#jobs.splice(this.#order(this.#jobs.length), 1);
    if (!job) return Promise.resolve(undefined);
    const key = keyOf(job);
    const error = this.#fails(job);
    const end: JobEnd = error === undefined ? { key, outcome: this.#outcome(job) } : { key, error };
    if (error === undefined) this.#jobs.push(...(this.#held.get(key) ?? []));
    this.#ended.set(key, end);
    return Promise.resolve(end);
  }

  #outcome({ id: trial, part }: Job): Outcome {
    const value = parseInt(trial, 16) % 7;
    const state = part && part.pauseAfter < 8 ? 'paused' : 'done';
    return { state, metrics: { score: value }, seconds: 1, device: null };
  }

  forget(keys: readonly string[]): Promise<void> {
    for (const key of keys) this.#ended.delete(key);
    const left = this.#jobs.filter((job) => !keys.includes(keyOf(job)));
    this.#jobs.splice(0, this.#jobs.length, ...left);
    return Promise.resolve();
  }

  missing(): Promise<string[]> {
    return Promise.resolve([]);
  }

  [Symbol.asyncDispose](): Promise<void> {
    return Promise.resolve();
  }
}

const spec = { metric: 'score', direction: 'maximize', retries: 0 } as const;

async function run(plan: SweepPlan, queue: TrialQueue, folder: string, signal = new AbortController().signal) {
  await using records = await Records.open(folder);
  const coordinator = new Coordinator({ plan, spec, folder: 'x', records, queue });
  await coordinator.begin();
  const isWhole = await coordinator.run(signal);
  return { isWhole, trials: [...records.trials.values()], decisions: [...records.decisions] };
}

async function newFolder(): Promise<string> {
  return mkdtemp(join(dir, `${folders++}-`));
}

const linesOf = async (folder: string, name: string): Promise<string[]> =>
  (await readFile(join(folder, name), 'utf8')).split('\n').filter((line) => line !== '');

describe('without a scheduler', () => {
  it('records every trial once, and runs none again', async () => {
    const folder = await newFolder();
    const first = await run(planOf(5), new FakeQueue(), folder);
    expect(first.trials.map((trial) => trial.state)).toEqual(Array(5).fill('done'));
    const again = new FakeQueue();
    expect((await run(planOf(5), again, folder)).isWhole).toBe(true);
    expect(again.added).toEqual([]);
    expect(await linesOf(folder, 'trials.jsonl')).toHaveLength(5);
  });

  it('makes a shared estimation once, before its trials', async () => {
    const queue = new FakeQueue();
    const { trials } = await run(planOf(4, {}, ESTIMATE), queue, await newFolder());
    expect(trials).toHaveLength(4);
    expect(queue.added.filter((key) => key.includes('estimate'))).toHaveLength(1);
  });

  it('records trials whose estimation failed as failed, with its error', async () => {
    const { trials } = await run(planOf(3, {}, ESTIMATE), new FakeQueue((job) => (job.kind === 'estimate' ? 'no disk' : undefined)), await newFolder()); // prettier-ignore
    expect(trials.map(({ state, error }) => [state, error])).toEqual(
      Array(3).fill(['failed', 'its estimation eeeeeeeeeeee: no disk']),
    );
  });

  it('records a trial that fails, and goes on with the others', async () => {
    const { trials } = await run(planOf(3), new FakeQueue((job) => (job.id === id(1) ? 'NaN' : undefined)), await newFolder()); // prettier-ignore
    expect(trials.map(({ state }) => state).sort()).toEqual(['done', 'done', 'failed']);
  });

  it('says which figures there are where the metric is none of them', async () => {
    const folder = await newFolder();
    await using records = await Records.open(folder);
    const coordinator = new Coordinator({ plan: planOf(1), spec: { ...spec, metric: 'accurcy' }, folder: 'x', records, queue: new FakeQueue() }); // prettier-ignore
    await coordinator.begin();
    await coordinator.run(new AbortController().signal);
    expect(records.trials.get(id(0))).toMatchObject({
      state: 'failed',
      error: 'no figure is called "accurcy", found score',
    });
  });

  it('forgets a line that was cut off, and records its trial again', async () => {
    const folder = await newFolder();
    await run(planOf(2), new FakeQueue(), folder);
    await appendFile(join(folder, 'trials.jsonl'), '{"id":"00000000');
    const { trials } = await run(planOf(3), new FakeQueue(), folder);
    expect(trials).toHaveLength(3);
    expect(await linesOf(folder, 'trials.jsonl')).toHaveLength(3);
  });
});

describe('with asynchronous successive halving', () => {
  const scheduler: SchedulerOptions = { name: 'asha', minSteps: 1, reductionFactor: 2 };

  it('stops the weak and brings the best to their end', async () => {
    const { trials, decisions } = await run(planOf(8, { scheduler }), new FakeQueue(), await newFolder());
    expect(trials).toHaveLength(8);
    expect(new Set(trials.map(({ state }) => state))).toEqual(new Set(['done', 'stopped']));
    const best = trials.filter(({ state }) => state === 'done').map(({ metrics }) => metrics.score);
    expect(Math.max(...(best as number[]))).toBe(6);
    expect(decisions.filter(({ rung }) => rung === 0)).toHaveLength(8);
  });

  it('brings one trial to its end, however few there are', async () => {
    for (const count of [1, 2, 3]) {
      const { trials } = await run(planOf(count, { scheduler }), new FakeQueue(), await newFolder());
      expect(trials.filter(({ state }) => state === 'done').length).toBeGreaterThan(0);
    }
  });

  it('comes to the same end after being stopped anywhere', async () => {
    await fc.assert(
      fc.asyncProperty(fc.integer({ min: 1, max: 30 }), async (ends) => {
        const plan = planOf(9, { scheduler }, ESTIMATE);
        const whole = await run(plan, new FakeQueue(), await newFolder());
        const folder = await newFolder();
        const abort = new AbortController();
        let heard = 0;
        const queue = new FakeQueue();
        const next = queue.next.bind(queue);
        queue.next = () => {
          if (++heard >= ends) abort.abort();
          return next();
        };
        await run(plan, queue, folder, abort.signal);
        const rest = await run(plan, new FakeQueue(), folder);
        expect(rest.isWhole).toBe(true);
        const states = (trials: typeof rest.trials) => trials.map(({ id: of, state }) => `${of} ${state}`).sort();
        expect(rest.trials).toHaveLength(9);
        expect(new Set(rest.trials.map(({ id: of }) => of)).size).toBe(9);
        // The order of results may differ after a stop; the best trial comes to its end in any.
        expect(states(rest.trials)).toContain(
          states(whole.trials).find((one) => one.endsWith('done') && one.startsWith(id(6))),
        );
      }),
      { numRuns: 20 },
    );
  });
});

describe('with median stopping', () => {
  const scheduler: SchedulerOptions = { name: 'median', every: 2, minTrials: 2 };

  it('records a stopped trial at once, with what it had', async () => {
    const { trials } = await run(planOf(7, { scheduler }), new FakeQueue(), await newFolder());
    const stopped = trials.filter(({ state }) => state === 'stopped');
    expect(trials).toHaveLength(7);
    for (const { metrics, seconds } of stopped) {
      expect(metrics).toHaveProperty('score');
      expect(seconds).toBeGreaterThan(0);
    }
  });
});
