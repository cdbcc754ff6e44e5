/** Room: engine/io. What tells contents apart: of checkpoints, which plans and adapters are made for, and of other files. */
import { createHash } from 'node:crypto';
import { createReadStream } from 'node:fs';
import { readdir } from 'node:fs/promises';
import { join } from 'node:path';
import { fileError } from './files.ts';
import { openSafetensors } from './safetensors.ts';

/**
 * SHA-256 over every tensor's name, dtype, shape and bytes, in the order of names: the same for one file and for shards,
 * and whatever the metadata. Streams: host memory is one chunk.
 * @param path a safetensors file or a checkpoint folder
 * @returns `sha256:` and 64 hex digits
 * @throws UserError as `openSafetensors`
 */
export async function fingerprintCheckpoint(path: string): Promise<string> {
  const checkpoint = await openSafetensors(path);
  try {
    const hash = createHash('sha256');
    for (const name of [...checkpoint.names].sort()) {
      const { dtype, shape } = checkpoint.info(name);
      hash.update(`${JSON.stringify([name, dtype, shape])}\n`);
      for await (const chunk of checkpoint.chunks(name)) hash.update(chunk);
    }
    return `sha256:${hash.digest('hex')}`;
  } finally {
    await checkpoint.close();
  }
}

/** SHA-256 over the bytes of files, one after the other. @returns `sha256:` and 64 hex digits @throws UserError */
export async function fingerprintFiles(paths: readonly string[]): Promise<string> {
  const hash = createHash('sha256');
  for (const path of paths) {
    try {
      for await (const chunk of createReadStream(path)) hash.update(chunk as Buffer);
    } catch (error) {
      throw fileError(path, error);
    }
  }
  return `sha256:${hash.digest('hex')}`;
}

/** SHA-256 over a text. @returns `sha256:` and 64 hex digits */
export function fingerprintText(text: string): string {
  return `sha256:${createHash('sha256').update(text).digest('hex')}`;
}

/** Over the files of a folder that an adapter is made of: its weights and settings, not what tells how it came about. */
export async function fingerprintAdapter(dir: string): Promise<string> {
  let names: string[];
  try {
    names = await readdir(dir);
  } catch (error) {
    throw fileError(dir, error);
  }
  const parts = names.filter((name) =>
    /^(adapter.*|head_config|model_head|plan|labels)\.(json|safetensors)$/.test(name),
  );
  return fingerprintFiles(parts.sort().map((name) => join(dir, name)));
}
