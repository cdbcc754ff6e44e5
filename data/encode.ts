/**
 * Room: data. From examples to what batches are made of: token ids, mask, segments and class index.
 */
import { option, UserError } from '../engine/errors.ts';
import type { TextEncoder } from '../models/lazy-tokenizer.ts';
import { IGNORE_INDEX, type EncodedExample, type Sequence } from './encoded-example.ts';
import { ExampleStore } from './example-store.ts';
import type { ExampleFile, RawExample, TextRow, TokenRow } from './examples.ts';
import { LabelColumn } from './label-column.ts';
import { labelIndex, labelSet, labelValue, type Label, type Problem } from './labels.ts';
import { inOrder, mapInOrder } from './map-in-order.ts';
import type { Example } from './tasks/built-in.ts';

/** What a model takes. */
interface Limits {
  /** Tokens of the longest example. */
  readonly maxLength: number;
  /** Token ids the model has embeddings for. */
  readonly vocabSize: number;
}

/**
 * Texts cut to `maxLength` tokens, special tokens kept.
 * @param name of the texts, for messages
 */
export function encodeTexts(
  examples: readonly Example[],
  tokenizer: TextEncoder,
  limits: Limits,
  name = 'text',
): Promise<EncodedExample[]> {
  const all = examples.map((example, i) => ({ ...example, at: `${name} ${i + 1}` }));
  return mapInOrder(all, async ({ label, at, ...texts }) => ({
    ...(await encodeText(texts, tokenizer, limits, at)),
    label,
  }));
}

/** A text or pair cut to `maxLength` tokens. @throws UserError where the tokenizer has more tokens than the model */
export async function encodeText(
  { text, textPair }: Pick<Example, 'text' | 'textPair'>,
  tokenizer: TextEncoder | undefined,
  { maxLength, vocabSize }: Limits,
  at: string,
): Promise<Sequence> {
  if (!tokenizer)
    throw new UserError(`${at}: found text, but the model folder has no tokenizer.json; expected "input_ids"`);
  const { ids, typeIds } = await tokenizer.encode(text, textPair, { maxLength });
  return {
    ids: checkedIds(ids, vocabSize, at),
    mask: new Int32Array(ids.length).fill(1),
    typeIds: new Int32Array(typeIds),
  };
}

/** Ids of a tokenizer. @throws UserError where the model has no embedding for one, as for added tokens */
export function checkedIds(ids: readonly number[], vocabSize: number, at: string): Int32Array {
  const outside = ids.find((id) => id >= vocabSize);
  if (outside === undefined) return new Int32Array(ids);
  throw new UserError(
    `${at}: the tokenizer gives token ${outside}, but the model's vocabulary size is ${vocabSize}; set ${option('resizeEmbeddings')} to train it a larger one, or remove added tokens`,
  );
}

/** What the rows of a file are encoded for. */
export interface EncodeFileOptions extends Limits {
  /** Segments the model has embeddings for; 0 = it has none and reads none. */
  readonly typeVocabSize: number;
  /** Leaves padding at the end of tokenised rows, up to `maxLength`, for scores of every token given; else it is cut off. */
  readonly keepPadding?: boolean;
  /** Not needed for files that are tokenised already. */
  readonly tokenizer: TextEncoder | undefined;
}

/** The rows of a file as examples without targets, and their labels. */
export interface EncodedFile {
  readonly path: string;
  readonly examples: ExampleStore;
  readonly labels: LabelColumn;
  /** Place of the first example of each line: of its choices, where it has some. */
  readonly firsts: readonly number[];
  /** Whether there is a row that is text. */
  readonly hasText: boolean;
}

/**
 * The rows of a data file, while it is read. Texts are cut to `maxLength`; tokenised rows must fit, their trailing padding aside.
 * @throws UserError with file and line
 */
