/** Room: experiments. `identity.json` beside a `run.json`: what its numbers depend on, so that only the same run is taken from a folder. */
import { z } from 'zod';
import { UserError } from '../engine/errors.ts';
import { header, readVersioned, withoutFormat, writeVersioned, type VersionedFormat } from '../engine/io/versioned.ts';

export const identitySchema = z.strictObject({
  ...header('light-peft/identity', 1),
  identity: z.record(z.string(), z.unknown()),
});

type Identity = Readonly<Record<string, unknown>>;

const IDENTITY: VersionedFormat<z.infer<typeof identitySchema>> = {
  format: 'light-peft/identity',
  version: 1,
  schema: identitySchema,
  unversioned: (found) => withoutFormat(found) && { identity: found },
};

/** Writes the file atomically. */
export function writeIdentity(path: string, identity: Identity): Promise<void> {
  return writeVersioned(path, IDENTITY, { identity: { ...identity } });
}

/** @throws UserError naming the first setting with which an earlier run in the same folder differs */
export async function assertSameRun(path: string, identity: Identity): Promise<void> {
  const { identity: written } = await readVersioned(path, IDENTITY);
  const differs = [...new Set([...Object.keys(written), ...Object.keys(identity)])].find(
    (k) => written[k] !== identity[k],
  );
  if (differs === undefined) return;
  const values = `${JSON.stringify(written[differs])}, now it is ${JSON.stringify(identity[differs])}`;
  throw new UserError(`${path}: ${differs} was ${values}: use another --out, or the same settings`);
}
