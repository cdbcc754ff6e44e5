/** Room: engine. Options of every room: a schema with defaults and descriptions, and one way to check what was given. */
import type { z } from 'zod';
import { option, UserError } from './errors.ts';
import { preview } from './io/files.ts';
import { didYouMean } from './nearest.ts';

/**
 * Options with their defaults filled in.
 * @throws UserError naming the option in backticks, as every error here does: commands know it as a flag
 */
export function parseOptions<S extends z.ZodObject>(schema: S, given: z.input<S>): z.output<S> {
  const parsed = schema.safeParse(given, { error: phrase });
  if (parsed.success) return parsed.data;
  const issue = parsed.error.issues[0]!;
  if (issue.code === 'unrecognized_keys') {
    const [key = ''] = issue.keys;
    throw new UserError(`${option(key)}: not an option${didYouMean(key, Object.keys(schema.shape), option)}`);
  }
  const [key, ...within] = issue.path;
  throw new UserError(
    `${option(String(key))}: ${issueText(issue, within, (given as Record<PropertyKey, unknown>)[key!])}`,
  );
}

/**
 * What was found in an option's value, and what was expected.
 * @param within path from the value to the fault
 */
export function issueText(issue: z.core.$ZodIssue, within: readonly PropertyKey[], value: unknown): string {
  const at = within.reduce<unknown>((outer, key) => (outer as Record<PropertyKey, unknown> | undefined)?.[key], value);
  const place = within.length > 0 ? `${within.map(String).join('.')}: ` : '';
  const join = issue.message.startsWith('expected') ? ', ' : ': ';
  return `${place}found ${preview(at)}${join}${issue.message}`;
}

/** What was expected, in words for people; for `safeParse` in place of zod's own words. */
export function phrase(issue: z.core.$ZodRawIssue): string {
  return `expected ${expectation(issue)}`;
}

const TYPES: Readonly<Record<string, string>> = {
  number: 'a number',
  int: 'an integer',
  string: 'a text',
  boolean: 'true or false',
  array: 'a list',
  object: 'a mapping',
  record: 'a mapping',
};

function expectation(issue: z.core.$ZodRawIssue): string {
  if (issue.code === 'invalid_type') return TYPES[issue.expected] ?? issue.expected;
  if (issue.code === 'invalid_value') return alternatives(issue.values.map(String));
  if (issue.code === 'too_small')
    return `${sized(issue.origin)}${issue.inclusive === false ? 'above' : 'of at least'} ${issue.minimum}`;
  if (issue.code === 'too_big')
    return `${sized(issue.origin)}${issue.inclusive === false ? 'below' : 'of at most'} ${issue.maximum}`;
  if (issue.code !== 'invalid_union') return 'another value';
  const found = issue.errors.flatMap(([first]) => first?.message.replace(/^expected /, '').split(/, | or /) ?? []);
  return alternatives([...new Set(found)]);
}

function sized(origin: string): string {
  return origin === 'string' ? 'a text with a length ' : origin === 'array' ? 'a list with a length ' : 'a number ';
}

/** `a`, `a or b`, `a, b or c`. */
function alternatives(words: readonly string[]): string {
  return words.length < 2 ? words.join() : `${words.slice(0, -1).join(', ')} or ${words.at(-1)}`;
}
