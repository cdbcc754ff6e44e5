/**
 * Room: scripts. `npm run reproduce`: the sweep of `bench/reproduce.yaml`, both tasks, every method, three seeds; writes the measured part of
 * RESULTS.md, and its page. What is already there from an interrupted run is kept, as are the remarks in RESULTS.md. With `-- audit` it makes
 * the audit in its place (`scripts/reproduce-audit.ts`), with `-- paper` the table on a pretrained model (`scripts/reproduce-paper.ts`).
 */
import { copyFile, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { runFile } from '../cli/sweep-run.ts';
import { UserError } from '../engine/errors.ts';
import { exists, writeFileAtomic, writeJson } from '../engine/io/files.ts';
import { markdownTable } from '../report/markdown.ts';
import { gatherComparison } from '../report/sweep/gather.ts';
import { writeReport } from '../report/write.ts';
import { withMeasured } from './measured-part.ts';
import { reproduceAudit } from './reproduce-audit.ts';
import { reproducePaper } from './reproduce-paper.ts';

const ROOT = join(import.meta.dirname, '..');
const OUT = join('out', 'reproduce');
const DOCUMENT = 'RESULTS.md';

/** @throws UserError where the document has no place for figures */
async function documentWith(measured: string): Promise<string> {
  const before = (await exists(DOCUMENT)) ? await readFile(DOCUMENT, 'utf8') : undefined;
  return withMeasured(before, measured, DOCUMENT);
}

async function reproduce(): Promise<void> {
  // Better told before the run than after its hours.
  await documentWith('');
  const trials = await runFile('bench/reproduce.yaml', { out: OUT });
  const comparison = await gatherComparison(OUT, trials, 'npm run reproduce');
  await writeJson(join(OUT, 'comparison.json'), comparison);
  await writeFileAtomic(DOCUMENT, await documentWith(markdownTable(comparison)));
  // The sweep's own page is in its place.
  await copyFile(await writeReport(OUT), join(ROOT, 'docs', 'results.html'));
  process.stdout.write('RESULTS.md and docs/results.html are written.\n');
}

// A reader that has had enough, such as `head`, is no failure to talk about.
process.stdout.on('error', () => process.exit(1));
try {
  process.chdir(ROOT);
  const [what, ...more] = process.argv.slice(2);
  if (what === 'audit') process.exitCode = await reproduceAudit(more);
  else if (what === 'paper') process.exitCode = await reproducePaper(more);
  else await reproduce();
} catch (error) {
  if (!(error instanceof UserError)) throw error;
  process.stderr.write(`reproduce: ${error.message}\n`);
  process.exitCode = error.exitCode;
}
