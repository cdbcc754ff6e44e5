/**
 * Room: train. From examples to what batches are made of: token ids, mask, segments and class index. Pure functions.
 */
import { UserError } from '../../engine/errors.ts';
import type { TextTokenizer } from '../../models/tokenizer.ts';
import type { ExampleFile, TokenRow } from './examples.ts';
import { labelIndex } from './labels.ts';
import type { Example } from './tasks.ts';

/** Label of an example without one; the loss ignores it. */
export const NO_LABEL = -100;

/** One example, unpadded. The three arrays are equally long. */
export interface EncodedExample {
  readonly ids: Int32Array;
  /** 1 for tokens, 0 for padding inside the sequence (already tokenised data only). */
  readonly mask: Int32Array;
  /** Segment: 1 for the second text of a BERT pair. */
  readonly typeIds: Int32Array;
  /** Class index, or `NO_LABEL`. */
  readonly label: number;
  /** For language models: every token's own id where it is to be predicted from those before it, else `NO_LABEL`. */
  readonly tokenLabels?: Int32Array;
}

/** Texts cut to `maxLength` tokens, special tokens kept. */
export function encodeTexts(
  examples: readonly Example[],
  tokenizer: TextTokenizer,
  maxLength: number,
): EncodedExample[] {
  return examples.map(({ text, textPair, label }) => encodeText(tokenizer, text, textPair, maxLength, label));
}

export interface EncodeFileOptions {
  /** Class names by index; labels of the file are looked up in it. Undefined: they are not read. */
  readonly labels: readonly string[] | undefined;
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
export function encodeFile({ path, rows }: ExampleFile, options: EncodeFileOptions): EncodedExample[] {
  const { tokenizer, labels, maxLength } = options;
  return rows.map((row) => {
    const at = `${path}:${row.line}`;
    const label = row.label === undefined || !labels ? NO_LABEL : labelIndex(row.label, labels, at);
    if ('inputIds' in row) return encodeTokens(row, label, options, at);
    if (!tokenizer) {
      throw new UserError(`${at}: found text, but the model folder has no tokenizer.json; expected "input_ids"`);
    }
    const example = encodeText(tokenizer, row.text, row.textPair, maxLength, label);
    if (example.ids.length > 0) return example;
    throw new UserError(`${at}: the text gives no tokens, expected at least one; leave the row out`);
  });
}

function encodeText(
  tokenizer: TextTokenizer,
  text: string,
  pair: string | undefined,
  maxLength: number,
  label: number,
): EncodedExample {
  const { ids, typeIds } = tokenizer.encode(text, pair, { maxLength });
  return {
    ids: Int32Array.from(ids),
    mask: new Int32Array(ids.length).fill(1),
    typeIds: Int32Array.from(typeIds),
    label,
  };
}

function encodeTokens(
  row: TokenRow,
  label: number,
  { maxLength, vocabSize, typeVocabSize, keepPadding }: EncodeFileOptions,
  at: string,
): EncodedExample {
  const tokens = row.attentionMask.lastIndexOf(1) + 1;
  if (tokens > maxLength) {
    throw new UserError(
      `${at}: "input_ids" has ${tokens} tokens, expected at most ${maxLength}; cut them, or raise --max-length if the model has more`,
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
  return { ids, mask: part(row.attentionMask), typeIds, label };
}
