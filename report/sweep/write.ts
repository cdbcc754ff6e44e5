/** Room: report/sweep. A sweep's folder, read and reported: the only file of this folder that touches the disk. */
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { z } from 'zod';
import { exists, fileError, jsonText, parseJson, validate, writeFileAtomic } from '../../engine/io/files.ts';
import { readVersioned, type VersionedFormat } from '../../engine/io/versioned.ts';
import { trialsCsv, trialsJson } from './csv.ts';
import { sweepPage } from './page.ts';
import {
  decisionSchema,
  finalSchema,
  sweepSchema,
  trialSchema,
  type FinalFile,
  type SweepData,
  type SweepFile,
} from './schema.ts';

export const SWEEP_FILE = 'sweep.json';
export const TRIALS_FILE = 'trials.jsonl';
export const DECISIONS_FILE = 'decisions.jsonl';
export const FINAL_FILE = 'final.json';

export const SWEEP: VersionedFormat<SweepFile> = { format: 'light-peft/sweep', version: 1, schema: sweepSchema };
export const FINAL: VersionedFormat<FinalFile> = { format: 'light-peft/sweep-final', version: 1, schema: finalSchema };

/**
 * Reads a sweep that may still go on: only `sweep.json` has to be there. A last line without a line break is one that is being written,
 * and not there yet. Of several lines of one trial the last counts.
 * @throws UserError naming the file, and the line of a file of lines, where one is malformed or of another version
 */
export async function readSweep(dir: string): Promise<SweepData> {
  const sweep = await readVersioned(join(dir, SWEEP_FILE), SWEEP);
  const trials = await readLines(join(dir, TRIALS_FILE), trialSchema);
  const decisions = await readLines(join(dir, DECISIONS_FILE), decisionSchema);
  const finalPath = join(dir, FINAL_FILE);
  const final = (await exists(finalPath)) ? await readVersioned(finalPath, FINAL) : undefined;
  return { sweep, trials: [...new Map(trials.map((trial) => [trial.id, trial])).values()], decisions, final };
}

/** Nothing where there is no file. */
export async function readLines<T>(path: string, schema: z.ZodType<T>): Promise<T[]> {
  if (!(await exists(path))) return [];
  const text = await readFile(path, 'utf8').catch((error: unknown) => {
    throw fileError(path, error);
  });
  const lines = text.split('\n').slice(0, -1);
  return lines.map((line, i) => {
    const where = `${path}: line ${i + 1}`;
    return validate(parseJson(line, where), schema, where);
  });
}

/**
 * Reads a sweep's folder and writes `report.html`, `trials.csv` and `trials.json` into it, each whole or not at all.
 * @returns the path of the page
 * @throws UserError as `readSweep`; MissingPackageError where Vega is not installed
 */
export async function writeSweepReport(dir: string): Promise<string> {
  const data = await readSweep(dir);
  const target = join(dir, 'report.html');
  const page = await sweepPage(data, await linksOf(dir, data));
  await writeFileAtomic(join(dir, 'trials.csv'), trialsCsv(data));
  await writeFileAtomic(join(dir, 'trials.json'), jsonText(trialsJson(data)));
  await writeFileAtomic(target, page);
  return target;
}

/** Pages of trials that are there, by their ids. */
async function linksOf(dir: string, { trials }: SweepData): Promise<Map<string, string>> {
  const links = new Map<string, string>();
  for (const { id } of trials) {
    // An id is the name of a folder, never a way out of it.
    if (/^\.*$|[/\\]/.test(id)) continue;
    if (await exists(join(dir, 'trials', id, 'report.html')))
      links.set(id, `trials/${encodeURIComponent(id)}/report.html`);
  }
  return links;
}
