/** Room: experiments. `identity.json` beside a `run.json`: what its numbers depend on, so that only the same run is taken from a folder. */
import { z } from 'zod';
import { option, UserError } from '../engine/errors.ts';
import { firstDifference, fromOldKeys, type RunIdentity } from '../train/identity.ts';
import { header, readVersioned, withoutFormat, writeVersioned, type VersionedFormat } from '../engine/io/versioned.ts';

export const identitySchema = z.strictObject({
  ...header('light-peft/identity', 1),
  identity: z.record(z.string(), z.unknown()),
});

const IDENTITY: VersionedFormat<z.infer<typeof identitySchema>> = {
  format: 'light-peft/identity',
  version: 1,
  schema: identitySchema,
  unversioned: (found) => withoutFormat(found) && { identity: found },
};

/** Writes the file atomically. */
export function writeIdentity(path: string, identity: RunIdentity): Promise<void> {
  return writeVersioned(path, IDENTITY, { identity: { ...identity } });
}

/** @throws UserError naming the first setting with which an earlier run in the same folder differs */
export async function assertSameRun(path: string, identity: RunIdentity): Promise<void> {
  const written = fromOldKeys((await readVersioned(path, IDENTITY)).identity);
  const differs = firstDifference(written, identity);
  if (!differs) return;
  const { key, before, after } = differs;
  const values = `${JSON.stringify(before)}, now it is ${JSON.stringify(after)}`;
  throw new UserError(`${path}: ${option(key)} was ${values}: use another ${option('out')}, or the same settings`);
}
