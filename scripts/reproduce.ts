/**
 * Room: scripts. `npm run reproduce`: both tasks, every method, three seeds; writes the measured part of RESULTS.md, and its page. What is
 * already there from an interrupted run is kept, as are the remarks in RESULTS.md. Its settings are in `bench/*.yaml`. With `-- audit` it makes
 * the audit in its place (`scripts/reproduce-audit.ts`).
 */
import { copyFile, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { withEngine } from '../cli/context.ts';
import { readSettings } from '../cli/options.ts';
import { withOutFolder } from '../cli/out-folder.ts';
import { UserError } from '../engine/errors.ts';
import { exists, writeFileAtomic } from '../engine/io/files.ts';
import { METHODS } from '../experiments/runner.ts';
import { runExperiments } from '../experiments/run.ts';
import { markdownTable } from '../report/markdown.ts';
import { writeReport } from '../report/write.ts';
import { withMeasured } from './measured-part.ts';
import { reproduceAudit } from './reproduce-audit.ts';

const ROOT = join(import.meta.dirname, '..');
const OUT = join(ROOT, 'out', 'reproduce');
const DOCUMENT = 'RESULTS.md';

const TASKS = ['sentiment', 'spam'] as const;

/** @throws UserError where the document has no place for figures */
async function documentWith(measured: string): Promise<string> {
  const before = (await exists(DOCUMENT)) ? await readFile(DOCUMENT, 'utf8') : undefined;
  return withMeasured(before, measured, DOCUMENT);
}

async function reproduce(): Promise<void> {
  // Better told before the run than after its hours.
  await documentWith('');
  const tasks = await Promise.all(
    TASKS.map(async (task) => ({ request: { task }, options: await readSettings({ config: `bench/${task}.yaml` }) })),
  );
  const comparison = await withOutFolder({ out: OUT }, () =>
    withEngine({}, { compute: 'f32' }, ({ engine, progress, callbacks }) =>
      runExperiments(engine, {
        modelDir: 'checkpoints/light-roberta',
        tasks,
        methods: METHODS,
        seeds: [0, 1, 2],
        out: OUT,
        command: 'npm run reproduce',
        callbacks,
        onStage: (title) => progress.stage(title),
        onForecast: (seconds, pieces) => progress.forecast(seconds, pieces),
      }),
    ),
  );
  await writeFileAtomic(DOCUMENT, await documentWith(markdownTable(comparison)));
  await copyFile(await writeReport(OUT), join(ROOT, 'docs', 'results.html'));
  process.stdout.write('RESULTS.md and docs/results.html are written.\n');
}

try {
  process.chdir(ROOT);
  const [what, ...more] = process.argv.slice(2);
  if (what === 'audit') process.exitCode = await reproduceAudit(more);
  else await reproduce();
} catch (error) {
  if (!(error instanceof UserError)) throw error;
  process.stderr.write(`reproduce: ${error.message}\n`);
  process.exitCode = error.exitCode;
}
