/** Room: data/text. Texts as Python's `str` treats them, where JavaScript differs: white space, and characters that are code points. Pure. */

/** What Python counts as white space. */
const SPACE = '\\t-\\r\\x1c-\\x20\\x85\\xa0\\u1680\\u2000-\\u200a\\u2028\\u2029\\u202f\\u205f\\u3000';
const AT_START = new RegExp(`^[${SPACE}]+`);
const AT_END = new RegExp(`[${SPACE}]+$`);
const BETWEEN = new RegExp(`[${SPACE}]+`);

/** Without white space at the end. */
export function withoutEndSpace(text: string): string {
  return text.replace(AT_END, '');
}

/** Without white space around it. */
export function stripped(text: string): string {
  return withoutEndSpace(text.replace(AT_START, ''));
}

/** The words between white space. */
export function wordsOf(text: string): string[] {
  return stripped(text)
    .split(BETWEEN)
    .filter((word) => word !== '');
}

/** The first character in upper case, the others in lower case. */
export function capitalized(text: string): string {
  const [first = '', ...rest] = text;
  return first.toUpperCase() + rest.join('').toLowerCase();
}

/** Characters: code points. */
export function lengthOf(text: string): number {
  return Array.from(text).length;
}

/** From one code point up to another. */
export function part(text: string, start: number, end?: number): string {
  return Array.from(text).slice(start, end).join('');
}

/** Different texts in the order of their code points. */
export function sortedTexts(texts: Iterable<string>): string[] {
  return [...new Set(texts)].sort(byCodePoints);
}

function byCodePoints(a: string, b: string): number {
  const [left, right] = [Array.from(a), Array.from(b)];
  for (let i = 0; i < left.length && i < right.length; i++) {
    const difference = left[i]!.codePointAt(0)! - right[i]!.codePointAt(0)!;
    if (difference !== 0) return difference;
  }
  return left.length - right.length;
}
