/** Room: data/text. What a task is as text: what a language model reads, and what it is asked for. Types, and how they are made. */
import type { MetricName } from '../metrics.ts';
import type { TaskRow } from '../tasks/task.ts';

/** A choice of a row. The model is asked how likely the answer is after the context and a space. */
export interface TextChoice {
  readonly context: string;
  readonly answer: string;
}

/** A task with choices, phrased as lm-evaluation-harness 0.4.13 phrases it. Rows are in the hub's columns. */
export interface ChoiceTask {
  readonly kind: 'choices';
  readonly choices: (row: TaskRow) => readonly TextChoice[];
  /** The right choice; undefined where it is not known. */
  readonly gold: (row: TaskRow) => number | undefined;
  readonly metrics: readonly MetricName[];
  /** For figures of texts: what each choice says, and what is right. */
  readonly texts?: (row: TaskRow) => { readonly choices: readonly string[]; readonly expected: readonly string[] };
  /** Whether the harness evaluates on a test split; else it never shows a row as its own example. */
  readonly hasTest?: boolean;
}

/** A task whose answer is generated. */
export interface AnswerTask {
  readonly kind: 'answer';
  readonly context: (row: TaskRow) => string;
  /** What is learned after the context and a space. */
  readonly answer: (row: TaskRow) => string;
  /** What is right: any of these, or where there is none, nothing. */
  readonly expected: (row: TaskRow) => readonly string[];
}

export type TextTask = ChoiceTask | AnswerTask;

/** What stands between a context and its answer, and between two examples. */
export const ANSWER_DELIMITER = ' ';
export const EXAMPLE_DELIMITER = '\n\n';

/** A task of one context with several answers, the right one by its class. */
export function answersOf(
  context: (row: TaskRow) => string,
  answers: readonly string[] | ((row: TaskRow) => readonly string[]),
  metrics: readonly MetricName[] = ['accuracy'],
): ChoiceTask {
  return {
    kind: 'choices',
    choices: (row) => {
      const shared = context(row);
      const all = typeof answers === 'function' ? answers(row) : answers;
      return all.map((answer) => ({ context: shared, answer }));
    },
    gold: ({ label }) => label as number | undefined,
    metrics,
  };
}

/** A column of text; '' where it is missing. */
export function textIn(row: TaskRow, column: string): string {
  return (row[column] ?? '') as string;
}

/** A template with `{column}` in the places of columns. */
export function filled(template: string): (row: TaskRow) => string {
  return (row) => template.replace(/\{(\w+)\}/g, (_, column: string) => textIn(row, column));
}
