/** Room: report/paper. The paper's table as Markdown: scores by task, differences with intervals, and a sentence for each claim. Pure. */
import { mean, sampleStandardDeviation } from 'simple-statistics';
import { list, markdownRows } from '../markdown-parts.ts';
import { breakEven, type Timed } from '../break-even.ts';
import { bytes, duration, percent } from '../numbers.ts';
import type { ModelContext } from '../model-context.ts';
import type { PaperPart } from './schema.ts';
import { pairedDifference, verdict, type Difference, type Paired, type Score } from './statistics.ts';

export interface PaperTask {
  readonly name: string;
  readonly metric: string;
  readonly score: Score;
  /** Of the development set. */
  readonly labels: readonly number[];
  /** Score of the most frequent label, where there are such. */
  readonly majority?: number;
  readonly parts: readonly PaperPart[];
}

/** A row of the table: a method at a ratio. */
export interface PaperRow {
  readonly peft: string;
  readonly method: string;
  readonly label: string;
  /** 0 without pruning. */
  readonly ratio: number;
  /** The method that prunes as much at random, where there is one. */
  readonly chance?: string | undefined;
}

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
    'Means over seeds. Times are those of the same runs, which may have shared the machine with others: bench/RESULTS.md has speeds measured apart. Faster from: optimizer steps, those of the estimation included, from which the whole run takes less time than without pruning on the same day.',
    sizes(tasks, rows),
    '## Differences',
    'Paired, in points: examples and seeds resampled together 2,000 times; the middle 95 %. All together: tasks that were run with several budgets count once, with the longest.',
    differences(tasks, rows),
    '## Claims',
    list(claims(tasks, rows)),
  ].join('\n\n')}\n`;
}

const partsOf = ({ parts }: PaperTask, { peft, method, ratio }: PaperRow): PaperPart[] =>
  parts.filter((part) => part.peft === peft && part.method === method && part.ratio === ratio);

const nameOf = ({ peft, label, ratio }: PaperRow): string =>
  `${peft}, ${label}${ratio > 0 ? ` ${ratioText(ratio)}` : ''}`;

function ratioText(ratio: number): string {
  const known = [[1 / 3, '1/3'], [1 / 2, '1/2'], [2 / 3, '2/3']] as const; // prettier-ignore
  return known.find(([value]) => Math.abs(value - ratio) < 0.01)?.[1] ?? percent(ratio);
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

function sizes(tasks: readonly PaperTask[], rows: readonly PaperRow[]): string {
  const head = [
    ...['method', 'task', 'blocks left', 'trainables left', 'estimation', 'fine-tuning', 'faster from'],
    ...['peak of training', 'mean', 'peak of inference', 'artefact'],
  ];
  const lines = tasks.flatMap((task) => rows.flatMap((row) => sizeLine(task, row, rows)));
  return markdownRows(head, lines);
}

/** A line of what was run. */
function sizeLine(task: PaperTask, row: PaperRow, rows: readonly PaperRow[]): string[][] {
  const parts = partsOf(task, row);
  if (parts.length === 0) return [];
  const reference = rows.find(({ peft, ratio }) => peft === row.peft && ratio === 0);
  const [share, bytesOf] = [percent, bytes].map((text) => (name: string) => {
    const known = parts.flatMap(({ metrics }) => metrics[name] ?? []);
    return known.length === 0 ? '–' : text(mean(known));
  }) as [(name: string) => string, (name: string) => string];
  const times = ['estimateSeconds', 'trainSeconds'].map((name) => duration(meanOf(parts, name)));
  return [
    [
      ...[nameOf(row), task.name, share('blockShare'), share('trainableShare'), ...times],
      reference && row.ratio > 0 ? fasterFrom(parts, partsOf(task, reference)) : '–',
      ...['trainPeakBytes', 'trainMeanBytes', 'inferPeakBytes', 'artefactBytes'].map(bytesOf),
    ],
  ];
}

const meanOf = (parts: readonly PaperPart[], name: string): number =>
  mean(parts.map(({ metrics }) => metrics[name] ?? 0));

/** Steps from which all of the run takes less time than without pruning, by runs of the same days: others may be of another machine. */
function fasterFrom(own: readonly PaperPart[], reference: readonly PaperPart[]): string {
  const days = new Set(own.map(dayOf));
  const like = reference.filter((part) => days.has(dayOf(part)));
  if (like.length === 0) return '–';
  const [mine, other] = [own, like].map(timesOf) as [Timed, Timed];
  const steps = breakEven(mine, other, (other.secondsPerStep ?? NaN) / (mine.secondsPerStep ?? NaN));
  if (steps === undefined || Number.isNaN(steps)) return '–';
  return steps === Infinity ? 'never' : `${steps} steps`;
}

const dayOf = ({ date }: PaperPart): string => date.slice(0, 10);

function timesOf(parts: readonly PaperPart[]): Timed {
  const [estimate, prune, train] = ['estimateSeconds', 'pruneSeconds', 'trainSeconds'].map((name) => meanOf(parts, name)) as [number, number, number]; // prettier-ignore
  const { steps, 'estimate-steps': estimated } = parts[0]!.config;
  const before = estimate > 0 ? Number(estimated) : 0;
  // Without an estimation its steps are trained too.
  const trained = Number(steps) + (estimate > 0 ? 0 : Number(estimated));
  const known = parts.every(({ metrics }) => metrics.secondsPerStep !== undefined);
  return {
    seconds: { estimate, prune, train, distill: 0, teacher: 0, total: estimate + prune + train },
    steps: { estimate: before, train: trained },
    secondsPerStep: known ? meanOf(parts, 'secondsPerStep') : undefined,
  };
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
