/** Room: engine/io. The identity of a checkpoint: what a plan or an adapter made for one base is checked against. */
import { createHash } from 'node:crypto';
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
