/** Room: bench/suites. What Redis does for a sweep of many trials: trials that do nothing, so that all the time is the queue's. */
import { mkdtemp } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as wait } from 'node:timers/promises';
import type { Redis } from 'ioredis';
import { z } from 'zod';
import { Coordinator } from '../../sweep/coordinator.ts';
import type { Outcome } from '../../sweep/job.ts';
import type { Perform } from '../../sweep/perform.ts';
import type { SweepPlan } from '../../sweep/plan.ts';
import { Records } from '../../sweep/records.ts';
import { connect, parseAddress, type Connected, type QueueAddress } from '../../sweep/redis/connection.ts';
import { RedisQueue } from '../../sweep/redis/redis-queue.ts';
import { queueState } from '../../sweep/redis/state.ts';
import { TrialWorker } from '../../sweep/redis/worker.ts';
import { RedisServer } from '../measure/redis-server.ts';
import type { Measured } from '../report/document.ts';
import type { BenchContext, Suite } from '../suite.ts';

export const queue: Suite = {
  name: 'queue',
  summary: 'a sweep of 10,000 trials in Redis: adding, status, memory, commands a trial and a worker',
  peers: [],
  measure,
};

const amount = z.number().nonnegative();
const sweepSchema = z.object({
  trials: amount,
  /** Seconds. */
  adding: amount,
  status: amount,
  ending: amount,
  /** Bytes: of the server, of the process that watches. */
  server: amount,
  watcher: amount,
  /** Of a trial, from its adding to its end: commands, and the server's processor time in seconds. */
  commands: amount,
  processor: amount,
});

/** Commands a second of a worker. */
const workerSchema = z.object({ idle: amount, busy: amount });

/** Seconds that a worker is watched. */
const WATCHED = 20;

async function measure(context: BenchContext): Promise<Measured> {
  const trials = context.quick ? 300 : 10_000;
  const sweep = await context.part('sweep', sweepSchema, () =>
    withServer(context, (server) => measureSweep(server, trials)),
  );
  const worker = await context.part('worker', workerSchema, () =>
    withServer(context, (server) => measureWorker(server, context.quick ? 2 : WATCHED)),
  );
  const rows = sweep && [
    { what: 'add them, one estimation before all', time: sweep.adding },
    { what: '`sweep status`: counts, workers, trials under way', time: sweep.status },
    { what: 'end them: one worker, one watching process, trials that do nothing', time: sweep.ending },
    { what: 'server’s processor time a trial', time: sweep.processor },
  ];
  return {
    tables: [
      {
        title: `A sweep of ${trials.toLocaleString('en-US')} trials`,
        caption: 'On this machine, append-only file on, everything on the same two cores.',
        columns: [
          { key: 'what', title: 'what', unit: 'text' },
          { key: 'time', title: 'time', unit: 'time' },
        ],
        rows: rows ?? [],
      },
      {
        title: 'What it takes of the server',
        caption: 'Redis alone; trials, checkpoints and adapters lie in the storage.',
        columns: [
          { key: 'what', title: 'what', unit: 'text' },
          { key: 'count', title: 'count', unit: 'count' },
        ],
        rows: [
          ...(sweep ? [{ what: 'commands a trial, from its adding to its end', count: sweep.commands }, { what: 'bytes of the server a queued trial', count: sweep.server / trials }, { what: 'bytes of the watching process', count: sweep.watcher }] : []), // prettier-ignore
          ...(worker ? [{ what: 'commands an hour of an idle worker', count: worker.idle * 3600 }, { what: 'commands an hour of a worker with a trial', count: worker.busy * 3600 }] : []), // prettier-ignore
        ],
      },
    ],
    figures: [],
    targets: context.quick ? [] : [{ what: 'status of 10,000 queued trials', unit: 'time', relation: '<', goal: 1, measured: sweep?.status ?? null }], // prettier-ignore
    notes: ['Commands are those that the server counts, those within scripts included.'],
  };
}

async function withServer<T>({ folder }: BenchContext, work: (server: RedisServer) => Promise<T>): Promise<T> {
  await using server = await RedisServer.start(await mkdtemp(join(folder, 'redis-')));
  return await work(server);
}

const HASH = `sha256:${'0'.repeat(64)}`;
const FACTS = { base: HASH, data: { trainContent: HASH, tokenizerContent: HASH }, sources: HASH };

