/**
 * Protects: sweeps over a real Redis: each trial ends once, whoever takes it, comes late, refuses, fails or is stopped. Trials are functions here;
 * `kill-sweep.test.ts` has processes.
 */
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as wait } from 'node:timers/promises';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { Coordinator } from '../../sweep/coordinator.ts';
import type { Job, Outcome } from '../../sweep/job.ts';
import { BusyError, RefusedError, StoppedError, TrialError, type Perform } from '../../sweep/perform.ts';
import { jobOf, type SweepPlan } from '../../sweep/plan.ts';
import { Records } from '../../sweep/records.ts';
import { Adapters } from '../../sweep/redis/adapters.ts';
import { connect, parseAddress } from '../../sweep/redis/connection.ts';
import { adapterSlug, queueName } from '../../sweep/redis/names.ts';
import { RedisQueue } from '../../sweep/redis/redis-queue.ts';
import { queueState, stopJobs } from '../../sweep/redis/state.ts';
import { TrialWorker, type WorkerOptions } from '../../sweep/redis/worker.ts';
import { RedisServer } from '../../bench/measure/redis-server.ts';

let dir: string;
let server: RedisServer;
let queues = 0;
beforeAll(async () => {
  dir = await mkdtemp(join(tmpdir(), 'light-peft-redis-'));
  server = await RedisServer.start(dir);
});
afterAll(async () => {
  await server[Symbol.asyncDispose]();
  await rm(dir, { recursive: true, force: true });
});

const hash = `sha256:${'0'.repeat(64)}`;
const facts = { base: hash, data: {}, sources: hash };
const id = (i: number): string => i.toString(16).padStart(12, '0');
const ESTIMATE = { id: 'eeeeeeeeeeee', command: 'estimate', config: { seed: 0 } } as const;

function planOf(
  sweep: string,
  count: number,
  more: Partial<SweepPlan> = {},
  estimate?: SweepPlan['trials'][0]['estimate'],
): SweepPlan {
  const size = { steps: 8, epochs: 1, batchSize: 1, estimateSteps: 1 };
  const trials = Array.from({ length: count }, (_, i) => ({ id: id(i), config: { lr: i }, facts, size, estimate }));
  return { id: sweep.padEnd(12, '0'), command: 'run', trials, repeated: 0, axes: ['lr'], facts, ...more };
}

const done: Perform = ({ id: trial }): Promise<Outcome> =>
  Promise.resolve({ state: 'done', metrics: { score: parseInt(trial, 16) }, seconds: 1, device: null });

/** A queue of its own, so that tests do not meet. */
const newUrl = (): string => `${server.url}?queue=test-${queues++}`;

/** Waits until something is so; the test's own limit ends it otherwise. */
async function until(isSo: () => boolean | Promise<boolean>): Promise<void> {
  while (!(await isSo())) await wait(20);
}

const workers: { stop: AbortController; ended: Promise<void> }[] = [];

async function startWorker(url: string, perform: Perform, more: Partial<WorkerOptions> = {}) {
  const address = parseAddress(url);
  const said: string[] = [];
  const worker = new TrialWorker(await connect(address), {
    address,
    adapter: 'a test',
    storage: dir,
    factsOf: () => Promise.resolve(facts),
    say: (text) => said.push(text),
    lockDuration: 1000,
    perform,
    ...more,
  });
  const stop = new AbortController();
  const ended = worker.run(stop.signal);
  workers.push({ stop, ended });
  return {
    said,
    stop: async () => {
      stop.abort();
      await ended;
    },
  };
}

async function stopWorkers(): Promise<void> {
  for (const { stop, ended } of workers.splice(0)) {
    stop.abort();
    await ended;
  }
}

async function openQueue(url: string, { id: sweep }: SweepPlan, more: object = {}): Promise<RedisQueue> {
  const address = parseAddress(url);
  return new RedisQueue(await connect(address), { address, sweep, ...more });
}

