/**
 * Room: sweep/redis. Which kind of adapter a job is for, where the sweep says so: figures of repeats are compared only on one kind. It is chosen
 * among those of the workers that are there, once for each configuration, and kept in the sweep's folder.
 */
import { setTimeout as wait } from 'node:timers/promises';
import { join } from 'node:path';
import type { Queue } from 'bullmq';
import { z } from 'zod';
import { exists, readJson, writeJson } from '../../engine/io/files.ts';
import type { Job } from '../job.ts';
import { adapterSlug, parseWorkerName } from './names.ts';

/** In a sweep's folder: kinds of adapters by what they were chosen for. */
const FILE = 'adapters.json';

/** Milliseconds between two looks for workers. */
const LOOK_EVERY = 1000;

export interface AdapterChoice {
  /** `same`, or part of an adapter's name. */
  readonly wanted: string;
  /** Of the sweep. */
  readonly folder: string;
  /** That all workers listen to. */
  readonly queue: Queue;
  /** Hears that no worker is there whose adapter would do. */
  readonly onWait: () => void;
}

export class Adapters {
  readonly #choice: AdapterChoice;
  #known: Record<string, string> | undefined;

  constructor(choice: AdapterChoice) {
    this.#choice = choice;
  }

  /** The kind that a job is for. Jobs that share an estimation but for its seed are for one. */
  async of({ estimate, config }: Job): Promise<string> {
    const { seed: _, ...rest } = estimate?.config ?? config;
    const { wanted, folder } = this.#choice;
    const key = wanted === 'same' ? JSON.stringify(rest) : wanted;
    const path = join(folder, FILE);
    this.#known ??= (await exists(path)) ? await readJson(path, z.record(z.string(), z.string())) : {};
    const found = this.#known[key] ?? (await this.#choose());
    if (this.#known[key] === undefined) await writeJson(path, (this.#known = { ...this.#known, [key]: found }));
    return found;
  }

  /** The kind with the fewest choices for each of its workers. */
  async #choose(): Promise<string> {
    const { wanted, queue, onWait } = this.#choice;
    for (let isTold = false; ; isTold = true) {
      const workers = (await queue.getWorkers()).flatMap(({ rawname = '' }) => parseWorkerName(rawname)?.adapter ?? []);
      const fitting = workers.filter((slug) => wanted === 'same' || slug.includes(adapterSlug(wanted)));
      const chosen = Object.values(this.#known ?? {});
      const load = (slug: string): number =>
        chosen.filter((other) => other === slug).length / fitting.filter((other) => other === slug).length;
      const [best] = [...new Set(fitting)].sort((a, b) => load(a) - load(b));
      if (best !== undefined) return best;
      if (!isTold) onWait();
      await wait(LOOK_EVERY);
    }
  }
}
