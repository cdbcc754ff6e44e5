/**
 * Room: data/tasks. SuperGLUE (Wang et al. 2019), as distributed (JSON lines) and as on the Hugging Face hub. Texts are put to encoders as jiant,
 * the benchmark's own toolkit, puts them; WiC and WSC, which have a head for spans there, as P-tuning v2 does. Declarations only.
 */
import { UserError } from '../../engine/errors.ts';
import { preview } from '../../engine/io/files.ts';
import type { MetricName } from '../metrics.ts';
import type { Fields } from '../records.ts';
import { classOf, indexOf, labelled, textOf, TRUTH } from './fields.ts';
import { judgedRows } from './figures.ts';
import { indexedLines } from './submission.ts';
import { MULTIRC } from './superglue-multirc.ts';
import { RECORD } from './superglue-record.ts';
import { WSC } from './superglue-wsc.ts';
import type { Submission, Task, TaskRow } from './task.ts';

interface Texts {
  readonly name: string;
  readonly labels: readonly string[];
  readonly metrics: readonly MetricName[];
  /** Columns that are texts. */
  readonly columns: readonly string[];
  readonly submission: Submission;
  /** The two texts of a row. */
  readonly pair: (row: Readonly<Record<string, string>>) => readonly [string, string];
}

/** A class for two texts. */
function texts({ columns, pair, labels, ...task }: Texts): Task {
  return {
    ...task,
    labels,
    head: 'classification',
    rows: (record, at) => [
      {
        ...Object.fromEntries(columns.map((c) => [c, textOf(record, c, at)])),
        ...classOf(record, labels, at),
        ...indexOf(record, 'idx'),
      },
    ],
    example: (row) => {
      const [a, b] = pair(row as Readonly<Record<string, string>>);
      return { text_a: a, text_b: b, ...labelled(row, labels) };
    },
    key: ({ idx }) => ({ idx }),
  };
}

/** Classes by their names. */
const named = (file: string, names: readonly string[]): Submission =>
  indexedLines(file, ({ best }) => ({ label: names[best]! }));

const ENTAILMENT = ['entailment', 'not_entailment'];
const COMMITMENT = ['entailment', 'contradiction', 'neutral'];

/** Of premise and hypothesis. */
function entailment(task: Omit<Texts, 'columns' | 'pair'>, a = 'premise', b = 'hypothesis'): Task {
  return texts({ ...task, columns: [a, b], pair: (row) => [row[a]!, row[b]!] });
}

const CHOICES = ['choice1', 'choice2'];

/** What COPA's annotators were asked. */
const QUESTIONS: Readonly<Record<string, string>> = {
  cause: 'What was the cause of this?',
  effect: 'What happened as a result?',
};

function questionOf(record: Fields, at: string): string {
  const question = textOf(record, 'question', at);
  if (question in QUESTIONS) return question;
  throw new UserError(`${at}: "question" is ${preview(question)}, expected cause or effect`);
}

const COPA: Task = {
  name: 'superglue/copa',
  head: 'multiple-choice',
  labels: [],
  metrics: ['accuracy'],
  rows: (record, at) => [
    {
      ...Object.fromEntries(['premise', ...CHOICES].map((c) => [c, textOf(record, c, at)])),
      question: questionOf(record, at),
      ...classOf(record, CHOICES, at),
      ...indexOf(record, 'idx'),
    },
  ],
  example: ({ premise, question, choice1, choice2, label }) => ({
    text: `${premise as string} ${QUESTIONS[question as string]!}`,
    choices: [choice1, choice2],
    ...(label !== undefined && { label }),
  }),
  key: ({ idx }) => ({ idx }),
  submission: indexedLines('COPA.jsonl', ({ best }) => ({ label: best })),
};

/** It is evaluated by a model that learned RTE. */
const DIAGNOSTIC: Pick<Task, 'files' | 'evalSplit'> = {
  files: { train: [], validation: [], test: ['AX-b', 'AX-g', 'test'] },
  evalSplit: 'test',
};

/** A pair of AX-g differs in the gender of a pronoun alone. The hub's rows have no `pair_id`; pairs are neighbours there. */
function pairOf({ pair_id: pair, idx, hypothesis }: TaskRow): string {
  return String(pair ?? (idx === undefined ? hypothesis : Math.floor(Number(idx) / 2)));
}

const AXG = entailment({
  name: 'superglue/axg',
  labels: ENTAILMENT,
  metrics: ['accuracy', 'genderParity'],
  submission: named('AX-g.jsonl', ENTAILMENT),
});

export const SUPERGLUE: readonly Task[] = [
  texts({
    name: 'superglue/boolq',
    labels: TRUTH,
    metrics: ['accuracy'],
    submission: named('BoolQ.jsonl', ['false', 'true']),
    columns: ['question', 'passage'],
    pair: ({ question, passage }) => [passage!, question!],
  }),
  entailment({
    name: 'superglue/cb',
    labels: COMMITMENT,
    submission: named('CB.jsonl', COMMITMENT),
    metrics: ['accuracy', 'f1Macro'],
  }),
  COPA,
  MULTIRC,
  RECORD,
  entailment({
    name: 'superglue/rte',
    labels: ENTAILMENT,
    metrics: ['accuracy'],
    submission: named('RTE.jsonl', ENTAILMENT),
  }),
  texts({
    name: 'superglue/wic',
    labels: TRUTH,
    metrics: ['accuracy'],
    submission: named('WiC.jsonl', ['false', 'true']),
    columns: ['word', 'sentence1', 'sentence2'],
    pair: ({ word, sentence1, sentence2 }) => [`${word!}: ${sentence1!}`, `${word!}: ${sentence2!}`],
  }),
  WSC,
  {
    ...entailment(
      { name: 'superglue/axb', labels: ENTAILMENT, metrics: ['matthews'], submission: named('AX-b.jsonl', ENTAILMENT) },
      'sentence1',
      'sentence2',
    ),
    ...DIAGNOSTIC,
  },
  {
    ...AXG,
    ...DIAGNOSTIC,
    rows: (record, at) => AXG.rows(record, at).map((row) => ({ ...row, pair_id: record.fields.pair_id })),
    key: (row) => ({ idx: row.idx, label: row.label, pair: pairOf(row) }),
    group: (row) => [pairOf(row)],
    judge: (keys, scores) => ({ ...judgedRows(keys, scores), groups: keys.map(({ pair }) => pair as string) }),
  },
];
