/** Room: cli. Several adapters on the command line. */
import { basename, resolve } from 'node:path';
import { UserError } from '../engine/errors.ts';

/** NAME=DIR; without a name, the last part of the folder's path, or of the name on the hub. */
export function splitName(text: string): readonly [name: string, dir: string] {
  const at = text.indexOf('=');
  return at > 0 ? [text.slice(0, at), text.slice(at + 1)] : [basename(resolve(text)), text];
}

/** Adapters by name. @throws UserError for a name given twice */
export function namedFolders(given: readonly string[]): Map<string, string> {
  const folders = new Map<string, string>();
  for (const [name, dir] of given.map(splitName)) {
    if (folders.has(name)) throw new UserError(`--adapter: two are called "${name}"; name them NAME=DIR`);
    folders.set(name, dir);
  }
  return folders;
}
