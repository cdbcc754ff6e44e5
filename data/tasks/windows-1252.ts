/**
 * Room: data/tasks. The part of windows-1252 that differs from Latin-1. A table of our own, because Node's `TextDecoder` gives
 * control characters for it in some versions and the right ones in others, and texts must not depend on that.
 */

/** What windows-1252 has at 0x80 … 0x9f; its five unassigned bytes are spaces here. */
const MARKS = '€ ‚ƒ„…†‡ˆ‰Š‹Œ Ž  ‘’“”•–—˜™š›œ žŸ';

/** Latin-1 text with the C1 control characters, which no text means, read as windows-1252 (as HTML prescribes). */
export function fromWindows1252(latin1: string): string {
  return latin1.replace(/[\x80-\x9f]/g, (control) => MARKS[control.charCodeAt(0) - 0x80]!);
}

/** The text with a space for each such character, however it was decoded. */
export function withoutMarks(text: string): string {
  return text.replace(/[^\x00-\x7f]/g, (character) => (MARKS.includes(character) ? ' ' : character));
}
