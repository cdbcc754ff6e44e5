/**
 * Room: bench. `npm run reproduce`: both tasks, every method, three seeds; writes RESULTS.md and its page. What is already there
 * from an interrupted run is kept. The settings were chosen on the validation splits.
 */
import { copyFile } from 'node:fs/promises';
import { join } from 'node:path';
import { withEngine } from '../cli/context.ts';
import { UserError } from '../engine/errors.ts';
import { writeFileAtomic } from '../engine/io/files.ts';
import { METHODS } from '../train/compare.ts';
import { compareTasks } from '../train/comparison.ts';
import { markdownTable } from '../train/report/markdown.ts';
import { writeReport } from '../train/report/write.ts';
import { settingsSchema, type Settings } from '../train/settings.ts';

const ROOT = join(import.meta.dirname, '..');
const OUT = join(ROOT, 'out', 'reproduce');

/** The published setting: over 40 % of the blocks and over 75 % of the PEFT parameters go. */
const PRUNING: Partial<Settings> = { headsRatio: 0.5, ffnRatio: 0.4 };

const TASKS = ['sentiment', 'spam'] as const;

const SETTINGS: Record<(typeof TASKS)[number], Partial<Settings>> = {
  sentiment: { ...PRUNING, epochs: 5, batchSize: 32, lr: 2e-3, estimateSteps: 64 },
  spam: { ...PRUNING, epochs: 2, batchSize: 32, lr: 2e-3, estimateSteps: 64 },
};

async function reproduce(): Promise<void> {
  const comparison = await withEngine(({ engine, progress, watch }) =>
    compareTasks(engine, {
      modelDir: 'checkpoints/light-roberta',
      tasks: TASKS.map((task) => ({ request: { task }, settings: settingsSchema.parse(SETTINGS[task]) })),
      methods: METHODS,
      seeds: [0, 1, 2],
      out: OUT,
      command: 'npm run reproduce',
      watch,
      onStage: (title) => progress.stage(title),
    }),
  );
  await writeFileAtomic(join(ROOT, 'RESULTS.md'), markdownTable(comparison));
  await copyFile(await writeReport(OUT), join(ROOT, 'docs', 'results.html'));
  process.stdout.write('RESULTS.md and docs/results.html are written.\n');
}

try {
  process.chdir(ROOT);
  await reproduce();
} catch (error) {
  if (!(error instanceof UserError)) throw error;
  process.stderr.write(`reproduce: ${error.message}\n`);
  process.exitCode = error.exitCode;
}
