/** Room: sweep. Trials under way on this machine, by what their folders tell. */
import { readdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { z } from 'zod';
import { exists } from '../engine/io/files.ts';
import { FolderLock } from '../engine/io/folder-lock.ts';
import type { SweepData } from '../report/sweep/schema.ts';

/** Trials and estimations that are at work, with their last step. */
export type TrialsUnderWay = readonly { readonly id: string; readonly step: number | undefined }[];

/** @param out the sweep's folder */
export async function localState(out: string, { trials }: Pick<SweepData, 'trials'>): Promise<TrialsUnderWay> {
  const done = new Set(trials.map(({ id }) => id));
  const found: { id: string; step: number | undefined }[] = [];
  for (const kind of ['estimates', 'trials']) {
    const folder = join(out, kind);
    const ids = (await exists(folder)) ? await readdir(folder) : [];
    for (const id of ids.filter((name) => !done.has(name))) {
      const own = join(folder, id);
      if (await FolderLock.holder(own)) found.push({ id, step: await lastStep(join(own, 'log.jsonl')) });
    }
  }
  return found;
}

const lineSchema = z.looseObject({ step: z.int() });

async function lastStep(path: string): Promise<number | undefined> {
  const text = await readFile(path, 'utf8').catch(() => '');
  const line = text.split('\n').at(-2);
  return line === undefined ? undefined : lineSchema.safeParse(JSON.parse(line)).data?.step;
}
