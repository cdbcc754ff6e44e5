/** Room: models. Texts that are tokenised at the same time, in one call of the library: a call for each takes longer than its tokens. */
import type { Encoding, Tokenizer } from 'tokenizers';

/** Texts of one call: enough for all threads, few enough that several calls overlap with what is made of their tokens. */
const BATCH = 128;

interface Waiting {
  readonly text: string;
  readonly resolve: (encoding: Encoding) => void;
  readonly reject: (error: unknown) => void;
}

export class TokenBatches {
  readonly #tokenizer: Tokenizer;
  #waiting: Waiting[] = [];

  constructor(tokenizer: Tokenizer) {
    this.#tokenizer = tokenizer;
  }

  /** Waits for other texts until there is nothing else to do. */
  encode(text: string): Promise<Encoding> {
    return new Promise((resolve, reject) => {
      const count = this.#waiting.push({ text, resolve, reject });
      if (count === 1) setImmediate(() => void this.#flush());
      if (count === BATCH) void this.#flush();
    });
  }

  async #flush(): Promise<void> {
    const batch = this.#waiting;
    this.#waiting = [];
    if (batch.length === 0) return;
    try {
      const encodings = await this.#tokenizer.encodeBatch(batch.map(({ text }) => text));
      for (const [i, { resolve }] of batch.entries()) resolve(encodings[i]!);
    } catch {
      // One text fails the call: which one shows when each is tokenised alone.
      for (const { text, resolve, reject } of batch) this.#tokenizer.encode(text).then(resolve, reject);
    }
  }
}
