/** Room: data/formats. A JSON file token by token, with lines. Reads the file it is given. */
import { Tokenizer, TokenType } from '@streamparser/json';
import { UserError } from '../../engine/errors.ts';
import { preview } from '../../engine/io/files.ts';
import { streamedNumber } from '../../engine/io/json-floats.ts';
import type { OnBytes } from '../../engine/io/load.ts';
import { LONGEST_LINE, readPieces, tooLong } from '../../engine/io/text.ts';

/** A token, as the parser of tokens takes it. */
export type JsonToken = Parameters<Tokenizer['onToken']>[0];

const { LEFT_BRACE, RIGHT_BRACE, LEFT_BRACKET, RIGHT_BRACKET, COLON, COMMA } = TokenType;

/** Whether a token begins a value, or is a key. */
export function begins({ token }: JsonToken): boolean {
  return token !== COLON && token !== COMMA && token !== RIGHT_BRACE && token !== RIGHT_BRACKET;
}

const LINE_FEED = 10;

class FloatTokenizer extends Tokenizer {
  protected override parseNumber(text: string): number {
    return streamedNumber(text);
  }
}

/** @param depth lists and objects around the token @param line asks for the line that it is on, from 1 */
type OnToken = (token: JsonToken, depth: number, line: () => number) => void;

/**
 * Gives `onToken` the tokens of a JSON file, and yields what `take` makes of them after each piece. Numbers are those of `streamedNumber`.
 * @param recordDepth lists and objects around a record, whose length is bounded
 * @throws UserError with file and line, where the file is no JSON or not whole; what `onToken` throws
 */
export async function* scanJson<T>(
  path: string,
  recordDepth: number,
  onToken: OnToken,
  take: () => T,
  onBytes?: OnBytes,
): AsyncGenerator<T> {
  const scanner = new JsonScanner(path, recordDepth, onToken);
  for await (const piece of readPieces(path, onBytes)) {
    scanner.write(piece);
    yield take();
  }
  scanner.end();
  yield take();
}

class JsonScanner {
  readonly #path: string;
  readonly #tokenizer = new FloatTokenizer();
  readonly #encoder = new TextEncoder();
  /** The piece at hand, where it begins, and up to where its lines are counted. */
  #bytes = new Uint8Array();
  #start = 0;
  #counted = 0;
  #line = 1;
  /** Where the token at hand begins, and where the record. */
  #offset = 0;
  #record = 0;
  #depth = 0;

  constructor(path: string, recordDepth: number, onToken: OnToken) {
    this.#path = path;
    const line = (): number => this.#lineAt(this.#offset);
    this.#tokenizer.onToken = (token) => {
      this.#offset = token.offset;
      if (token.token === RIGHT_BRACE || token.token === RIGHT_BRACKET) this.#depth--;
      if (this.#depth <= recordDepth) this.#record = token.offset;
      onToken(token, this.#depth, line);
      if (token.token === LEFT_BRACE || token.token === LEFT_BRACKET) this.#depth++;
    };
  }

  /** @throws UserError in place of the library's error */
  write(piece: string): void {
    this.#start += this.#bytes.length;
    this.#counted = 0;
    this.#bytes = this.#encoder.encode(piece);
    const end = this.#start + this.#bytes.length;
    try {
      this.#tokenizer.write(this.#bytes);
    } catch (error) {
      throw error instanceof UserError ? error : this.#faultOf((error as Error).message);
    }
    if (end - this.#record > LONGEST_LINE) throw tooLong(`${this.#path}:${this.#lineAt(this.#record)}`, 'record');
    this.#lineAt(end);
  }

  /** @throws UserError where a value is not ended */
  end(): void {
    try {
      this.#tokenizer.end();
      if (this.#depth === 0) return;
    } catch (error) {
      if (error instanceof UserError) throw error;
    }
    throw new UserError(
      `${this.#path}:${this.#line}: the file ends amid its JSON, expected all of it; is it cut short?`,
    );
  }

  #lineAt(offset: number): number {
    const end = offset - this.#start;
    for (; this.#counted < end; this.#counted++) if (this.#bytes[this.#counted] === LINE_FEED) this.#line++;
    return this.#line;
  }

  #faultOf(message: string): UserError {
    const place = /absolute position "(\d+)"/.exec(message)?.[1];
    const [, quoted, kind, value] = /^Unexpected (?:"([^]*?)"|(\w+)(?: \(([^]*)\))?)/.exec(message) ?? [];
    const at = `${this.#path}:${this.#lineAt(place === undefined ? this.#offset : Number(place))}`;
    return new UserError(`${at}: not JSON: unexpected ${preview(quoted ?? unquoted(value) ?? kind)}`);
  }
}

function unquoted(text: string | undefined): string | undefined {
  return text?.replace(/^"([^]*)"$/, '$1');
}
