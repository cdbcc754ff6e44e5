/** Room: generate. Text from tokens as they come: no character is shown before all its bytes are there. Pure. */

const INCOMPLETE = '�';

/** Tokens before a new one that can bear on how it reads, e.g. whether a word begins with a space. */
const CONTEXT = 8;

export class TextStream {
  readonly #decode: (ids: readonly number[]) => string;
  #ids: number[];
  /** How many of `#ids` were given out as text, or belong to the prompt. */
  #shown: number;

  /** @param prompt tokens that the new ones go on from */
  constructor(decode: (ids: readonly number[]) => string, prompt: readonly number[]) {
    this.#decode = decode;
    this.#ids = prompt.slice(-CONTEXT);
    this.#shown = this.#ids.length;
  }

  /** Adds a token. @returns the text that is certain now: nothing while a character's bytes are incomplete */
  push(id: number): string {
    this.#ids.push(id);
    const text = this.#pending();
    if (text === '' || text.endsWith(INCOMPLETE)) return '';
    this.#advance();
    return text;
  }

  /** What is left at the end: the bytes of an incomplete character, as the replacement character. */
  flush(): string {
    const text = this.#pending();
    this.#advance();
    return text;
  }

  #pending(): string {
    return this.#decode(this.#ids).slice(this.#decode(this.#ids.slice(0, this.#shown)).length);
  }

  #advance(): void {
    this.#ids = this.#ids.slice(-CONTEXT);
    this.#shown = this.#ids.length;
  }
}
