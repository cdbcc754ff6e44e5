/**
 * Room: engine/tune. Chooses kernel configs by timing them where they will run: inside the whole program, on its own inputs,
 * round after round. Timing a kernel alone can rank configs backwards. Nothing is timed before it was checked.
 */
import { option } from '../errors.ts';
import { median } from 'simple-statistics';
import type { KernelConfigs } from '../../kernels/config.ts';
import type { CompileWith, Program, ProgramTuner, Runtime } from '../compile/program.ts';
import type { HostArray } from '../device/uploads.ts';
import { requireTimestamps } from '../device/pass-timer.ts';
import { checkConfigs, restore, save } from './check.ts';
import { keyOf, type TuningCache } from './tuning-cache.ts';

/** Timed runs of each candidate program; candidates take turns. */
const ROUNDS = 7;
/** Part of the default's time that a config must save to be picked: less is noise. */
const GAIN = 0.03;

/** Give it to `Engine.tuner`. */
export class Tuner implements ProgramTuner {
  readonly #runtime: Runtime;
  readonly #cache: TuningCache;
  readonly #log: (text: string) => void;

  /** @throws UserError where the device has no `timestamp-query` */
  constructor(runtime: Runtime, cache: TuningCache, log: (text: string) => void) {
    requireTimestamps(runtime, option('tune'));
    this.#runtime = runtime;
    this.#cache = cache;
    this.#log = log;
  }

  /**
   * Tunes the tasks of a program that have no pick yet, and saves the picks. Variables are left as they were.
   * @returns the program with the best configs known
   */
  async tune(compile: CompileWith, inputs: Readonly<Record<string, HostArray>>): Promise<Program> {
    const base = await compile(this.#cache.selectConfig);
    const tasks = openTasks(base, this.#cache);
    if (tasks.length === 0) return base;
    this.#log(`tuning ${tasks.length} kinds of kernels of “${base.name}”`);
    const saved = writtenBy(this.#runtime, base).map((storage) => ({ storage, copy: save(this.#runtime, storage) }));
    const candidates = await this.#checkedCandidates(base, compile, tasks, inputs);
    const times = await timesOf([base, ...candidates], tasks, inputs);
    for (const { storage, copy } of saved) {
      restore(this.#runtime, copy, storage);
      copy.destroy();
    }
    for (const program of [base, ...candidates]) program.dispose();
    for (const [task, byName] of times) this.#decide(task, byName);
    await this.#cache.save();
    return compile(this.#cache.selectConfig);
  }

  /** One program per rank of config: the second configs of all tasks, then the third … Wrong ones are left out. */
  async #checkedCandidates(
    base: Program,
    compile: CompileWith,
    tasks: readonly KernelConfigs[],
    inputs: Readonly<Record<string, HostArray>>,
  ): Promise<Program[]> {
    const compileRank = (rank: number, banned: ReadonlySet<string>): Promise<Program> =>
      compile((configs) => {
        const name = configs.names[rank];
        const open = tasks.some((task) => isSame(task, configs));
        return open && name !== undefined && !banned.has(idOf(configs, name))
          ? name
          : this.#cache.selectConfig(configs);
      });
    const programs: Program[] = [];
    for (let rank = 1; rank < Math.max(...tasks.map((task) => task.names.length)); rank++) {
      const program = await compileRank(rank, new Set());
      const banned = new Set<string>();
      for (const { dispatch, message } of await checkConfigs(this.#runtime, base, [program], inputs)) {
        const { configs, config } = program.dispatches[dispatch]!;
        if (!configs || config === undefined) continue;
        banned.add(idOf(configs, config));
        this.#log(`${configs.family} ${configs.task}: config ${config} is wrong here and left out (${message})`);
      }
      if (banned.size > 0) program.dispose();
      programs.push(banned.size > 0 ? await compileRank(rank, banned) : program);
    }
    return programs;
  }

  #decide(task: KernelConfigs, byName: ReadonlyMap<string, number>): void {
    const [first] = task.names as [string, ...string[]];
    const standard = byName.get(first)!;
    const [best, time] = [...byName].reduce((a, b) => (b[1] < a[1] ? b : a));
    const picked = time < standard * (1 - GAIN) ? best : first;
    this.#cache.set(task, picked);
    const list = [...byName].map(([name, t]) => `${name} ${(t / 1e6).toFixed(2)}`).join(', ');
    this.#log(`  ${task.family} ${task.task}: ${picked} (ms: ${list})`);
  }
}

function isSame(a: KernelConfigs, b: KernelConfigs): boolean {
  return keyOf(a) === keyOf(b);
}

function idOf(configs: KernelConfigs, name: string): string {
  return `${keyOf(configs)}: ${name}`;
}

/** Tasks with a choice that is still open, once each. */
function openTasks({ dispatches }: Program, cache: TuningCache): KernelConfigs[] {
  const tasks: KernelConfigs[] = [];
  for (const { configs } of dispatches) {
    if (!configs || configs.names.length < 2 || cache.find(configs) !== undefined) continue;
    if (!tasks.some((task) => isSame(task, configs))) tasks.push(configs);
  }
  return tasks;
}

/** Variables that a run of the program changes. */
function writtenBy({ arena }: Runtime, program: Program): ReturnType<Program['storages']> {
  return program.dispatches.flatMap(({ kernel }, i) =>
    program
      .storages(i)
      .filter(({ buffer }, b) => kernel.bindings[b]!.role !== 'in' && !arena.owns(buffer))
      .filter(({ bytes }) => bytes > 0),
  );
}

/** Per task and config: the median over rounds of the nanoseconds that all its dispatches took. */
async function timesOf(
  programs: readonly Program[],
  tasks: readonly KernelConfigs[],
  inputs: Readonly<Record<string, HostArray>>,
): Promise<Map<KernelConfigs, Map<string, number>>> {
  const samples = new Map(tasks.map((task) => [task, new Map<string, number[]>()]));
  for (let round = 0; round <= ROUNDS; round++) {
    for (const program of programs) {
      const times = await program.profile(inputs);
      if (round === 0) continue; // warm-up
      for (const task of tasks) addSample(samples.get(task)!, program, task, times);
    }
  }
  return new Map(
    [...samples].map(([task, byName]) => [task, new Map([...byName].map(([name, list]) => [name, median(list)]))]),
  );
}

function addSample(
  byName: Map<string, number[]>,
  program: Program,
  task: KernelConfigs,
  times: readonly number[],
): void {
  let total = 0;
  let name: string | undefined;
  program.dispatches.forEach(({ configs, config }, i) => {
    if (!configs || config === undefined || !isSame(configs, task)) return;
    total += times[i]!;
    name = config;
  });
  if (name !== undefined) byName.set(name, [...(byName.get(name) ?? []), total]);
}
