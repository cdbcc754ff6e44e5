/** Room: data/metrics. The figures that tasks ask for by name. Pure functions. */
import { NO_VALUE } from '../encoded-example.ts';
import { scoreAnswer, type AnswerScore, type AnswerTexts } from './answers.ts';
import { accuracy, f1Macro, f1OfClassOne, matthews, meanOf } from './classes.ts';
import { exactMatchOfGroups, f1OfGroups, parityOfGroups } from './groups.ts';
import { meanSquaredError, pearson, spearman } from './regression.ts';

/** What was predicted, beside what is true. */
export interface Judged {
  /** Class indices, or numbers where `classes` is 1. Rows without a label (a negative class, no value) are left out. */
  readonly labels: ArrayLike<number>;
  /** As many, of the same kind. */
  readonly predictions: ArrayLike<number>;
  /** 1: the labels are numbers. */
  readonly classes: number;
  /** Class indices, as many: predictions by another rule, for `accuracyNorm`. */
  readonly normalized?: ArrayLike<number>;
  /** For figures of questions: the question of each row. */
  readonly groups?: readonly string[];
  /** For figures of texts, one for each question: the answer, and those expected. `exactMatch` and `f1` are then of the texts. */
  readonly texts?: readonly AnswerTexts[];
}

const METRIC_FUNCTIONS = {
  accuracy: ({ labels, predictions }: Judged) => accuracy(labels, predictions),
  accuracyNorm: ({ labels, predictions, normalized = predictions }: Judged) => accuracy(labels, normalized),
  f1: (judged: Judged) =>
    judged.texts ? meanOfTexts(judged.texts, 'f1') : f1OfClassOne(judged.labels, judged.predictions),
  f1Macro: ({ labels, predictions }: Judged) => f1Macro(labels, predictions),
  f1a: ({ labels, predictions }: Judged) => f1OfClassOne(labels, predictions),
  f1m: (judged: Judged) => f1OfGroups(judged.labels, judged.predictions, groupsOf(judged)),
  exactMatch: (judged: Judged) =>
    judged.texts
      ? meanOfTexts(judged.texts, 'exactMatch')
      : exactMatchOfGroups(judged.labels, judged.predictions, groupsOf(judged)),
  genderParity: (judged: Judged) => parityOfGroups(judged.predictions, groupsOf(judged)),
  matthews: ({ labels, predictions }: Judged) => matthews(labels, predictions),
  pearson: ({ labels, predictions }: Judged) => pearson(labels, predictions),
  spearman: ({ labels, predictions }: Judged) => spearman(labels, predictions),
  mse: ({ labels, predictions }: Judged) => meanSquaredError(labels, predictions),
} satisfies Record<string, (judged: Judged) => number>;

/** What a task may name as its figures. */
export type MetricName = keyof typeof METRIC_FUNCTIONS;

/**
 * Figures by name: accuracies, F1 and exact match in [0, 1], correlations in [−1, 1]. What nothing is known of is 0.
 * @throws RangeError where there are not as many predictions or groups as labels
 * @throws Error where a figure of questions has neither `groups` nor `texts`
 */
export function taskMetrics<N extends MetricName>(names: readonly N[], judged: Judged): Record<N, number> {
  const known = knownRows(judged);
  return Object.fromEntries(names.map((name) => [name, METRIC_FUNCTIONS[name](known)])) as Record<N, number>;
}

function knownRows(judged: Judged): Judged {
  const { labels, predictions, normalized, classes, groups } = judged;
  for (const [what, rows] of Object.entries({ predictions, normalized, groups }))
    if (rows && rows.length !== labels.length)
      throw new RangeError(`taskMetrics: ${labels.length} labels, but ${rows.length} ${what}`);
  const isKnown = (label: number): boolean => (classes === 1 ? label > NO_VALUE / 2 : label >= 0);
  const rows = Array.from(labels, (label, row) => (isKnown(label) ? [row] : [])).flat();
  return {
    ...judged,
    labels: rows.map((row) => labels[row]!),
    predictions: rows.map((row) => predictions[row]!),
    ...(normalized && { normalized: rows.map((row) => normalized[row]!) }),
    ...(groups && { groups: rows.map((row) => groups[row]!) }),
  };
}

function groupsOf({ groups }: Judged): readonly string[] {
  if (!groups) throw new Error('taskMetrics: a figure of questions, but no groups');
  return groups;
}

function meanOfTexts(texts: readonly AnswerTexts[], key: keyof AnswerScore): number {
  return meanOf(texts.map((text) => scoreAnswer(text)[key]));
}
