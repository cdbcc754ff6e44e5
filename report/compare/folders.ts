/** Room: report/compare. Finds runs in folders: of `run`, of sweeps, and kept parts of the paper's table. */
import { open, readdir, realpath } from 'node:fs/promises';
import { join } from 'node:path';
import { z } from 'zod';
import { UserError } from '../../engine/errors.ts';
import { exists, fileError, readJson } from '../../engine/io/files.ts';
import { readVersioned } from '../../engine/io/versioned.ts';
import { PART } from '../paper/schema.ts';
import { parseComparison, type Run } from '../schema.ts';
import { readSweep, SWEEP_FILE } from '../sweep/write.ts';
import type { RunRow } from './columns.ts';
import { sortedRows } from './methods.ts';
import { rowOfPart, rowOfTrial, rowsOfComparison, type RowFacts, type RunOptions } from './rows.ts';

/** What this room does not know by itself. */
export interface RunFacts extends RowFacts {
  /** Options of a method and seed, from its folder; none where nothing tells them. */
  readonly optionsIn: (folder: string) => Promise<RunOptions>;
}

export interface FoundRuns {
  readonly rows: readonly RunRow[];
  /** What was found and is not among the rows, in words. */
  readonly leftOut: readonly string[];
}

/** The file of a run. */
const COMPARISON_FILE = 'comparison.json';

/** Of a choice of a learning rate: it has no predictions of a development set. */
const CHOICE = /(^|\/)lr-[^/]*$/;

/**
 * The runs of folders and of those within them; each once, whatever is named twice.
 * @throws UserError where there are none, or a file is broken or of another version
 */
export async function findRuns(folders: readonly string[], facts: RunFacts): Promise<FoundRuns> {
  const search = new Search(facts);
  for (const folder of folders) {
    const before = search.found;
    await search.folder(folder);
    if (search.found === before)
      throw new UserError(
        `${folder}: found no runs, expected a folder of \`run\` (comparison.json), of a sweep of \`run\` (sweep.json), or of parts of the paper's table; or one with such folders in it`,
      );
  }
  if (search.rows.length === 0) throw new UserError(`${folders.join(', ')}: found no finished runs: ${search.leftOut.join('; ')}`); // prettier-ignore
  return { rows: sortedRows(search.rows), leftOut: search.leftOut };
}

class Search {
  readonly rows: RunRow[] = [];
  readonly #facts: RunFacts;
  readonly #seen = new Set<string>();
  readonly #counts = new Map<string, number>();

  constructor(facts: RunFacts) {
    this.#facts = facts;
  }

  /** Runs and whatever is left out, so far; also those found again. */
  found = 0;

  get leftOut(): string[] {
    return [...this.#counts].map(([what, count]) => `${what}: ${count}`);
  }

  async folder(dir: string): Promise<void> {
    if (await exists(join(dir, SWEEP_FILE))) return this.#once(dir, () => this.#sweep(dir));
    if (await exists(join(dir, COMPARISON_FILE))) return this.#once(dir, () => this.#comparison(dir));
    const entries = await readdir(dir, { withFileTypes: true }).catch((error: unknown) => {
      throw fileError(dir, error);
    });
    for (const entry of entries.sort((a, b) => a.name.localeCompare(b.name, 'en'))) {
      const path = join(dir, entry.name);
      if (entry.name.startsWith('.') || entry.name === 'node_modules') continue;
      if (entry.isDirectory()) await this.folder(path);
      else if (entry.isFile() && entry.name.endsWith('.json') && (await isPart(path)))
        await this.#once(path, () => this.#part(path));
    }
  }

  async #once(path: string, read: () => Promise<void>): Promise<void> {
    const real = await realpath(path);
    if (this.#seen.has(real)) this.found++;
    else await read();
    this.#seen.add(real);
  }

  #add(rows: readonly RunRow[]): void {
    this.rows.push(...rows);
    this.found += rows.length;
  }

  #leaveOut(what: string, count = 1): void {
    if (count === 0) return;
    this.#counts.set(what, (this.#counts.get(what) ?? 0) + count);
    this.found += count;
  }

  async #comparison(dir: string, given?: RunOptions): Promise<void> {
    const path = join(dir, COMPARISON_FILE);
    const comparison = parseComparison(await readJson(path, z.unknown()), path);
    const options = new Map<Run, RunOptions>();
    for (const run of comparison.runs) {
      const own = join(run.method, `seed-${run.seed}`);
      const folder = comparison.tasks.length > 1 ? join(dir, run.task, own) : join(dir, own);
      options.set(run, given ?? (await this.#facts.optionsIn(folder)));
    }
    this.#add(rowsOfComparison(comparison, dir, (run) => options.get(run) ?? {}, this.#facts));
  }

  async #sweep(dir: string): Promise<void> {
    const { sweep, trials } = await readSweep(dir);
    if (sweep.command !== 'run') {
      this.#leaveOut(`trials of \`${sweep.command}\``, trials.length);
      return;
    }
    const { model, fingerprint: base, date } = sweep;
    for (const trial of trials.filter(({ state }) => state === 'done')) {
      const source = join(dir, 'trials', trial.id);
      // An id is the name of a folder, never a way out of it.
      const isFolder = !/^\.*$|[/\\]/.test(trial.id) && (await exists(join(source, COMPARISON_FILE)));
      if (isFolder) await this.#comparison(source, trial.config);
      else this.#add([rowOfTrial(trial, { source, base, model, date }, this.#facts)]);
    }
    for (const state of ['failed', 'stopped'] as const)
      this.#leaveOut(`trials that ${STATES[state]}`, trials.filter((trial) => trial.state === state).length);
  }

  async #part(path: string): Promise<void> {
    const part = await readVersioned(path, PART);
    if (CHOICE.test(part.name)) this.#leaveOut('runs that a learning rate was chosen by');
    else this.#add([rowOfPart(part, this.#facts)]);
  }
}

const STATES = { failed: 'failed', stopped: 'were stopped early' } as const;

/** Bytes of a file that say what it is. */
const BEGINNING = 200;

async function isPart(path: string): Promise<boolean> {
  const file = await open(path).catch((error: unknown) => {
    throw fileError(path, error);
  });
  try {
    const { buffer, bytesRead } = await file.read(Buffer.alloc(BEGINNING), 0, BEGINNING, 0);
    return /^\s*\{\s*"format":\s*"light-peft\/paper-part"/.test(buffer.toString('utf8', 0, bytesRead));
  } finally {
    await file.close();
  }
}
