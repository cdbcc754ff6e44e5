/** Room: data. Examples as token ids. */

/** Label of an example without one; the loss ignores it. */
export const IGNORE_INDEX = -100;

/** Stands for a value that is not known: below all that can be meant; the loss ignores it. */
export const NO_VALUE = -3e38;

/** Numbers after the starts and ends in a batch's labels: places in the running, and how many starts and ends are known. */
export const SPAN_FACTS = 3;

/** One sequence, unpadded. The three arrays are equally long. */
export interface Sequence {
  readonly ids: Int32Array;
  /** 1 for tokens, 0 for padding inside the sequence (already tokenised data only). */
  readonly mask: Int32Array;
  /** Segment: 1 for the second text of a BERT pair. */
  readonly typeIds: Int32Array;
}

/** One example as token ids, with what is to be predicted of it: one of `label`, `values`, `span` and `tokenLabels`. */
export interface EncodedExample extends Sequence {
  /** Index of the class or of the right choice, or `IGNORE_INDEX`. */
  readonly label: number;
  /** In place of it: the number to predict, or 0 or 1 for every class. */
  readonly values?: Float32Array;
  /** Multiple choice: the sequences of the choices after the first, which is the example's own. */
  readonly otherChoices?: readonly Sequence[];
  /** Extractive question answering: first and last token of the answer, or `IGNORE_INDEX`. */
  readonly span?: readonly [start: number, end: number];
  /** Where answers may be found, and what was expected. */
  readonly passage?: Passage;
  /** Place among the windows of a long context, which follow each other; absent: the first. */
  readonly window?: number;
  /** For language models: every token's own id where it is to be predicted from those before it, else `IGNORE_INDEX`. */
  readonly tokenLabels?: Int32Array;
  /** A row of several examples (`packExamples`): of each token, which one it is of, from 1 on. */
  readonly segmentIds?: Int32Array;
}

/** The part of a sequence that answers a question. */
export interface Passage {
  /** Its tokens. */
  readonly from: number;
  readonly to: number;
  /** The text, and where in it each token begins and ends: [2·(to − from)] UTF-16 units; absent for data that is tokenised already. */
  readonly source?: { readonly text: string; readonly offsets: Int32Array; readonly answers: readonly string[] };
}

/** What the labels of examples say. */
export type Target = Pick<EncodedExample, 'label' | 'values'>;

/** All sequences of an example: one, or one a choice. */
export function sequencesOf(example: EncodedExample): readonly Sequence[] {
  return example.otherChoices ? [example, ...example.otherChoices] : [example];
}
