/** Room: cli. Several adapters on the command line. */
import { basename, resolve } from 'node:path';
import { UserError } from '../engine/errors.ts';

/** Adapters by name: NAME=DIR, else the last part of the folder's path. @throws UserError for a name given twice */
export function namedFolders(given: readonly string[]): Map<string, string> {
  const folders = new Map<string, string>();
  for (const text of given) {
    const at = text.indexOf('=');
    const [name, dir] = at > 0 ? [text.slice(0, at), text.slice(at + 1)] : [basename(resolve(text)), text];
    if (folders.has(name)) throw new UserError(`--adapter: two are called "${name}"; name them NAME=DIR`);
    folders.set(name, dir);
  }
  return folders;
}
