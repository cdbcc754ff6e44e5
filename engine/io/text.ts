/** Room: engine/io. Text files piece by piece: as UTF-8, and line by line. */
import { createReadStream } from 'node:fs';
import { stat } from 'node:fs/promises';
import { UserError } from '../errors.ts';
import { fileError } from './files.ts';
import type { OnBytes } from './load.ts';

/** Characters of the longest line, or field of a table: longer ones are mistakes, such as a quotation mark that is never closed. */
export const LONGEST_LINE = 2 ** 24;

/** Characters of the longest text: about what a string can hold. */
const LONGEST_TEXT = 2 ** 28;

const CHUNK_BYTES = 2 ** 20;

/**
 * The text of a file in pieces, without a byte-order mark.
 * @throws UserError where the file is missing or not UTF-8
 */
export async function* readPieces(path: string, onBytes?: OnBytes): AsyncGenerator<string> {
  const decoder = new TextDecoder('utf-8', { fatal: true });
  const decode = (bytes?: Uint8Array): string => {
    try {
      return decoder.decode(bytes, { stream: bytes !== undefined });
    } catch {
      throw new UserError(`${path}: not UTF-8; save the file as UTF-8`);
    }
  };
  try {
    const { size } = await stat(path);
    let done = 0;
    for await (const bytes of createReadStream(path, { highWaterMark: CHUNK_BYTES }) as AsyncIterable<Buffer>) {
      yield decode(bytes);
      done += bytes.length;
      onBytes?.(done, Math.max(size, done));
    }
    yield decode();
  } catch (error) {
    throw fileError(path, error);
  }
}

/** A whole file. @throws UserError as `readPieces`, or where it is too long for one text */
export async function readText(path: string, onBytes?: OnBytes): Promise<string> {
  const pieces: string[] = [];
  let length = 0;
  for await (const piece of readPieces(path, onBytes)) {
    pieces.push(piece);
    length += piece.length;
    if (length > LONGEST_TEXT)
      throw new UserError(`${path}: more than ${LONGEST_TEXT} characters, expected fewer in one text; cut it up`);
  }
  return pieces.join('');
}

/** A line without its break. */
export interface TextLine {
  /** From 1. */
  readonly line: number;
  readonly text: string;
}

/** The lines of a file. @throws UserError as `readPieces`, or where one is too long */
export async function* readLines(path: string, onBytes?: OnBytes): AsyncGenerator<TextLine> {
  let line = 1;
  let rest: string[] = [];
  let length = 0;
  for await (const piece of readPieces(path, onBytes)) {
    const parts = piece.split('\n');
    for (const [i, part] of parts.entries()) {
      rest.push(part);
      length += part.length;
      if (length > LONGEST_LINE) throw tooLong(`${path}:${line}`, 'line');
      if (i === parts.length - 1) break;
      yield { line, text: rest.length === 1 ? part : rest.join('') };
      line++;
      rest = [];
      length = 0;
    }
  }
  yield { line, text: rest.join('') };
}

/** What is said of a line or field over the bound. */
export function tooLong(at: string, what: 'line' | 'field'): UserError {
  const hint = what === 'field' ? '; is a quotation mark not closed?' : '; cut it up, or make it a .txt file';
  return new UserError(`${at}: a ${what} of more than ${LONGEST_LINE} characters, expected fewer${hint}`);
}
