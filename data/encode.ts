/**
 * Room: data. From examples to what batches are made of: token ids, mask, segments and class index.
 */
import { option } from '../engine/errors.ts';
import { UserError } from '../engine/errors.ts';
import type { TextTokenizer } from '../models/tokenizer.ts';
import type { ExampleFile, Label, TokenRow } from './examples.ts';
import { mapInOrder } from './map-in-order.ts';
import { labelIndex, labelSet, labelValue, type Problem } from './labels.ts';
import type { Example } from './tasks.ts';

/** Label of an example without one; the loss ignores it. */
export const IGNORE_INDEX = -100;

/** Stands for a value that is not known: below all that can be meant; the loss ignores it. */
export const NO_VALUE = -3e38;

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
}

/** The part of a sequence that answers a question. */
export interface Passage {
  /** Its tokens. */
  readonly from: number;
  readonly to: number;
  /** The text, and where in it each token begins and ends: [2·(to − from)] UTF-16 units; absent for data that is tokenised already. */
  readonly source?: { readonly text: string; readonly offsets: Int32Array; readonly answers: readonly string[] };
}

/** All sequences of an example: one, or one a choice. */
export function sequencesOf(example: EncodedExample): readonly Sequence[] {
  return example.otherChoices ? [example, ...example.otherChoices] : [example];
}

/** Texts cut to `maxLength` tokens, special tokens kept. */
export function encodeTexts(
  examples: readonly Example[],
  tokenizer: TextTokenizer,
  maxLength: number,
): Promise<EncodedExample[]> {
  return mapInOrder(examples, ({ text, textPair, label }) =>
    encodeText(tokenizer, text, textPair, maxLength, { label }),
  );
}

/** What the rows of a file are encoded for. */
export interface EncodeFileOptions {
  /** Class names by index; labels of the file are looked up in it. Undefined: they are not read. */
  readonly labels: readonly string[] | undefined;
  /** What the labels are. */
  readonly problem?: Problem;
  /** Tokens of the longest example. */
  readonly maxLength: number;
  /** Token ids the model has embeddings for. */
  readonly vocabSize: number;
  /** Segments the model has embeddings for; 0 = it has none and reads none. */
  readonly typeVocabSize: number;
  /** Leaves padding at the end of tokenised rows, up to `maxLength`, for scores of every token given; else it is cut off. */
  readonly keepPadding?: boolean;
  /** Not needed for files that are tokenised already. */
  readonly tokenizer: TextTokenizer | undefined;
}

/**
 * The rows of a data file. Texts are cut to `maxLength`; tokenised rows must fit, their trailing padding aside.
 * @throws UserError with file and line
 */
export function encodeFile({ path, rows }: ExampleFile, options: EncodeFileOptions): Promise<EncodedExample[]> {
  const { tokenizer, maxLength } = options;
  return mapInOrder(rows, async (row) => {
    const at = `${path}:${row.line}`;
    const target = targetOf(row.label, options, at);
    if ('inputIds' in row) return { ...encodeTokens(row, options, at), ...target };
    if (!tokenizer) {
      throw new UserError(`${at}: found text, but the model folder has no tokenizer.json; expected "input_ids"`);
    }
    const example = await encodeText(tokenizer, row.text, row.textPair, maxLength, target);
    if (example.ids.length > 0) return example;
    throw new UserError(`${at}: the text gives no tokens, expected at least one; leave the row out`);
  });
}

type Target = Pick<EncodedExample, 'label' | 'values'>;

function targetOf(label: Label | undefined, { labels, problem }: EncodeFileOptions, at: string): Target {
  if (label === undefined || !labels) return { label: IGNORE_INDEX };
  if (problem === 'regression') return { label: IGNORE_INDEX, values: Float32Array.of(labelValue(label, at)) };
  if (problem === 'multi_label_classification') {
    return { label: IGNORE_INDEX, values: Float32Array.from(labelSet(label, labels.length, at)) };
  }
  return { label: labelIndex(label, labels, at) };
}

/**
 * Examples of several choices, each choice a row of the file.
 * @throws UserError with file and line, where there are fewer than two choices, or not as many as before
 */
export async function encodeChoices(
  file: ExampleFile,
  options: Omit<EncodeFileOptions, 'labels' | 'problem'>,
): Promise<EncodedExample[]> {
  const { path, rows } = file;
  const sequences = await encodeFile(file, { ...options, labels: undefined });
  const starts = rows.flatMap(({ line }, i) => (i === 0 || rows[i - 1]?.line !== line ? [i] : []));
  const counts = starts.map((start, i) => (starts[i + 1] ?? rows.length) - start);
  const [choices = 0] = counts;
  const names = Array.from({ length: choices }, (_, i) => String(i));
  return starts.map((start, i) => {
    const { line, label } = rows[start] as ExampleFile['rows'][number];
    const at = `${path}:${line}`;
    if (choices < 2) throw new UserError(`${at}: found ${choices} choice, expected at least two`);
    if (counts[i] !== choices) {
      throw new UserError(`${at}: found ${counts[i]} choices, expected ${choices} as in the first example`);
    }
    const [first, ...otherChoices] = sequences.slice(start, start + choices) as [EncodedExample];
    return { ...first, otherChoices, label: label === undefined ? IGNORE_INDEX : labelIndex(label, names, at) };
  });
}

async function encodeText(
  tokenizer: TextTokenizer,
  text: string,
  pair: string | undefined,
  maxLength: number,
  target: Target,
): Promise<EncodedExample> {
  const { ids, typeIds } = await tokenizer.encode(text, pair, { maxLength });
  return {
    ids: Int32Array.from(ids),
    mask: new Int32Array(ids.length).fill(1),
    typeIds: Int32Array.from(typeIds),
    ...target,
  };
}

/** @throws UserError where tokens are too many or not of the vocabulary */
export function encodeTokens(
  row: Omit<TokenRow, 'label'>,
  { maxLength, vocabSize, typeVocabSize, keepPadding }: Omit<EncodeFileOptions, 'labels' | 'problem' | 'tokenizer'>,
  at: string,
): Sequence {
  const tokens = row.attentionMask.lastIndexOf(1) + 1;
  if (tokens > maxLength) {
    throw new UserError(
      `${at}: "input_ids" has ${tokens} tokens, expected at most ${maxLength}; cut them, or raise ${option('maxLength')} if the model has more`,
    );
  }
  const length = keepPadding ? Math.min(row.inputIds.length, maxLength) : tokens;
  const part = (values: readonly number[]): Int32Array => Int32Array.from(values.slice(0, length));
  const ids = part(row.inputIds);
  const outside = ids.find((id) => id >= vocabSize);
  if (outside !== undefined) {
    throw new UserError(
      `${at}: "input_ids" holds ${outside}, expected ids below the model's vocabulary size ${vocabSize}`,
    );
  }
  const typeIds = row.typeIds ? part(row.typeIds) : new Int32Array(length);
  const segment = typeVocabSize > 0 ? typeIds.find((id) => id >= typeVocabSize) : undefined;
  if (segment !== undefined) {
    throw new UserError(
      `${at}: "token_type_ids" holds ${segment}, expected segments below the model's type_vocab_size ${typeVocabSize}`,
    );
  }
  return { ids, mask: part(row.attentionMask), typeIds };
}
