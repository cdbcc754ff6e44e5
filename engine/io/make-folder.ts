/** Room: engine/io. Folders made as `mkdir -p` makes them. Node's own way never ends where a file system makes none, as below /proc. */
import { mkdir, stat } from 'node:fs/promises';
import { dirname, resolve } from 'node:path';

/**
 * Makes a folder, and those above it.
 * @returns those that were missing, the innermost first
 * @throws what `mkdir` throws
 */
export async function makeFolder(path: string): Promise<string[]> {
  const folder = resolve(path);
  if (await isFolder(folder)) return [];
  const above = await makeFolder(dirname(folder));
  try {
    await mkdir(folder);
  } catch (error) {
    // Another process may have been faster.
    if (!(await isFolder(folder))) throw error;
  }
  return [folder, ...above];
}

function isFolder(path: string): Promise<boolean> {
  return stat(path).then(
    (found) => found.isDirectory(),
    () => false,
  );
}
