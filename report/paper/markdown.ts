/** Room: report/paper. The paper's table as Markdown: scores by task, differences with intervals, and a sentence for each claim. Pure. */
import { mean, sampleStandardDeviation } from 'simple-statistics';
import { list, markdownRows } from '../markdown-parts.ts';
import { percent } from '../numbers.ts';
import type { ModelContext } from '../model-context.ts';
import type { PaperPart } from './schema.ts';
import { nameOf, partsOf, type PaperRow, type PaperTask } from './rows.ts';
import { SIZES_TEXT, sizes } from './sizes.ts';
import { pairedDifference, verdict, type Difference, type Paired } from './statistics.ts';

/** @param rows of the table, run or not @param command that makes it */
export function paperMarkdown(tasks: readonly PaperTask[], rows: readonly PaperRow[], command: string): string {
  const parts = tasks.flatMap((task) => task.parts);
  const unique = (of: (part: PaperPart) => string): string => [...new Set(parts.map(of))].join(', ');
  return `${[
    '# The table on a pretrained model',
    list([
      `Command: \`${command}\``,
      `Adapter: ${unique(({ device }) => device.adapter)}`,
      `Dates: ${unique(({ date }) => date.slice(0, 10))}; commits: ${unique(({ commit }) => commit)}`,
      `Base: ${unique(({ fingerprint }) => fingerprint)}`,
    ]),
    '## Scores',
    'Means over seeds ± sample standard deviation, in percent, on the development sets, which nothing was chosen by but what the remarks name; seeds in parentheses. Majority: the most frequent class. Steps: those of estimation and fine-tuning together, the same for all methods.',
    scores(tasks, rows),
    '## Size and time',
    SIZES_TEXT,
    sizes(tasks, rows),
    '## Differences',
    'Paired, in points: examples and seeds resampled together 2,000 times; the middle 95 %. All together: tasks that were run with several budgets count once, with the longest.',
    differences(tasks, rows),
    '## Claims',
    list(claims(tasks, rows)),
  ].join('\n\n')}\n`;
}

function scores(tasks: readonly PaperTask[], rows: readonly PaperRow[]): string {
  const head = ['method', ...tasks.map(({ name, metric }) => `${name}, ${metric}`)];
  const majority = ['majority', ...tasks.map((task) => (task.majority === undefined ? '–' : points(task.majority)))];
  return markdownRows(head, [
    ...rows.map((row) => [nameOf(row), ...tasks.map((task) => scoreText(task, row))]),
    majority,
    ['steps', ...tasks.map(({ parts: [one] }) => (one ? stepsText(one) : '–'))],
  ]);
}

const stepsText = (part: PaperPart): string => `${stepsOf(part)} of ${Number(part.config['batch-size'])} rows`;

/** Of estimation and fine-tuning together. */
const stepsOf = ({ config }: PaperPart): number => Number(config['estimate-steps']) + Number(config.steps);

/** Mean and deviation over seeds, and how many they are. */
function scoreText(task: PaperTask, row: PaperRow): string {
  const found = partsOf(task, row).map(({ metrics }) => metrics[task.metric]! * 100);
  if (found.length === 0) return 'not run';
  const spread = found.length > 1 ? ` ± ${sampleStandardDeviation(found).toFixed(1)}` : '';
  return `${mean(found).toFixed(1)}${spread} (${found.length})`;
}

/** The rows that were run, in short: what is left, and scores. */
export function paperSummary(
  tasks: readonly PaperTask[],
  rows: readonly PaperRow[],
): Pick<ModelContext, 'columns' | 'rows'> {
  const columns = [
    'method',
    'blocks left',
    'trainables left',
    ...tasks.map(({ name, metric }) => `${name}, ${metric}`),
  ];
  const lines = rows.flatMap((row) => {
    const parts = tasks.flatMap((task) => partsOf(task, row));
    if (parts.length === 0) return [];
    const share = (name: string): string => percent(mean(parts.map(({ metrics }) => metrics[name] ?? 0)));
    return [[nameOf(row), share('blockShare'), share('trainableShare'), ...tasks.map((task) => scoreText(task, row))]];
  });
  return { columns, rows: lines };
}

/** What is compared: a method with another at the same ratio, or with PEFT without pruning. */
function comparisons(rows: readonly PaperRow[]): (readonly [own: PaperRow, other: PaperRow])[] {
  const chances = rows.flatMap(({ chance }) => chance ?? []);
  return rows.flatMap((own) => {
    if (own.ratio === 0 || chances.includes(own.method)) return [];
    const like = rows.filter(({ peft }) => peft === own.peft);
    const reference = like.find(({ ratio }) => ratio === 0);
    const random = like.find(({ method, ratio }) => method === own.chance && ratio === own.ratio);
    return [reference, random].flatMap((other) => (other ? [[own, other] as const] : []));
  });
}

interface ComparedTask {
  readonly task: PaperTask;
  readonly pair: Paired;
}

/** The tasks in which both have runs. */
function compared(tasks: readonly PaperTask[], own: PaperRow, other: PaperRow): ComparedTask[] {
  return tasks.flatMap((task) => {
    const pair = paired(task, own, other);
    return pair ? [{ task, pair }] : [];
  });
}

/** Over all tasks; of one that was run with several budgets, the longest. */
function altogether(found: readonly ComparedTask[]): Difference {
  const facts = ({ name, parts: [one] }: PaperTask) => ({ data: one!.config.task ?? name, steps: stepsOf(one!) });
  const isLongest = (task: PaperTask): boolean => {
    const { data, steps } = facts(task);
    return !found.some(({ task: other }) => facts(other).data === data && facts(other).steps > steps);
  };
  return pairedDifference(found.filter(({ task }) => isLongest(task)).map(({ pair }) => pair));
}

/** Runs of both with the same seeds. */
function paired(task: PaperTask, own: PaperRow, other: PaperRow): Paired | undefined {
  const pairs = partsOf(task, own).flatMap((part) => {
    const match = partsOf(task, other).find(({ seed }) => seed === part.seed);
    return match ? [[part.predictions!, match.predictions!] as const] : [];
  });
  if (pairs.length === 0) return undefined;
  const { labels, score } = task;
  return { own: pairs.map(([mine]) => mine), other: pairs.map(([, theirs]) => theirs), labels, score };
}

function differences(tasks: readonly PaperTask[], rows: readonly PaperRow[]): string {
  const head = ['own − other', ...tasks.map(({ name }) => name), 'all together'];
  const lines = comparisons(rows).flatMap(([own, other]) => {
    const found = compared(tasks, own, other);
    if (found.length === 0) return [];
    const cells = tasks.map((task) => {
      const pair = found.find((one) => one.task === task)?.pair;
      return pair ? differenceText(pairedDifference([pair])) : '–';
    });
    return [[`${nameOf(own)} − ${nameOf(other)}`, ...cells, differenceText(altogether(found))]];
  });
  return lines.length === 0 ? 'None yet.' : markdownRows(head, lines);
}

function differenceText({ mean: value, low, high }: Difference): string {
  const signed = (one: number): string => `${one < 0 ? '−' : '+'}${points(Math.abs(one))}`;
  return `${signed(value)} [${signed(low)}, ${signed(high)}]`;
}

function points(share: number): string {
  return (share * 100).toFixed(1);
}

/** Points that count as comparable. */
const MARGIN = 0.01;

function claims(tasks: readonly PaperTask[], rows: readonly PaperRow[]): string[] {
  const sentences = comparisons(rows).flatMap(([own, other]) => {
    const found = compared(tasks, own, other);
    if (found.length === 0 || own.chance === undefined) return [];
    const isChance = other.method === own.chance;
    const judged = (difference: Difference): string => {
      const word = isChance ? verdict(difference, 'above') : verdict(difference, 'not below', MARGIN);
      return `${word} (${differenceText(difference)}`;
    };
    const claim = isChance ? 'is better than random pruning' : `is within a point of ${nameOf(other)}`;
    const each = found.map(
      ({ task, pair }) => `${task.name} ${judged(pairedDifference([pair]))}, seeds: ${pair.own.length})`,
    );
    return [`${nameOf(own)} ${claim}: ${judged(altogether(found))} points). ${each.join('; ')}.`];
  });
  return sentences.length === 0 ? ['None can be judged yet.'] : sentences;
}
