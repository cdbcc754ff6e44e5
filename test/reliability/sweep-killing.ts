/**
 * Tests only. A sweep on a queue whose workers, server and watcher are killed again and again, against the same sweep on one machine, left alone:
 * every trial must be recorded once, with the same figures and the same adapters.
 */
import { spawn, type ChildProcess } from 'node:child_process';
import { createHash } from 'node:crypto';
import { once } from 'node:events';
import { createWriteStream } from 'node:fs';
import { cp, mkdir, readdir, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as wait } from 'node:timers/promises';
import { stringify } from 'yaml';
import { hostRandom } from '../../engine/random.ts';
import type { TrialRecord } from '../../report/sweep/schema.ts';
import { readLines } from '../../report/sweep/write.ts';
import { trialSchema } from '../../report/sweep/schema.ts';
import { RedisServer } from '../../bench/measure/redis-server.ts';

const BIN = join(import.meta.dirname, '../../bin/light-peft.js');
const BASE = join(import.meta.dirname, '../../checkpoints/light-roberta');

export interface KillOptions {
  readonly workers: number;
  /** Kills of workers, restarts of the server, and kills of the watching process. */
  readonly kills: number;
  readonly restarts: number;
  readonly watcherKills: number;
  /** Seconds between two of them: from half of this to all of it. */
  readonly every: number;
  readonly seed: number;
  /** `sweep.yaml`, its model and data within the storage. */
  readonly spec: object;
  readonly say: (text: string) => void;
}

export interface KillResult {
  readonly trials: number;
  /** What was killed, in order. */
  readonly killed: readonly string[];
  readonly faults: readonly string[];
}

/** A command, its output in a file. */
class Command {
  readonly process: ChildProcess;
  readonly ended: Promise<unknown>;

  constructor(args: readonly string[], cwd: string, queue: string | undefined, log: string) {
    const { LIGHT_PEFT_QUEUE: _, ...others } = process.env;
    const env = { ...others, ...(queue !== undefined && { LIGHT_PEFT_QUEUE: queue }) };
    this.process = spawn(process.execPath, [BIN, ...args], { cwd, env, stdio: ['ignore', 'pipe', 'pipe'] });
    this.ended = once(this.process, 'exit');
    const file = createWriteStream(log, { flags: 'a' });
    this.process.stdout!.pipe(file, { end: false });
    this.process.stderr!.pipe(file, { end: false });
  }

  get isRunning(): boolean {
    return this.process.exitCode === null && this.process.signalCode === null;
  }

  async end(signal: NodeJS.Signals): Promise<void> {
    if (!this.isRunning) return;
    this.process.kill(signal);
    await this.ended;
  }
}

/** @param storage an empty folder @throws Error where the sweep that is left alone fails */
export async function killSweep(storage: string, options: KillOptions): Promise<KillResult> {
  await cp(BASE, join(storage, 'base'), { recursive: true });
  await writeFile(join(storage, 'sweep.yaml'), stringify(options.spec));
  const alone = new Command(['sweep', 'sweep.yaml', '--out', 'alone', '--workers', '2'], storage, undefined, join(storage, 'alone.log')); // prettier-ignore
  await alone.ended;
  if (alone.process.exitCode !== 0) throw new Error(await readFile(join(storage, 'alone.log'), 'utf8'));
  options.say('the sweep that is left alone has ended');
  const killed = await disturbed(storage, options);
  const faults = await compare(storage);
  const trials = await readLines(join(storage, 'killed', 'trials.jsonl'), trialSchema);
  return { trials: trials.length, killed, faults };
}

