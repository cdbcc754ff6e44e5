/** Room: data/qa. The answers that data gives to a question: texts, and where the context has them. Pure functions. */
import { UserError } from '../../engine/errors.ts';
import { preview } from '../../engine/io/files.ts';

export interface Answer {
  readonly text: string;
  /** Where it begins in the context, in UTF-16 units. */
  readonly start: number;
}

/**
 * @param value lists of both, `{"text": […], "answer_start": […]}`, or a list of objects of both
 * @param at for messages
 * @throws UserError where it is neither, or an answer is not where it is said to be
 */
export function answersOf(value: unknown, context: string, at: string): Answer[] {
  const { texts, starts } = columnsOf(value, at);
  const unitOf = unitsOf(context);
  return texts.map((text, i) => {
    const start = unitOf(starts[i]);
    if (typeof text === 'string' && text !== '' && start !== undefined && context.startsWith(text, start))
      return { text, start };
    throw new UserError(
      `${at}: "answers" has ${preview(text)} at ${preview(starts[i])}, ${faultOf(text, start, context)}`,
    );
  });
}

interface Columns {
  readonly texts: readonly unknown[];
  readonly starts: readonly unknown[];
}

function columnsOf(value: unknown, at: string): Columns {
  if (Array.isArray(value) && value.every(isObject))
    return { texts: value.map(({ text }) => text), starts: value.map(({ answer_start: start }) => start) };
  const { text: texts, answer_start: starts } = isObject(value) ? value : {};
  if (Array.isArray(texts) && Array.isArray(starts) && texts.length === starts.length) return { texts, starts };
  const expected =
    '{"text": […], "answer_start": […]} with equally many of both, or a list of {"text", "answer_start"}';
  throw new UserError(`${at}: "answers" is ${preview(value)}, expected ${expected}`);
}

function isObject(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

/** From places counted in characters, as Python counts them, to UTF-16 units. */
function unitsOf(text: string): (place: unknown) => number | undefined {
  if (!/[\ud800-\udfff]/.test(text))
    return (place) => (Number.isInteger(place) && text.length > (place as number) ? (place as number) : undefined);
  const starts: number[] = [];
  let at = 0;
  for (const character of text) {
    starts.push(at);
    at += character.length;
  }
  return (place) => (typeof place === 'number' ? starts[place] : undefined);
}

/** What the context has there, and where it has the answer. */
function faultOf(text: unknown, start: number | undefined, context: string): string {
  const expected = 'expected a text and the place where "context" has it';
  if (typeof text !== 'string' || text === '') return expected;
  const there = start === undefined || start < 0 ? undefined : context.slice(start, start + text.length);
  const found =
    there === undefined
      ? `"context" has ${Array.from(context).length} characters`
      : `"context" has ${preview(there)} there`;
  const place = context.indexOf(text);
  const right = place < 0 ? ', nowhere this text' : `; it begins at ${Array.from(context.slice(0, place)).length}`;
  return `${found}${right}; ${expected}`;
}
