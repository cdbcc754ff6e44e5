/** Room: data/load. Encoded data of a run. Types, and how they are put together. */
import type { HeadKind } from '../../models/architecture.ts';
import type { Examples } from '../example-store.ts';
import type { MetricName } from '../metrics.ts';
import type { AnswerOptions } from '../qa/answers.ts';
import type { Share, Source } from '../record-source.ts';
import type { Example } from '../tasks/built-in.ts';
import type { JudgedText } from '../text/load.ts';

/** Texts with class indices. */
export interface LabelledTexts {
  readonly labels: readonly string[];
  readonly train: readonly Example[];
  readonly test: readonly Example[];
}

/** Figures that a task names. */
export type TaskFigures = Partial<Record<MetricName, number>>;

/** Shares of the data that were drawn; absent where all is read. */
export interface Drawn {
  readonly train?: Share;
  readonly eval?: Share;
}

/** Of sources that have been read. */
export function drawnOf(read: { readonly train?: Source<unknown>; readonly eval?: Source<unknown> }): Drawn {
  const [train, test] = [read.train?.share?.(), read.eval?.share?.()];
  return { ...(train && { train }), ...(test && { eval: test }) };
}

/** Encoded training and evaluation data, with the head that they are for. */
export interface DataSet {
  /** The task's name, or the training file's without its folders. */
  readonly name: string;
  readonly head: HeadKind;
  /** Class names; one for a number to predict, none where the head's outputs are no classes. */
  readonly labels: readonly string[];
  readonly train: Examples;
  /** Empty where the user gave none. */
  readonly eval: Examples;
  /** Rows of the data that these are of: a question may have several examples. */
  readonly rows: { readonly train: number; readonly eval: number };
  /** Of parts that were drawn: how many rows of the data they have. */
  readonly drawn?: Drawn | undefined;
  /** Official figures of a task from the scores of `eval`, in its order; absent for files. */
  readonly figures?: ((scores: readonly Float32Array[]) => TaskFigures) | undefined;
  /** Of questions on texts: which answers there may be. */
  readonly answers?: AnswerOptions | undefined;
  /** Of a task as text: how `eval` is judged. */
  readonly text?: JudgedText | undefined;
  /**
   * The same split as texts, for baselines that read words: files are read again. Absent where there are no classes or texts, or none to
   * evaluate.
   */
  readonly texts?: (() => Promise<LabelledTexts>) | undefined;
}

export function dataSet(
  name: string,
  head: HeadKind,
  labels: readonly string[],
  examples: Pick<DataSet, 'train' | 'eval'>,
  more: Partial<DataSet> = {},
): DataSet {
  return {
    name,
    head,
    labels,
    ...examples,
    rows: { train: examples.train.length, eval: examples.eval.length },
    ...more,
  };
}
