/**
 * Room: engine/io. JSON in which `1.0` is not `1`: JavaScript's numbers do not tell them apart, Python's do, and what is written again for
 * Python must. Pure.
 */

/** Of lists and objects: the keys whose numbers are whole and were written as floats. */
const FLOATS = new WeakMap<object, Set<string>>();

/** Whether a text may have such numbers; most have none. */
const MAY_HAVE = /\d(?:\.0*(?!\d)|[eE])/;

/** Texts, and numbers. */
const TOKENS = /"(?:[^"\\]|\\[^])*"|-?\d+(?:\.\d+)?(?:[eE][-+]?\d+)?/g;

/** Stands around a number until its place is known. */
const MARK = '\0float';

/** `JSON.parse`; `isWrittenFloat` then tells which whole numbers were written as floats. @throws SyntaxError */
export function parseJsonWithFloats(text: string): unknown {
  if (!MAY_HAVE.test(text)) return JSON.parse(text);
  const marked = text.replace(TOKENS, (token) => (isWholeFloat(token) ? `{"\\u0000float":${token}}` : token));
  return JSON.parse(marked, function (this: object, key, value: unknown) {
    if (typeof value !== 'object' || value === null || !(MARK in value)) return value;
    markFloat(this, key);
    return value[MARK];
  });
}

/** Says of a whole number under a key that it is a float. */
export function markFloat(holder: object, key: string | number): void {
  FLOATS.set(holder, (FLOATS.get(holder) ?? new Set()).add(String(key)));
}

/** A number for a parser that does not know yet where it will lie: `settleFloats` is told what was made of it. */
export function streamedNumber(text: string): number {
  const number = Number(text);
  return isWholeFloat(text) ? (Object(number) as number) : number;
}

/** Puts plain numbers where `streamedNumber` gave its own, and marks them; within the value itself. */
export function settleFloats<T extends object>(value: T): T {
  const holders: object[] = [value];
  for (const holder of holders) {
    const entries: Iterable<[string | number, unknown]> = Array.isArray(holder)
      ? holder.entries()
      : Object.entries(holder);
    for (const [key, item] of entries) {
      if (item instanceof Number) {
        Reflect.set(holder, key, item.valueOf());
        markFloat(holder, key);
      } else if (typeof item === 'object' && item !== null) holders.push(item);
    }
  }
  return value;
}

function isWholeFloat(token: string): boolean {
  return !token.startsWith('"') && /[.eE]/.test(token) && Number.isInteger(Number(token));
}

/** Whether the number under a key of parsed JSON is whole and was written as a float. */
export function isWrittenFloat(holder: object, key: string | number): boolean {
  return FLOATS.get(holder)?.has(String(key)) ?? false;
}
