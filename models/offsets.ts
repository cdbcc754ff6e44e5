/**
 * Room: models. Where in a text its tokens come from, told by their characters: those of the tokens, one after the other, are those of
 * the normalised text without its white space. Pure.
 */

/** What of a tokenizer tells how its tokens are written. */
export interface TokenStyle {
  /** The normalised form of a character with its combining marks. */
  readonly normalize: (character: string) => string;
  /** Whether a character of a token stands for a byte (GPT-2's alphabet). */
  readonly byteLevel: boolean;
  /** Begins tokens that go on with a word (WordPiece). */
  readonly continuing: string;
  readonly unknown: string | undefined;
}

/** How far a token may be from where the one before it ends, in characters: what lies between was dropped or is unknown. */
const REACH = 256;

/**
 * Begin and end of every token in the text, UTF-16 units, white space left out. A token that is not found (an unknown one) takes what lies
 * between its neighbours.
 * @returns [2·tokens]
 */
export function tokenOffsets(text: string, tokens: readonly string[], style: TokenStyle): Int32Array {
  const stream = streamOf(text, style);
  const found: ([number, number] | undefined)[] = [];
  let cursor = 0;
  for (const token of tokens) {
    const surface = surfaceOf(token, style);
    const within = stream.units.slice(cursor, cursor + REACH + surface.length);
    const distance = token === style.unknown ? -1 : within.indexOf(surface);
    if (distance < 0) {
      found.push(undefined);
      continue;
    }
    const first = cursor + distance;
    const last = first + surface.length - 1;
    const begin = stream.starts[first] ?? text.length;
    found.push([begin, surface === '' ? begin : stream.ends[last]!]);
    cursor = last + 1;
  }
  return Int32Array.from(found.flatMap((place, i) => place ?? between(text, found, i)));
}

/** What lies between the neighbours of token i that were found. */
function between(text: string, found: readonly (readonly [number, number] | undefined)[], i: number): [number, number] {
  const before = found.slice(0, i).findLast((place) => place !== undefined)?.[1] ?? 0;
  const after = found.slice(i + 1).find((place) => place !== undefined)?.[0] ?? text.length;
  // Tokens of one character's bytes have the same place.
  if (after < before) return [after, before];
  const gap = text.slice(before, after);
  const begin = before + gap.length - gap.trimStart().length;
  return [begin, Math.max(begin, before + gap.trimEnd().length)];
}

interface Stream {
  /** Normalised characters, or bytes, without white space. */
  readonly units: string;
  /** Of each unit: the character of the text that it is of. */
  readonly starts: readonly number[];
  readonly ends: readonly number[];
}

function streamOf(text: string, { normalize, byteLevel }: TokenStyle): Stream {
  const [starts, ends]: [number[], number[]] = [[], []];
  const known = new Map<string, string>();
  let units = '';
  let at = 0;
  for (const [character] of text.matchAll(/\P{M}\p{M}*|\p{M}+/gsu)) {
    const plain = known.get(character) ?? withoutSpace(normalize(character));
    known.set(character, plain);
    const written = byteLevel ? bytesOf(plain) : plain;
    units += written;
    for (let i = 0; i < written.length; i++) {
      starts.push(at);
      ends.push(at + character.length);
    }
    at += character.length;
  }
  return { units, starts, ends };
}

function surfaceOf(token: string, { byteLevel, continuing }: TokenStyle): string {
  if (byteLevel) return withoutSpace(Array.from(token, (c) => BYTE_OF.get(c) ?? bytesOf(c)).join(''));
  const goesOn = continuing !== '' && token.startsWith(continuing) && token.length > continuing.length;
  return withoutSpace(goesOn ? token.slice(continuing.length) : token);
}

/** Sentencepiece's sign for a space is one; the bytes of other spaces than ASCII's are left as they are. */
function withoutSpace(text: string): string {
  return text.replace(/[\t-\r \u2581]/g, '');
}

/** UTF-8, a character for each byte. */
function bytesOf(text: string): string {
  return String.fromCharCode(...new TextEncoder().encode(text));
}

/** GPT-2's alphabet: printable bytes are themselves, the others follow from U+0100 on in their order. */
const BYTE_OF: ReadonlyMap<string, string> = byteAlphabet();

function byteAlphabet(): Map<string, string> {
  const isPrintable = (byte: number): boolean =>
    (byte > 0x20 && byte < 0x7f) || (byte > 0xa0 && byte < 0x100 && byte !== 0xad);
  const alphabet = new Map<string, string>();
  let next = 0x100;
  for (let byte = 0; byte < 256; byte++) {
    alphabet.set(String.fromCharCode(isPrintable(byte) ? byte : next++), String.fromCharCode(byte));
  }
  return alphabet;
}
