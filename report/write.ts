/** Room: report. The page beside its data: the only file of this folder that touches the disk. */
import { join } from 'node:path';
import { z } from 'zod';
import { readJson, writeFileAtomic } from '../engine/io/files.ts';
import { htmlPage } from './html/page.ts';
import { parseComparison } from './schema.ts';

/**
 * Reads `dir/comparison.json` and writes `dir/report.html`, whole or not at all.
 * @returns the path of the page
 * @throws UserError where `comparison.json` is missing, broken or of another version, or Vega is not installed
 */
export async function writeReport(dir: string): Promise<string> {
  const source = join(dir, 'comparison.json');
  const comparison = parseComparison(await readJson(source, z.unknown()), source);
  const target = join(dir, 'report.html');
  await writeFileAtomic(target, await htmlPage(comparison));
  return target;
}
