/** Room: engine. Options of every room: a schema with defaults and descriptions, and one way to check what was given. */
import type { z } from 'zod';
import { option, UserError } from './errors.ts';

/**
 * Options with their defaults filled in.
 * @throws UserError naming the option in backticks, as every error here does: commands know it as a flag
 */
export function parseOptions<S extends z.ZodObject>(schema: S, given: z.input<S>): z.output<S> {
  const parsed = schema.safeParse(given);
  if (parsed.success) return parsed.data;
  const issue = parsed.error.issues[0];
  const key = String(issue?.path[0] ?? (issue?.code === 'unrecognized_keys' ? issue.keys[0] : ''));
  const found = JSON.stringify((given as Readonly<Record<string, unknown>>)[key]);
  throw new UserError(`${option(key)}: found ${found}: ${issue?.message ?? 'not valid'}`);
}
