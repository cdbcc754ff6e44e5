/** Room: data/tasks. What a task declares: where its splits lie, what a record of its files means, and how answers are judged. Types only. */
import type { HeadKind } from '../../models/architecture.ts';
import type { Judged, MetricName } from '../metrics.ts';
import type { TextAnswer } from '../qa/answers.ts';
import type { Dialect, Fields } from '../records.ts';

/**
 * A row of a task in the columns that the Hugging Face hub has for it, whatever file it came from. `label` is the class's index, or a number
 * to predict; absent where it is not known.
 */
export type TaskRow = Readonly<Record<string, unknown>>;

/** The splits of a benchmark, under the names of Hugging Face `datasets`. */
export type SplitName = 'train' | 'validation' | 'test';

/** What was predicted of a row. */
export interface Prediction {
  /** By the task's `key`; `{}` where it has none. */
  readonly key: TaskRow;
  /** Place among the predicted rows, from 0. */
  readonly place: number;
  /** Of the task's classes in its order, of the choices, or the one number. */
  readonly scores: Float32Array;
  /** The class or choice with the highest score, the first of several. */
  readonly best: number;
  /** To a question on a text, in place of scores. */
  readonly answer?: TextAnswer | undefined;
}

/** The file of predictions that a benchmark takes. */
export interface Submission {
  /** Its name, as `SST-2.tsv`. */
  readonly file: string;
  /** Its lines, a header included. @param predictions of all rows in order */
  readonly lines: (predictions: readonly Prediction[]) => readonly string[];
}

/** A benchmark's task. */
export interface Task {
  /** As `glue/sst2`. */
  readonly name: string;
  /** Names of its folder, beside the part of `name` after the `/`; case, `-` and `_` do not matter. */
  readonly folders?: readonly string[];
  /** What learns it, where it is not put as text. */
  readonly head: Extract<HeadKind, 'classification' | 'multiple-choice' | 'question-answering'>;
  /** Class names in the official order; one name where a number is predicted; none where the head has no classes. */
  readonly labels: readonly string[];
  /** Names of a split's file without its ending, where they are others than the split's usual ones. */
  readonly files?: Partial<Readonly<Record<SplitName, readonly string[]>>>;
  /** The split that is evaluated unless another is asked for: `validation` where absent. */
  readonly evalSplit?: SplitName;
  /** How the benchmark's own tables are written. */
  readonly dialect?: Dialect;
  /** Whether a split's labels may lie in a file of their own, one a line: `train-labels.lst` beside `train.jsonl`. */
  readonly hasLabelFile?: boolean;
  /** Whether questions may have no answer, which is then among those to choose from. */
  readonly mayHaveNoAnswer?: boolean;
  /** Whether lines of a wrong number of columns are left out, with a warning that counts and names them, rather than refused. */
  readonly skipsBadLines?: boolean;
  /**
   * The rows of a record; nested forms give several, a record that is none gives none.
   * @param at file and line for messages
   * @throws UserError naming what the layout has
   */
  readonly rows: (record: Fields, at: string) => readonly TaskRow[];
  /**
   * A row in the columns that examples are read by: `text`, or `text_a` and `text_b`, or these with `choices`, or `question`, `context` and
   * `answers`; and `label`, a class by its name.
   */
  readonly example: (row: TaskRow) => Fields['fields'];
  /** Where each candidate of a row is an example: the row once for each, with it. Absent: a row is an example. */
  readonly candidates?: (row: TaskRow) => readonly TaskRow[];
  /**
   * What a row belongs to, the largest first, as a passage and a question of it. Neighbouring rows that agree in all are drawn as one; rows
   * that agree in the first stay on one side when a part is set apart. Absent: a row is on its own.
   */
  readonly group?: (row: TaskRow) => readonly string[];
  /** Official figures, the one to choose by first. */
  readonly metrics: readonly MetricName[];
  /** Where a package of its own has the rows: of a split, in order. Absent: they are in files. */
  readonly load?: (split: SplitName) => Promise<readonly TaskRow[]>;
  /**
   * What evaluation and submissions must know of a row, or candidate, beside its example, such as the question it belongs to; absent: nothing. Kept for every
   * evaluated row.
   */
  readonly key?: (row: TaskRow) => TaskRow;
  /**
   * What the figures are of, where it is not the class of each row.
   * @param keys of the rows, by `key`
   * @param scores of each row: of its classes
   */
  readonly judge?: (keys: readonly TaskRow[], scores: readonly Float32Array[]) => Judged;
  /** Absent: the benchmark takes no predictions of it. */
  readonly submission?: Submission;
}
