/** Room: cli. `score`: the average of a benchmark from what `eval --json` printed for its tasks. */
import type { Command } from 'commander';
import { z } from 'zod';
import { benchmarkScore, type BenchmarkName, type BenchmarkScore, type TaskScores } from '../../data/metrics.ts';
import { plainName } from '../../data/tasks/fields.ts';
import { TASK_NAMES, taskNamed } from '../../data/tasks/registry.ts';
import { UserError } from '../../engine/errors.ts';
import { readJson } from '../../engine/io/files.ts';
import { plainTable } from '../../report/plain-table.ts';
import { print } from '../context.ts';
import { scoresLine } from '../scores.ts';

const TITLES: Readonly<Record<BenchmarkName, string>> = { glue: 'GLUE', superglue: 'SuperGLUE' };

const resultSchema = z.looseObject({ task: z.string('expected a task, as eval --json names it') });

/** Figures by task. */
type Results = ReadonlyMap<string, TaskScores>;

interface Flags {
  readonly without?: string;
  readonly json?: boolean;
}

export function addScore(program: Command): void {
  program
    .command('score')
    .description('the average of GLUE or SuperGLUE, from what eval --json printed for each of its tasks')
    .argument('<files...>', 'one file of each task')
    .option('--without <tasks>', 'tasks that do not count, as wnli,rte')
    .option('--json', 'print the result as JSON')
    .action(runScore);
}

async function runScore(files: readonly string[], { without, json }: Flags): Promise<void> {
  const results = await readResults(files);
  const names = (Object.keys(TITLES) as BenchmarkName[]).filter((name) =>
    [...results.keys()].some((task) => isOf(name, task)),
  );
  const left = leftOut(names, without);
  const scores = new Map(names.map((name) => [name, benchmarkScore(name, figuresOf(name, results), left)]));
  const text = [...scores].map(([name, score]) => textOf(name, results, score));
  print(json, Object.fromEntries(scores), text.join('\n\n'));
}

function isOf(benchmark: BenchmarkName, task: string): boolean {
  return task.startsWith(`${benchmark}/`);
}

async function readResults(files: readonly string[]): Promise<Results> {
  const results = new Map<string, TaskScores>();
  const origins = new Map<string, string>();
  for (const file of files) {
    const { task, ...figures } = await readJson(file, resultSchema);
    const { name, metrics } = taskNamed(task);
    if (!Object.keys(TITLES).some((benchmark) => isOf(benchmark as BenchmarkName, name)))
      throw new UserError(`${file}: is of ${name}, expected a task of ${Object.values(TITLES).join(' or ')}`);
    const other = origins.get(name);
    if (other !== undefined) throw new UserError(`${file}: is of ${name}, as ${other}; give one file of each task`);
    origins.set(name, file);
    results.set(name, officialFigures(file, metrics, figures));
  }
  return results;
}

function officialFigures(
  file: string,
  metrics: readonly (keyof TaskScores)[],
  figures: Readonly<Record<string, unknown>>,
): TaskScores {
  return Object.fromEntries(
    metrics.map((metric) => {
      const value = figures[metric];
      if (typeof value === 'number') return [metric, value];
      throw new UserError(`${file}: no figure "${metric}", expected what eval --json prints for this task`);
    }),
  );
}

/** @throws UserError for a name that is no task of these benchmarks */
function leftOut(benchmarks: readonly BenchmarkName[], without = ''): readonly string[] {
  const names = without.split(',').filter((name) => name.trim() !== '');
  const known = TASK_NAMES.filter((task) => benchmarks.some((name) => isOf(name, task)));
  for (const name of names) {
    if (known.some((task) => plainName(task.slice(task.indexOf('/') + 1)) === plainName(name))) continue;
    throw new UserError(`--without: found "${name}", expected some of ${known.join(', ')}`);
  }
  return names.map((name) => name.trim());
}

function figuresOf(benchmark: BenchmarkName, results: Results): Readonly<Record<string, TaskScores>> {
  return Object.fromEntries([...results].filter(([task]) => isOf(benchmark, task)));
}

function textOf(benchmark: BenchmarkName, results: Results, { score, tasks, missing }: BenchmarkScore): string {
  const rows = Object.entries(figuresOf(benchmark, results)).map(([task, figures]) => {
    const name = task.slice(task.indexOf('/') + 1);
    const own = tasks[name];
    return [name, scoresLine(figures), own === undefined ? '–' : percent(own)];
  });
  const table = plainTable(['', 'Figures', 'Score'], rows);
  const title = TITLES[benchmark];
  const last =
    score === undefined
      ? `${title}: no average, missing ${missing.join(', ')}`
      : `${title}: ${percent(score)}, the mean over ${Object.keys(tasks).length} tasks`;
  return `${table}\n${last}`;
}

function percent(share: number): string {
  return (100 * share).toFixed(2);
}
