/** Room: cli. `compare`: runs of many folders on one page. */
import { join } from 'node:path';
import type { Command } from 'commander';
import { UserError } from '../../engine/errors.ts';
import { exists } from '../../engine/io/files.ts';
import { readIdentity } from '../../experiments/identity.ts';
import { presetFlags } from '../../experiments/settings.ts';
import { taskNamed } from '../../data/tasks/registry.ts';
import { findRuns, type RunFacts } from '../../report/compare/folders.ts';
import { writeComparison } from '../../report/compare/write.ts';
import { print, say } from '../context.ts';

export function addCompare(program: Command): void {
  program
    .command('compare')
    .description('compare runs of many folders: scores against memory, time and size, on one HTML page and as tables')
    .argument('<folder...>', 'folders of runs, of sweeps, or with such folders in them')
    .option('--out <dir>', 'folder for comparison.html, runs.csv and runs.parquet', 'out/compare')
    .action(compare);
}

async function compare(folders: readonly string[], { out }: { readonly out: string }): Promise<void> {
  const { rows, leftOut } = await findRuns(folders, FACTS);
  const command = `light-peft ${process.argv.slice(2).join(' ')}`;
  const page = await writeComparison(out, { rows, leftOut, command });
  say([rows.length === 1 ? '1 run' : `${rows.length} runs`, ...leftOut.map((what) => `left out, ${what}`)].join('; '));
  print(false, undefined, page);
}

const FACTS: RunFacts = {
  official: (task) => {
    try {
      return taskNamed(task).metrics[0];
    } catch (error) {
      // Files of one's own are no known task.
      if (error instanceof UserError) return undefined;
      throw error;
    }
  },
  preset: presetFlags,
  optionsIn: async (folder) => {
    const path = join(folder, 'identity.json');
    return (await exists(path)) ? readIdentity(path) : {};
  },
};
