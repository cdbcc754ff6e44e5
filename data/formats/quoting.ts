/**
 * Room: data/formats. Whether the quotation marks of tab-separated values quote fields or are text, as in GLUE's files. Until a field begins
 * with a mark both readings are the same; a part of the file from there on decides. Reads the file it is given.
 */
import { LONGEST_LINE, readPieces } from '../../engine/io/text.ts';
import type { Dialect } from './record.ts';

/** Characters that decide, where the file has as many. */
const PART = LONGEST_LINE;

/** The first field that begins with a mark. */
const OPENING = /(?:^|[\t\r\n])"/;

/** A field, quoted or not, and what ends it. Marks within a quoted field are doubled. */
const CELL = /(?:"[^"]*"(?:"[^"]*")*|(?!")[^\t\r\n]*)(\t|\r?\n|\r|$)/y;

/** A quoted field that goes on after the text. */
const OPEN = /"[^"]*(?:""[^"]*)*$/y;

/**
 * `csv` where every field that begins with a mark ends with one, marks inside are doubled, and no fewer records have the header's number of
 * columns than where marks are text; else `none`.
 * @param header column names, if the file has no line of them
 */
export async function quotingOf(path: string, header?: readonly string[]): Promise<NonNullable<Dialect['quote']>> {
  const part = await decisivePart(path);
  if (!part) return 'none';
  const { text, isWhole, columns = header?.length } = part;
  const wrong = (lengths: readonly number[]): number => {
    const whole = isWhole ? lengths : lengths.slice(0, -1);
    return whole.filter((length) => length !== (columns ?? lengths[0])).length;
  };
  const quoted = quotedLengths(text, isWhole);
  return quoted && wrong(quoted) <= wrong(plainLengths(text)) ? 'csv' : 'none';
}

interface Part {
  /** From the first line on that has a field beginning with a mark. */
  readonly text: string;
  /** Whether it reaches to the end of the file. */
  readonly isWhole: boolean;
  /** Fields of the file's first line; undefined where that is in the part. */
  readonly columns?: number | undefined;
}

/** @returns undefined where no field begins with a mark */
async function decisivePart(path: string): Promise<Part | undefined> {
  let text = '';
  let columns: number | undefined;
  let isFound = false;
  for await (const piece of readPieces(path)) {
    text += piece;
    if (!isFound) {
      // Looking for the mark alone is far faster.
      const opening = text.includes('"') ? OPENING.exec(text) : null;
      isFound = opening !== null;
      const end = opening ? opening.index + opening[0].length - 1 : text.length;
      const start = Math.max(text.lastIndexOf('\n', end - 1), text.lastIndexOf('\r', end - 1)) + 1;
      if (start > 0) columns ??= plainLengths(text.slice(0, start))[0];
      text = text.slice(start);
    }
    if (text.length >= PART) return { text, isWhole: false, columns };
  }
  return isFound ? { text, isWhole: true, columns } : undefined;
}

/** Fields of every line, blank ones left out. */
function plainLengths(text: string): number[] {
  return text.split(/\r?\n|\r/).flatMap((line) => (line === '' ? [] : [line.split('\t').length]));
}

/** Fields of every record; undefined where marks do not quote. */
function quotedLengths(text: string, isWhole: boolean): number[] | undefined {
  const lengths: number[] = [];
  let length = 0;
  for (let at = 0; at < text.length;) {
    CELL.lastIndex = at;
    const cell = CELL.exec(text);
    if (!cell) {
      OPEN.lastIndex = at;
      if (isWhole || !OPEN.test(text)) return undefined;
      return [...lengths, length + 1];
    }
    length++;
    at += cell[0].length;
    if (cell[1] === '\t') continue;
    // A blank line is no record.
    if (length > 1 || cell[0].trim() !== '') lengths.push(length);
    length = 0;
  }
  return lengths;
}