async function run(
  url: string,
  plan: SweepPlan,
  { retries = 0, signal = AbortSignal.timeout(60_000), more = {} } = {},
) {
  const folder = await mkdtemp(join(dir, 'out-'));
  await using records = await Records.open(folder);
  await using queue = await openQueue(url, plan, more);
  const spec = { metric: 'score', direction: 'maximize', retries } as const;
  const coordinator = new Coordinator({ plan, spec, folder: 'out', records, queue });
  await coordinator.begin();
  const isWhole = await coordinator.run(signal);
  return { isWhole, trials: [...records.trials.values()] };
}

describe('a sweep over a queue', () => {
  it('ends every trial once, after the estimation that they share', async () => {
    const url = newUrl();
    const began: string[] = [];
    const watched: Perform = (job, ...rest) => {
      began.push(`${job.kind} ${job.id}`);
      return done(job, ...rest);
    };
    for (let i = 0; i < 3; i++) await startWorker(url, watched);
    const { trials } = await run(url, planOf('a1', 9, {}, ESTIMATE));
    await stopWorkers();
    expect(trials.map(({ id: of }) => of).sort()).toEqual(Array.from({ length: 9 }, (_, i) => id(i)));
    expect(began[0]).toBe(`estimate ${ESTIMATE.id}`);
    expect(began).toHaveLength(10);
  });

  it('shares a queue with another, and waits for a worker that comes late', async () => {
    const url = newUrl();
    const both = Promise.all([run(url, planOf('b1', 5, {}, ESTIMATE)), run(url, planOf('b2', 5))]);
    await wait(500);
    await startWorker(url, done);
    const [one, other] = await both;
    await stopWorkers();
    expect(one.trials).toHaveLength(5);
    expect(other.trials).toHaveLength(5);
  });

  it('leaves nothing in Redis but the queue’s own counters', async () => {
    const url = newUrl();
    await startWorker(url, done);
    const plan = planOf('c1', 4, {}, ESTIMATE);
    await run(url, plan);
    await stopWorkers();
    const address = parseAddress(url);
    const connected = await connect(address);
    const { sweeps } = await queueState(connected, address, plan.id);
    connected.client.disconnect();
    expect(sweeps).toEqual([]);
  });
});

describe('a trial that fails', () => {
  it('ends as failed with its error after its retries, and blocks nothing', async () => {
    const url = newUrl();
    let tries = 0;
    const poisoned: Perform = (job, ...rest) => {
      if (job.id !== id(1)) return done(job, ...rest);
      tries++;
      throw new TrialError('its process was killed', false);
    };
    await startWorker(url, poisoned);
    const { trials } = await run(url, planOf('d1', 4), { retries: 1 });
    await stopWorkers();
    expect(trials.filter(({ state }) => state === 'done')).toHaveLength(3);
    expect(trials.find(({ state }) => state === 'failed')).toMatchObject({
      id: id(1),
      error: 'its process was killed',
    });
    expect(tries).toBe(2);
  });

  it('is not tried again where its options are wrong', async () => {
    const url = newUrl();
    let tries = 0;
    await startWorker(url, () => {
      tries++;
      throw new TrialError('--lr: found -1', true);
    });
    const { trials } = await run(url, planOf('d2', 1), { retries: 5 });
    await stopWorkers();
    expect(trials[0]).toMatchObject({ state: 'failed', error: '--lr: found -1' });
    expect(tries).toBe(1);
  });

  it('fails the job at once where the payload is none, whoever put it there', async () => {
    const url = newUrl();
    const address = parseAddress(url);
    const connected = await connect(address);
    const queue = new connected.bullmq.Queue(queueName(address, undefined), { connection: connected.client });
    const good = jobOf(planOf('e1', 1), planOf('e1', 1).trials[0]!, { folder: 'out', retries: 0 });
    const hostile = [3, null, {}, { ...good, folder: '/etc' }, { ...good, config: { model: '../x' } }, { ...good, config: { out: 'x' } }]; // prettier-ignore
    for (const [i, data] of hostile.entries()) await queue.add('trial', data, { jobId: `h.${i}` });
    let isReached = false;
    await startWorker(url, (job, ...rest) => {
      isReached ||= job.sweep !== 'b00000000000';
      return done(job, ...rest);
    });
    await run(url, planOf('b', 1));
    for (const i of hostile.keys()) expect(await queue.getJobState(`h.${i}`)).toBe('failed');
    await stopWorkers();
    await queue.close();
    connected.client.disconnect();
    expect(isReached).toBe(false);
  });
});