/** Runs the sweep on a queue, killing. @returns what was killed */
async function disturbed(storage: string, options: KillOptions): Promise<string[]> {
  await mkdir(join(storage, 'redis'));
  await using server = await RedisServer.start(join(storage, 'redis'));
  const worker = (): Command =>
    new Command(['worker', '--lock-duration', '3'], storage, server.url, join(storage, 'workers.log'));
  const watcher = (): Command =>
    new Command(['sweep', 'sweep.yaml', '--out', 'killed'], storage, server.url, join(storage, 'watcher.log'));
  const workers = Array.from({ length: options.workers }, worker);
  let watching = watcher();
  const random = hostRandom(options.seed, 0);
  const planned = random.shuffle(
    [options.kills, options.restarts, options.watcherKills].flatMap((count, what) => Array<number>(count).fill(what)),
  );
  const killed: string[] = [];
  try {
    while (watching.isRunning || killed.length < planned.length) {
      const pause = options.every * 1000 * (0.5 + random.uniform() / 2);
      await Promise.race([wait(pause), watching.ended]);
      if (!watching.isRunning) {
        if (watching.process.exitCode === 0) break;
        watching = watcher();
        continue;
      }
      const what = planned[killed.length];
      if (what === 0) {
        const i = random.below(workers.length);
        await workers[i]!.end('SIGKILL');
        workers[i] = worker();
        killed.push('worker');
      } else if (what === 1) {
        await server.kill();
        await wait(300 + random.below(1500));
        await server.start();
        killed.push('server');
      } else if (what === 2) {
        await watching.end('SIGKILL');
        killed.push('watcher');
      }
      if (what !== undefined) options.say(`${killed.length} of ${planned.length}: the ${killed.at(-1)} was killed`);
    }
  } finally {
    await watching.end('SIGKILL');
    await Promise.all(workers.map((one) => one.end('SIGTERM')));
  }
  return killed;
}

/** What differs between both sweeps. */
async function compare(storage: string): Promise<string[]> {
  const faults: string[] = [];
  const [alone, killed] = [join(storage, 'alone'), join(storage, 'killed')];
  const expected = await readLines(join(alone, 'trials.jsonl'), trialSchema);
  const found = await readLines(join(killed, 'trials.jsonl'), trialSchema);
  for (const { id } of expected) {
    const times = found.filter((trial) => trial.id === id).length;
    if (times !== 1) faults.push(`trial ${id} is recorded ${times} times`);
  }
  for (const trial of found) {
    const other = expected.find(({ id }) => id === trial.id);
    if (!other) faults.push(`trial ${trial.id} is not one of the sweep`);
    else if (figures(trial) !== figures(other)) faults.push(`trial ${trial.id}: ${figures(trial)}, left alone ${figures(other)}`); // prettier-ignore
    const [hash, otherHash] = [await adapterHash(killed, trial.id), await adapterHash(alone, trial.id)];
    if (hash !== otherHash) faults.push(`trial ${trial.id}: its adapter is another`);
  }
  const left = (await readdir(killed, { recursive: true })).filter((path) => /\.lock$|checkpoint|\.tmp|~$/.test(path));
  for (const path of left) faults.push(`${path} was left behind`);
  return faults;
}

/** Without what is measured: speeds, and the peak of memory, which the steps before a resumption are not part of. */
function figures({ state, metrics, error }: TrialRecord): string {
  const measured = /second|trainPeak/i;
  const others = Object.entries(metrics).filter(([name]) => !measured.test(name));
  return JSON.stringify({ state, error, metrics: Object.fromEntries(others) });
}

async function adapterHash(out: string, id: string): Promise<string> {
  const folder = join(out, 'trials', id);
  const files = (await readdir(folder, { recursive: true })).filter((path) =>
    path.endsWith('adapter_model.safetensors'),
  );
  const hash = createHash('sha256');
  for (const file of files.sort()) hash.update(file).update(await readFile(join(folder, file)));
  return hash.digest('hex');
}

/** Small trials on the base of this project. */
export function smallSpec(grid: object, more: object = {}): object {
  const data = { task: 'sentiment', 'max-train-examples': 64, 'max-eval-examples': 32, 'max-length': 16 };
  return {
    base: {
      model: 'base',
      ...data,
      'batch-size': 4,
      steps: 16,
      'estimate-steps': 4,
      'save-every': 4,
      methods: 'light-peft',
    },
    grid,
    metric: 'loss',
    direction: 'minimize',
    ...more,
  };
}