export async function encodeFile({ path, rows }: ExampleFile, options: EncodeFileOptions): Promise<EncodedFile> {
  const examples = new ExampleStore();
  const labels = new LabelColumn(path);
  const firsts: number[] = [];
  let hasText = false;
  for await (const { row, sequence } of inOrder(rows, (row) => encodeRow(path, row, options))) {
    if (!row.choice) firsts.push(examples.length);
    examples.push(sequence);
    labels.push(row.line, row.label);
    hasText ||= 'text' in row;
  }
  return { path, examples, labels, firsts, hasText };
}

interface EncodedRow {
  readonly row: RawExample;
  readonly sequence: Sequence;
}

function encodeRow(path: string, row: RawExample, options: EncodeFileOptions): EncodedRow | Promise<EncodedRow> {
  const at = `${path}:${row.line}`;
  return 'inputIds' in row ? { row, sequence: encodeTokens(row, options, at) } : encodeTextRow(row, options, at);
}

async function encodeTextRow(row: TextRow, options: EncodeFileOptions, at: string): Promise<EncodedRow> {
  const sequence = await encodeText(row, options.tokenizer, options, at);
  if (sequence.ids.length > 0) return { row, sequence };
  throw new UserError(`${at}: the text gives no tokens, expected at least one; leave the row out`);
}

/**
 * Gives examples their targets.
 * @param names of the classes by index; one for a number
 * @throws UserError with file and line
 */
export function setTargets({ examples, labels }: EncodedFile, names: readonly string[], problem: Problem): void {
  if (problem === 'single_label_classification') {
    const index = (label: Label | undefined, at: string): number =>
      label === undefined ? IGNORE_INDEX : labelIndex(label, names, at);
    examples.setLabels(Int32Array.from(labels.map(index)));
    return;
  }
  const isNumber = problem === 'regression';
  const values = labels.map((label, at) => {
    if (label === undefined) return undefined;
    return isNumber ? [labelValue(label, at)] : labelSet(label, names.length, at);
  });
  examples.setValues(values);
}

/**
 * Examples of several choices, each choice a row of the file; they may differ in their number.
 * @throws UserError with file and line, where there are fewer than two choices
 */
export async function encodeChoices({ path, rows }: ExampleFile, options: EncodeFileOptions): Promise<ExampleStore> {
  const examples = new ExampleStore();
  const labels: number[] = [];
  const add = (choices: readonly EncodedRow[]): void => {
    const { line, label } = choices[0]!.row;
    const at = `${path}:${line}`;
    const names = choices.map((_, i) => String(i));
    if (names.length < 2) throw new UserError(`${at}: found ${choices.length} choice, expected at least two`);
    const [first, ...otherChoices] = choices.map(({ sequence }) => sequence) as [Sequence, ...Sequence[]];
    examples.push({ ...first, otherChoices });
    labels.push(label === undefined ? IGNORE_INDEX : labelIndex(label, names, at));
  };
  const choices: EncodedRow[] = [];
  for await (const encoded of inOrder(rows, (row) => encodeRow(path, row, options))) {
    const { line, choice } = encoded.row;
    if (choices.length > 0 && (choice === 0 || choices[0]!.row.line !== line)) add(choices.splice(0));
    choices.push(encoded);
  }
  add(choices);
  examples.setLabels(Int32Array.from(labels));
  return examples;
}

/** @throws UserError where tokens are too many or not of the vocabulary */
export function encodeTokens(
  row: Omit<TokenRow, 'label'>,
  { maxLength, vocabSize, typeVocabSize, keepPadding }: Omit<EncodeFileOptions, 'tokenizer'>,
  at: string,
): Sequence {
  const tokens = row.attentionMask.lastIndexOf(1) + 1;
  if (tokens > maxLength) {
    throw new UserError(
      `${at}: "input_ids" has ${tokens} tokens, expected at most ${maxLength}; cut them, or raise ${option('maxLength')} if the model has more`,
    );
  }
  const length = keepPadding ? Math.min(row.inputIds.length, maxLength) : tokens;
  const part = (values: readonly number[]): Int32Array =>
    new Int32Array(length < values.length ? values.slice(0, length) : values);
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