describe('a worker', () => {
  it('that refuses hands the trial to others, and says why once', async () => {
    const url = newUrl();
    const refusing = await startWorker(url, () => {
      throw new RefusedError('the base of this machine is sha256:1, that of the sweep sha256:2');
    });
    const sweep = run(url, planOf('f1', 2));
    const address = parseAddress(url);
    const connected = await connect(address);
    let refusals: readonly string[] = [];
    await until(async () => {
      refusals = (await queueState(connected, address)).refusals;
      return refusals.length > 0;
    });
    connected.client.disconnect();
    await refusing.stop();
    // What was refused is offered again some seconds later.
    await startWorker(url, done);
    expect((await sweep).trials).toHaveLength(2);
    await stopWorkers();
    expect(refusals).toEqual([expect.stringContaining('sha256:1')]);
    expect(refusing.said.filter((text) => text.includes('refused'))).toHaveLength(1);
  });

  it('that ends hands its trial back at once', async () => {
    const url = newUrl();
    let hasBegun = false;
    const slow: Perform = (_, __, { signal }) => {
      hasBegun = true;
      return new Promise((__, reject) => signal.addEventListener('abort', () => reject(new StoppedError('stopped'))));
    };
    const first = await startWorker(url, slow, { lockDuration: 60_000 });
    const sweep = run(url, planOf('f2', 1));
    await until(() => hasBegun);
    await first.stop();
    expect(first.said.some((text) => text.includes('handed back'))).toBe(true);
    await startWorker(url, done);
    expect((await sweep).trials).toHaveLength(1);
    await stopWorkers();
  });

  it('waits where another process is at work in the trial’s folder', async () => {
    const url = newUrl();
    let tries = 0;
    await startWorker(url, (...of) => {
      if (tries++ === 0) throw new BusyError('busy');
      return done(...of);
    });
    expect((await run(url, planOf('f3', 1))).trials[0]).toMatchObject({ state: 'done' });
    await stopWorkers();
    expect(tries).toBe(2);
  });

  it('takes one trial at a time, of whichever queue', async () => {
    const url = newUrl();
    let atOnce = 0;
    let most = 0;
    const counting: Perform = async (...of) => {
      most = Math.max(most, ++atOnce);
      await wait(100);
      atOnce--;
      return done(...of);
    };
    await startWorker(url, counting);
    const pinned = { adapterOf: () => Promise.resolve(adapterSlug('a test')) };
    const [one, other] = await Promise.all([run(url, planOf('f4', 5), { more: pinned }), run(url, planOf('f5', 5))]);
    await stopWorkers();
    expect([one.trials.length, other.trials.length]).toEqual([5, 5]);
    expect(most).toBe(1);
  });
});

it('runs repeats of a configuration on one kind of adapter', async () => {
  const url = newUrl();
  const ran = new Map<string, Set<string>>();
  const on =
    (adapter: string): Perform =>
    async (job, ...rest) => {
      const key = JSON.stringify(job.config.lr);
      ran.set(key, (ran.get(key) ?? new Set()).add(adapter));
      await wait(20);
      return done(job, ...rest);
    };
  for (const adapter of ['GPU one', 'GPU two']) await startWorker(url, on(adapter), { adapter });
  const plan = planOf('aa', 12);
  const trials = plan.trials.map((trial, i) => ({ ...trial, config: { lr: i % 4, seed: Math.floor(i / 4) } }));
  const address = parseAddress(url);
  const connected = await connect(address);
  const queue = new connected.bullmq.Queue(queueName(address, undefined), { connection: connected.client });
  const adapters = new Adapters({ wanted: 'same', folder: dir, queue, onWait: () => undefined });
  const found = await run(url, { ...plan, trials }, { more: { adapterOf: (job: Job) => adapters.of(job) } });
  await stopWorkers();
  await queue.close();
  connected.client.disconnect();
  expect(found.trials).toHaveLength(12);
  for (const kinds of ran.values()) expect(kinds.size).toBe(1);
  expect(new Set([...ran.values()].flatMap((kinds) => [...kinds])).size).toBe(2);
});

