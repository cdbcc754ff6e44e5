/** Room: models. A tokenizer that is loaded when the first text comes: data that is tokenised already needs none. Reads the model folder. */
import {
  loadTokenizer,
  type Encoded,
  type EncodedQuestion,
  type EncodeOptions,
  type PlacedTokens,
  type TextTokenizer,
} from './tokenizer.ts';

/** What makes tokens of texts: a tokenizer, or one that is not loaded yet. */
export interface TextEncoder extends Pick<TextTokenizer, 'encode' | 'encodePlaced' | 'encodeQuestion'> {
  /** Id of the end token; undefined where there is none. */
  readonly eosId: number | undefined | Promise<number | undefined>;
}

/** `loadTokenizer`, once, at the first use. Its errors come then. */
export class LazyTokenizer implements TextEncoder {
  readonly #folder: string;
  #loaded: Promise<TextTokenizer> | undefined;

  /** @param folder the model's */
  constructor(folder: string) {
    this.#folder = folder;
  }

  get eosId(): Promise<number | undefined> {
    return this.#load().then(({ eosId }) => eosId);
  }

  async encode(text: string, pair?: string, options?: EncodeOptions): Promise<Encoded> {
    return (await this.#load()).encode(text, pair, options);
  }

  async encodePlaced(text: string): Promise<PlacedTokens> {
    return (await this.#load()).encodePlaced(text);
  }

  async encodeQuestion(
    question: string,
    context: string,
    maxLength: number,
    stride: number,
  ): Promise<EncodedQuestion[]> {
    return (await this.#load()).encodeQuestion(question, context, maxLength, stride);
  }

  #load(): Promise<TextTokenizer> {
    return (this.#loaded ??= loadTokenizer(this.#folder));
  }
}
