/** Room: engine/io. Text files piece by piece: as UTF-8, compressed by gzip or not, and line by line. */
import { isUtf8 } from 'node:buffer';
import { createReadStream } from 'node:fs';
import { stat } from 'node:fs/promises';
import { pipeline } from 'node:stream';
import { createGunzip } from 'node:zlib';
import { UserError } from '../errors.ts';
import { fileError } from './files.ts';
import type { OnBytes } from './load.ts';

/** Characters of the longest line, field of a table, or record: longer ones are mistakes, such as a quotation mark that is never closed. */
export const LONGEST_LINE = 2 ** 24;

/** Characters of the longest text: about what a string can hold. */
const LONGEST_TEXT = 2 ** 28;

const CHUNK_BYTES = 2 ** 17;

const LINE_FEED = 10;

/** How a file of gzip begins; no text does. */
const GZIP = [0x1f, 0x8b];

/**
 * The text of a file in pieces, without a byte-order mark. What gzip compressed is told by its first bytes.
 * @param onBytes is told how much of the file, as it lies on the disk, has been read
 * @throws UserError where the file is missing, damaged or not UTF-8
 */
export async function* readPieces(path: string, onBytes?: OnBytes): AsyncGenerator<string> {
  const decoder = new TextDecoder('utf-8', { fatal: true });
  try {
    const read = (await isGzip(path)) ? unzipped : readBytes;
    for await (const bytes of read(path, onBytes)) yield decoder.decode(bytes, { stream: true });
    yield decoder.decode();
  } catch (error) {
    throw (error as NodeJS.ErrnoException).code === 'ERR_ENCODING_INVALID_ENCODED_DATA'
      ? await encodingError(path)
      : fileError(path, error);
  }
}

/** Of a file that is not UTF-8: with the line, or the encoding that its first bytes tell. */
async function encodingError(path: string): Promise<UserError> {
  const advice = 'expected UTF-8; save the file as UTF-8';
  let line = 1;
  let rest: Buffer = Buffer.alloc(0);
  for await (const bytes of (await isGzip(path)) ? unzipped(path) : readBytes(path)) {
    const whole = Buffer.concat([rest, bytes]);
    if (line === 1 && /^(?:fffe|feff)/.test(whole.toString('hex', 0, 2)))
      return new UserError(`${path}: found UTF-16, ${advice}`);
    let from = 0;
    for (let end = whole.indexOf(LINE_FEED); end >= 0; end = whole.indexOf(LINE_FEED, from)) {
      if (!isUtf8(whole.subarray(from, end))) return new UserError(`${path}:${line}: not UTF-8, ${advice}`);
      from = end + 1;
      line++;
    }
    rest = whole.subarray(from);
  }
  return new UserError(`${path}:${line}: not UTF-8, ${advice}`);
}

async function* readBytes(path: string, onBytes?: OnBytes): AsyncGenerator<Buffer> {
  const { size } = await stat(path);
  let done = 0;
  for await (const bytes of createReadStream(path, { highWaterMark: CHUNK_BYTES }) as AsyncIterable<Buffer>) {
    yield bytes;
    done += bytes.length;
    onBytes?.(done, Math.max(size, done));
  }
}

async function isGzip(path: string): Promise<boolean> {
  for await (const first of createReadStream(path, { end: GZIP.length - 1 }) as AsyncIterable<Buffer>)
    return GZIP.every((byte, i) => first[i] === byte);
  return false;
}

async function* unzipped(path: string, onBytes?: OnBytes): AsyncGenerator<Buffer> {
  const gunzip = createGunzip({ chunkSize: CHUNK_BYTES });
  // An error of either is the stream's.
  pipeline(readBytes(path, onBytes), gunzip, () => undefined);
  try {
    yield* gunzip as AsyncIterable<Buffer>;
  } catch (error) {
    const { code = '', message } = error as NodeJS.ErrnoException;
    if (!code.startsWith('Z_')) throw error;
    throw new UserError(`${path}: cannot be unzipped (${message}); is the file whole?`);
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

/** Lines without their breaks. */
export interface Lines {
  /** Of the first, from 1. */
  readonly line: number;
  readonly texts: readonly string[];
}

/**
 * The lines of a file, some at a time. They end in LF or CRLF; or in CR, where the file's first line does.
 * @throws UserError as `readPieces`, or where one is too long
 */
export async function* readLines(path: string, onBytes?: OnBytes): AsyncGenerator<Lines> {
  let line = 1;
  let rest = '';
  let lineBreak: LineBreak | undefined;
  for await (const piece of readPieces(path, onBytes)) {
    lineBreak ??= firstBreak(piece);
    const texts = (rest + piece).split(lineBreak ?? '\n');
    rest = texts.pop()!;
    for (const [i, text] of texts.entries()) {
      if (text.length > LONGEST_LINE) throw tooLong(`${path}:${line + i}`, 'line');
      if (text.endsWith('\r')) texts[i] = text.slice(0, -1);
    }
    if (rest.length > LONGEST_LINE) throw tooLong(`${path}:${line + texts.length}`, 'line');
    yield { line, texts };
    line += texts.length;
  }
  yield { line, texts: [rest.endsWith('\r') ? rest.slice(0, -1) : rest] };
}

export type LineBreak = '\n' | '\r';

/** What ends the first line of a text, if one is ended: LF, after CR or not, or CR alone. */
export function firstBreak(text: string): LineBreak | undefined {
  const found = /\r?\n|\r(?=[^\n])/.exec(text)?.[0];
  return found === undefined ? undefined : found === '\r' ? '\r' : '\n';
}

/** What is said of a line, field or record over the bound. */
export function tooLong(at: string, what: 'line' | 'field' | 'record'): UserError {
  const hint = what === 'field' ? '; is a quotation mark not closed?' : '; cut it up, or make it a .txt file';
  return new UserError(`${at}: a ${what} of more than ${LONGEST_LINE} characters, expected fewer${hint}`);
}
