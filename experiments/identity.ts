/** Room: experiments. `identity.json` beside a `run.json`: what its numbers depend on, so that only the same run is taken from a folder. */
import { z } from 'zod';
import { contentOf } from '../data/content.ts';
import type { DataOptions } from '../data/options.ts';
import type { DataRequest } from '../data/request.ts';
import { option, UserError } from '../engine/errors.ts';
import { contentKey, differenceText, firstDifference, fromOldKeys, type RunIdentity } from '../train/identity.ts';
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

/** Hashes of data under the names of the options that name it, and of the tokenizer in `modelDir` that reads its texts. */
export async function dataFacts(request: DataRequest, options: DataOptions, modelDir: string): Promise<RunIdentity> {
  const content = await contentOf(request, options, modelDir);
  return Object.fromEntries(Object.entries(content).map(([name, hash]) => [contentKey(name), hash]));
}

/** What a run in a folder is of. @throws UserError where the file is missing or malformed */
export async function readIdentity(path: string): Promise<Readonly<Record<string, unknown>>> {
  return fromOldKeys((await readVersioned(path, IDENTITY)).identity);
}

/** @throws UserError naming the first setting with which an earlier run in the same folder differs */
export async function assertSameRun(path: string, identity: RunIdentity): Promise<void> {
  const differs = firstDifference(await readIdentity(path), identity);
  if (!differs) return;
  throw new UserError(
    `${path}: ${differenceText(differs)}: use another ${option('out')}, or the same settings and data`,
  );
}

/** Whether the file is there and of the same run. */
export function isSameRun(path: string, identity: RunIdentity): Promise<boolean> {
  return assertSameRun(path, identity).then(
    () => true,
    () => false,
  );
}