/** Configurations as long as real ones. */
function planOf(trials: number): SweepPlan {
  const base = { model: 'models/base', task: 'glue/sst2', 'data-dir': 'data/sst2', steps: 400, 'batch-size': 32, methods: 'light-peft' }; // prettier-ignore
  const size = { steps: 400, epochs: 3, batchSize: 32, estimateSteps: 100 };
  const { methods: _, ...shared } = base;
  const estimate = { id: 'e'.repeat(12), command: 'estimate' as const, config: shared };
  return {
    id: 'a'.repeat(12),
    command: 'run',
    trials: Array.from({ length: trials }, (_, i) => {
      return {
        id: i.toString(16).padStart(12, '0'),
        config: { ...base, lr: i / trials, seed: i },
        facts: FACTS,
        size,
        estimate,
      };
    }),
    repeated: 0,
    axes: ['lr', 'seed'],
    facts: FACTS,
  };
}

const nothing: Perform = (): Promise<Outcome> =>
  Promise.resolve({ state: 'done', metrics: { accuracy: 1 }, seconds: 0, device: null });

async function startWorker(address: QueueAddress, perform: Perform): Promise<() => Promise<void>> {
  const stop = new AbortController();
  const worker = new TrialWorker(await connect(address), {
    ...{ address, adapter: 'none', storage: '.', perform },
    factsOf: () => Promise.resolve(FACTS),
    say: () => undefined,
  });
  const ended = worker.run(stop.signal);
  return async () => {
    stop.abort();
    await ended;
  };
}

async function measureSweep(server: RedisServer, trials: number): Promise<z.infer<typeof sweepSchema>> {
  const address = parseAddress(server.url);
  await using watching = await watch(address);
  const { client } = watching;
  const plan = planOf(trials);
  await using records = await Records.open(server.folder);
  await using jobs = new RedisQueue(await connect(address), { address, sweep: plan.id });
  const spec = { metric: 'accuracy', direction: 'maximize', retries: 2 } as const;
  const coordinator = new Coordinator({ plan, spec, folder: 'sweeps/one', records, queue: jobs });
  const before = await serverUse(client);
  const adding = await secondsOf(() => coordinator.begin());
  const filled = await serverUse(client);
  const status = await secondsOf(() => queueState(watching, address, plan.id));
  const watcher = process.memoryUsage().rss;
  const stop = await startWorker(address, nothing);
  const ending = await secondsOf(() => coordinator.run(new AbortController().signal));
  await stop();
  const after = await serverUse(client);
  return {
    ...{ trials, adding, status, ending, watcher, server: filled.bytes - before.bytes },
    commands: (after.commands - before.commands) / trials,
    processor: (after.processor - before.processor) / trials,
  };
}

async function measureWorker(server: RedisServer, seconds: number): Promise<z.infer<typeof workerSchema>> {
  const address = parseAddress(server.url);
  await using watching = await watch(address);
  const { client } = watching;
  const rate = async (): Promise<number> => {
    const { commands } = await serverUse(client);
    await wait(seconds * 1000);
    return ((await serverUse(client)).commands - commands) / seconds;
  };
  const long: Perform = async (job, place, watch) => {
    await wait(seconds * 2000, undefined, { signal: watch.signal }).catch(() => undefined);
    return nothing(job, place, watch);
  };
  const stop = await startWorker(address, long);
  await wait(1000);
  const idle = await rate();
  const plan = planOf(1);
  await using jobs = new RedisQueue(await connect(address), { address, sweep: plan.id });
  const [{ id, config, facts }] = plan.trials as [SweepPlan['trials'][0]];
  await jobs.add([
    { version: 1, sweep: plan.id, folder: 'x', kind: 'trial', id, command: 'run', config, facts, retries: 0 },
  ]);
  await wait(1000);
  const busy = await rate();
  await stop();
  return { idle, busy };
}

/** A connection that ends with what it is used for. */
async function watch(address: QueueAddress): Promise<Connected & AsyncDisposable> {
  const connected = await connect(address);
  return {
    ...connected,
    [Symbol.asyncDispose]: () => {
      connected.client.disconnect();
      return Promise.resolve();
    },
  };
}

interface ServerUse {
  readonly commands: number;
  readonly bytes: number;
  readonly processor: number;
}

async function serverUse(client: Redis): Promise<ServerUse> {
  const text = await client.info();
  const of = (name: string): number => Number(new RegExp(`^${name}:([\\d.]+)`, 'm').exec(text)?.[1]);
  return {
    commands: of('total_commands_processed'),
    bytes: of('used_memory'),
    processor: of('used_cpu_sys') + of('used_cpu_user'),
  };
}

async function secondsOf(work: () => Promise<unknown>): Promise<number> {
  const started = performance.now();
  await work();
  return (performance.now() - started) / 1000;
}
