/**
 * Room: scripts/paper. `bench/paper/RESULTS.md` from the parts that are there, the page that compares them, and what stands
 * beside the bundled model's figures.
 */
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { mean } from 'simple-statistics';
import { taskMetrics, type MetricName } from '../../data/metrics.ts';
import { exists, writeFileAtomic } from '../../engine/io/files.ts';
import { readVersioned, writeVersioned } from '../../engine/io/versioned.ts';
import { presetFlags } from '../../experiments/settings.ts';
import { findRuns } from '../../report/compare/folders.ts';
import { writeComparison } from '../../report/compare/write.ts';
import { choiceSections, type Choice } from '../../report/paper/choices.ts';
import { SCORES } from '../../report/paper/schema.ts';
import { scoreSections, type LabelledScores } from '../../report/paper/scores.ts';
import { paperMarkdown, paperSummary } from '../../report/paper/markdown.ts';
import type { PaperRow, PaperTask } from '../../report/paper/rows.ts';
import type { Score } from '../../report/paper/statistics.ts';
import { CONTEXT, CONTEXT_FILE } from '../../report/model-context.ts';
import { KEPT, readPart } from './run-part.ts';
import { candidatesOf, choicesOf, partsOf, scoresPath, type Part, type Table } from './table.ts';
import { loadTaskData, type Place } from './task-data.ts';

const FOLDER = join('bench', 'paper');
const RESULTS = join(FOLDER, 'RESULTS.md');
/** Written by hand. */
const REMARKS = join(FOLDER, 'remarks.md');
const COMMAND = 'npm run reproduce -- paper --model DIR --data-dir DIR';
const BUNDLED = join('checkpoints', 'light-roberta', CONTEXT_FILE);

/** @returns the file's path */
export async function writePaperReport(table: Table, place: Place): Promise<string> {
  const all = partsOf(table);
  const tasks: PaperTask[] = [];
  for (const name of new Set(all.map(({ task }) => task))) {
    const parts = (
      await Promise.all(all.filter(({ task }) => task === name).map((part) => readPart(part, table)))
    ).flatMap((part) => part ?? []);
    if (parts.length > 0) tasks.push(await taskOf(table, name, place, parts));
  }
  const rows = new Map(all.map((part) => [`${part.peft} ${part.method} ${part.ratio}`, rowOf(table, part)]));
  const text = paperMarkdown(tasks, [...rows.values()], COMMAND);
  const remarks = `## Remarks\n\n${await readFile(REMARKS, 'utf8')}`;
  await writeFileAtomic(RESULTS, [text, ...(await choicesOfTasks(table, all)), remarks].join('\n'));
  await updateContext(paperSummary(tasks, [...rows.values()]));
  await compareParts(table);
  return RESULTS;
}

/** All parts on the page that compares runs, by the table's scores and names. */
async function compareParts({ tasks, methods }: Table): Promise<void> {
  const metrics = new Map(Object.entries(tasks).map(([name, { options, metric }]) => [options.task ?? name, metric]));
  const facts = {
    official: (task: string) => metrics.get(task),
    preset: presetFlags,
    optionsIn: () => Promise.resolve({}),
  };
  const { rows, leftOut } = await findRuns([KEPT], facts);
  const named = rows.map((row) => ({ ...row, label: `${row.peft}, ${methods[row.method]?.label ?? row.method}` }));
  await writeComparison(FOLDER, { rows: named, leftOut, command: `${COMMAND} --report` });
}

/** What comparisons of the bundled model show beside their own figures. */
async function updateContext(summary: ReturnType<typeof paperSummary>): Promise<void> {
  const { format: _, version: __, ...context } = await readVersioned(BUNDLED, CONTEXT);
  await writeVersioned(BUNDLED, CONTEXT, { ...context, ...summary });
}

/** Sections on what was chosen, of every task that has something. */
async function choicesOfTasks(table: Table, all: readonly Part[]): Promise<string[]> {
  const sections: string[] = [];
  const tried = [...candidatesOf(table), ...all.flatMap((part) => choicesOf(part, table))];
  for (const task of Object.keys(table.tasks)) {
    const { metric } = table.tasks[task]!;
    const own = new Map(tried.filter((part) => part.task === task).map((part) => [part.name, part]));
    const choices = new Map<string, Choice>();
    for (const part of own.values()) {
      const found = await readPart(part, table);
      const label = `${part.peft}, ${table.methods[part.method]!.label}`;
      if (found) choices.set(label, { label, metric, parts: [...(choices.get(label)?.parts ?? []), found] });
    }
    sections.push(...scoreSections(task, await scoresOf(task, table)));
    sections.push(...choiceSections(task, [...choices.values()], table['learning-rates'].margin));
  }
  return sections;
}

/** What `compare-scores` left of a task, in the table's order. */
async function scoresOf(task: string, { estimations }: Table): Promise<LabelledScores[]> {
  const found: LabelledScores[] = [];
  for (const [name, { label }] of Object.entries(estimations)) {
    const path = scoresPath(task, name);
    if (await exists(path)) found.push({ label, comparison: await readVersioned(path, SCORES) });
  }
  return found;
}

function rowOf({ methods }: Table, { peft, method, ratio }: Part): PaperRow {
  const { label, chance } = methods[method]!;
  return { peft, method, ratio, label, chance };
}

/** With the labels of its development set. */
async function taskOf(table: Table, name: string, place: Place, parts: PaperTask['parts']): Promise<PaperTask> {
  const task = table.tasks[name]!;
  const { metric } = task;
  if (task.squad !== undefined) {
    const questions = parts.find(({ predictions }) => predictions)?.predictions?.length ?? 0;
    // What is kept of a question is its score.
    return { name, metric, parts, labels: Array<number>(questions).fill(1), score: (scores) => mean([...scores]) };
  }
  const data = await loadTaskData(name, task, place, { evalOnly: true });
  const labels = Array.from(data.eval, ({ label, values }) => values?.[0] ?? label);
  // Choices have no class names.
  const classes = data.labels.length || Math.max(...labels) + 1;
  const of = metric as MetricName;
  const score: Score = (predictions, right) => taskMetrics([of], { labels: right, predictions, classes })[of];
  return { name, metric, labels, parts, score, majority: majorityScore(labels, score) };
}

/** Of the most frequent label. */
function majorityScore(labels: readonly number[], score: Score): number {
  const counts = new Map<number, number>();
  for (const label of labels) counts.set(label, (counts.get(label) ?? 0) + 1);
  const [most] = [...counts].sort(([, a], [, b]) => b - a)[0]!;
  return score(Array<number>(labels.length).fill(most), labels);
}
