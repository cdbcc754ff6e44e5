/**
 * Room: data/tasks. GLUE (Wang et al. 2019), as distributed (tab-separated, quotation marks are text) and as on the Hugging Face hub.
 * Declarations only.
 */
import type { MetricName } from '../metrics.ts';
import type { Dialect, Fields } from '../records.ts';
import { classOf, indexOf, labelled, numberOf, textOf } from './fields.ts';
import { indexedTable } from './submission.ts';
import type { Prediction, SplitName, Submission, Task } from './task.ts';

const DIALECT: Dialect = { quote: 'none' };

interface Sentences {
  readonly name: string;
  readonly folders?: readonly string[];
  readonly files?: Partial<Readonly<Record<SplitName, readonly string[]>>>;
  readonly evalSplit?: SplitName;
  /** Class names; one where a number is predicted. */
  readonly labels: readonly string[];
  readonly metrics: readonly MetricName[];
  /** The one text or the two: the hub's column, and others for it. */
  readonly texts: readonly [Names] | readonly [Names, Names];
  /** Columns of the label, the hub's first. */
  readonly label?: Names;
  /** Columns of the row's number. */
  readonly index?: Names;
  readonly dialect?: Dialect;
  readonly skipsBadLines?: boolean;
  /** A label with which a row is none. */
  readonly noRow?: string;
  readonly submission: Submission;
}

type Names = readonly [string, ...string[]];

const LABEL: Names = ['label'];
/** STS-B's numbers are from 0 to this. */
const MOST_SIMILAR = 5;
const INDEX: Names = ['idx', 'index'];

function sentences({ texts, label = LABEL, index = INDEX, noRow, ...task }: Sentences): Task {
  const { labels } = task;
  const [a, b] = texts;
  const isNumber = labels.length === 1;
  const rowOf = (record: Fields, at: string): Readonly<Record<string, unknown>> => ({
    ...Object.fromEntries(texts.map((names) => [names[0], textOf(record, names, at)])),
    ...(isNumber ? numberOf(record, label, at, MOST_SIMILAR) : classOf(record, labels, at, label)),
    ...indexOf(record, index),
  });
  return {
    dialect: DIALECT,
    ...task,
    head: 'classification',
    rows: (record, at) =>
      label.some((name) => record.fields[name] === noRow) && noRow !== undefined ? [] : [rowOf(record, at)],
    example: (row) => ({
      ...(b === undefined ? { text: row[a[0]] } : { text_a: row[a[0]], text_b: row[b[0]] }),
      ...(isNumber ? { label: row.label } : labelled(row, labels)),
    }),
    key: ({ idx }) => ({ idx }),
  };
}

const SENTENCE: Names = ['sentence'];
const SENTENCES: readonly [Names, Names] = [['sentence1'], ['sentence2']];
const ENTAILMENT = ['entailment', 'not_entailment'];
const INFERENCE = ['entailment', 'neutral', 'contradiction'];

/** Classes by their numbers. */
const numbered = (file: string): Submission => indexedTable(file, ({ best }) => String(best));

/** Classes by their names. */
const named = (file: string, names: readonly string[]): Submission => indexedTable(file, ({ best }) => names[best]!);

/** STS-B's numbers are from 0 to 5. */
const similarity = ({ scores: [score] }: Prediction): string => Math.min(MOST_SIMILAR, Math.max(0, score!)).toFixed(3);

interface Mnli {
  readonly name: string;
  readonly folders: readonly string[];
  readonly genres: 'matched' | 'mismatched';
  readonly submission: string;
}

function mnli({ genres, submission, ...task }: Mnli): Task {
  return sentences({
    ...task,
    files: {
      train: ['train'],
      validation: [`validation_${genres}`, `dev_${genres}`, 'validation', 'dev'],
      test: [`test_${genres}`, 'test'],
    },
    labels: INFERENCE,
    metrics: ['accuracy'],
    texts: [
      ['premise', 'sentence1'],
      ['hypothesis', 'sentence2'],
    ],
    label: ['label', 'gold_label'],
    // Its annotators did not agree.
    noRow: '-',
    submission: named(submission, INFERENCE),
  });
}

export const GLUE: readonly Task[] = [
  sentences({
    name: 'glue/cola',
    labels: ['unacceptable', 'acceptable'],
    metrics: ['matthews'],
    texts: [SENTENCE],
    dialect: { ...DIALECT, header: ['source', 'label', 'mark', 'sentence'] },
    submission: numbered('CoLA.tsv'),
  }),
  sentences({
    name: 'glue/sst2',
    folders: ['SST-2'],
    labels: ['negative', 'positive'],
    metrics: ['accuracy'],
    texts: [SENTENCE],
    submission: numbered('SST-2.tsv'),
  }),
  sentences({
    name: 'glue/mrpc',
    labels: ['not_equivalent', 'equivalent'],
    metrics: ['accuracy', 'f1'],
    texts: [
      ['sentence1', '#1 String'],
      ['sentence2', '#2 String'],
    ],
    label: ['label', 'Quality'],
    submission: numbered('MRPC.tsv'),
  }),
  sentences({
    name: 'glue/stsb',
    labels: ['score'],
    metrics: ['pearson', 'spearman'],
    texts: SENTENCES,
    label: ['label', 'score'],
    submission: indexedTable('STS-B.tsv', similarity),
  }),
  sentences({
    name: 'glue/qqp',
    labels: ['not_duplicate', 'duplicate'],
    metrics: ['accuracy', 'f1'],
    texts: [['question1'], ['question2']],
    label: ['label', 'is_duplicate'],
    index: ['idx', 'id'],
    skipsBadLines: true,
    submission: numbered('QQP.tsv'),
  }),
  mnli({ name: 'glue/mnli', folders: ['mnli_matched'], genres: 'matched', submission: 'MNLI-m.tsv' }),
  mnli({ name: 'glue/mnli_matched', folders: ['MNLI'], genres: 'matched', submission: 'MNLI-m.tsv' }),
  mnli({ name: 'glue/mnli_mismatched', folders: ['MNLI'], genres: 'mismatched', submission: 'MNLI-mm.tsv' }),
  sentences({
    name: 'glue/qnli',
    labels: ENTAILMENT,
    metrics: ['accuracy'],
    texts: [['question'], ['sentence']],
    submission: named('QNLI.tsv', ENTAILMENT),
  }),
  sentences({
    name: 'glue/rte',
    labels: ENTAILMENT,
    metrics: ['accuracy'],
    texts: SENTENCES,
    submission: named('RTE.tsv', ENTAILMENT),
  }),
  sentences({
    name: 'glue/wnli',
    labels: ['not_entailment', 'entailment'],
    metrics: ['accuracy'],
    texts: SENTENCES,
    submission: numbered('WNLI.tsv'),
  }),
  // Learned from MNLI. Of its tables one has labels, whose columns have names of their own.
  sentences({
    name: 'glue/ax',
    folders: ['diagnostic', 'diagnostics', 'MNLI'],
    files: { test: ['diagnostic-full', 'diagnostic', 'AX', 'test'] },
    evalSplit: 'test',
    labels: INFERENCE,
    metrics: ['matthews'],
    texts: [
      ['premise', 'sentence1', 'Premise'],
      ['hypothesis', 'sentence2', 'Hypothesis'],
    ],
    label: ['label', 'Label'],
    submission: named('AX.tsv', INFERENCE),
  }),
];