it('stops a sweep and goes on with it, without another’s trials', async () => {
  const url = newUrl();
  let hasBegun = false;
  const slow: Perform = async (job, place, { signal }) => {
    hasBegun ||= job.id === id(0);
    await wait(job.id === id(0) ? 20_000 : 10, undefined, { signal }).catch(() => {
      throw new StoppedError('stopped');
    });
    return done(job, place, { signal });
  };
  await startWorker(url, slow, { lockDuration: 2000 });
  const plan = planOf('c0ffee', 4);
  const abort = new AbortController();
  const first = run(url, plan, { signal: abort.signal });
  await until(() => hasBegun);
  abort.abort();
  await first;
  const address = parseAddress(url);
  const connected = await connect(address);
  expect(await stopJobs(connected, address, plan.id)).toBe(1);
  const other = await run(url, planOf('decaf', 1, { trials: [{ ...plan.trials[1]!, id: id(9) }] }));
  expect(other.trials).toHaveLength(1);
  await stopWorkers();
  connected.client.disconnect();
  await startWorker(url, done);
  const { trials } = await run(url, plan);
  await stopWorkers();
  expect(trials).toHaveLength(4);
});

describe('an address', () => {
  it('has its secrets by URL or environment, and shows none', () => {
    const { shown, options } = parseAddress('rediss://me:p%40ss@host:6380/2?queue=q');
    expect(shown).toBe('rediss://host:6380/2?queue=q');
    expect(options).toMatchObject({ username: 'me', password: 'p@ss', tls: {}, db: 2 });
    const secret = { LIGHT_PEFT_REDIS_PASSWORD: 'hidden' };
    expect(parseAddress('redis://host', secret).options.password).toBe('hidden');
    expect(parseAddress('redis://host', {}).options.password).toBeUndefined();
  });

  it.each([
    'http://me:secret@host',
    'redis://',
    'redis://me:secret@host/x',
    'redis://me:secret@host?queue=a:b',
    'secret',
  ])('is refused without its secrets: %s', (url) => {
    expect(() => parseAddress(url)).toThrow(/^--queue: (?!.*secret)/);
  });

  it('that cannot be reached is one line', async () => {
    await expect(connect(parseAddress('redis://me:secret@127.0.0.1:1'))).rejects.toThrow(
      /^redis:\/\/127.0.0.1:1: cannot be reached: ECONNREFUSED/,
    );
  });

  it('whose password is wrong is one line without it', async () => {
    const folder = await mkdtemp(join(dir, 'secret-'));
    await using own = await RedisServer.start(folder, '--requirepass', 'right');
    const wrong = parseAddress(own.url.replace('//', '//:wrong@'));
    await expect(connect(wrong)).rejects.toThrow(/^redis:\/\/127\.0\.0\.1:\d+: cannot be reached: (?!.*wrong)/);
    const { client } = await connect(parseAddress(own.url.replace('//', '//:right@')));
    client.disconnect();
  });
});

it('says in one line that Redis is out of memory', async () => {
  const folder = await mkdtemp(join(dir, 'full-'));
  await using own = await RedisServer.start(folder, '--maxmemory', '3mb', '--maxmemory-policy', 'noeviction');
  await expect(run(own.url, planOf('a', 20_000))).rejects.toThrow(/out of memory \(maxmemory\); what is done is kept/);
});
