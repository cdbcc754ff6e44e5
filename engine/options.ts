/** Room: engine. Options of every room: a schema with defaults and descriptions, and one way to check what was given. */
import type { z } from 'zod';
import { option, UserError } from './errors.ts';
import { phraseFor } from './expectation.ts';
import { preview } from './io/files.ts';
import { didYouMean } from './nearest.ts';

/**
 * Options with their defaults filled in.
 * @throws UserError naming the option in backticks, as every error here does: commands know it as a flag
 */
export function parseOptions<S extends z.ZodObject>(schema: S, given: z.input<S>): z.output<S> {
  const parsed = schema.safeParse(given, { error: phraseFor(schema) });
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
