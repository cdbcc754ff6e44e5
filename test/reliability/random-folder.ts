/** Tests only: model folders of random f16 weights, of any size, in shards; written piece by piece. */
import { mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import { writeJson } from '../../engine/io/files.ts';
import { f32ToF16 } from '../../engine/io/float16.ts';
import { writeSafetensors, type TensorEntry } from '../../engine/io/safetensors.ts';
import { baseWeightShapes } from '../../models/base-model.ts';
import { parseConfig } from '../../models/config.ts';
import type { HeadKind } from '../../models/architecture.ts';
import { frozenHeadShapes, headShapes } from '../../models/heads.ts';
import { isStoredInOut } from '../../models/weights.ts';
import { hostRandom } from '../../engine/random.ts';

const PIECE = 1 << 21;

/** Classes of the head for sequences. */
const LABELS = 2;

/** What was written. */
export interface RandomFolder {
  readonly parameters: number;
  readonly bytes: number;
  /** Bytes of the largest tensor. */
  readonly largest: number;
}

/** @param raw the content of `config.json` */
export async function writeRandomFolder(
  dir: string,
  raw: Readonly<Record<string, unknown>>,
  shardBytes: number,
): Promise<RandomFolder> {
  await mkdir(dir, { recursive: true });
  await writeJson(join(dir, 'config.json'), raw);
  const config = parseConfig(raw, 'config.json');
  const draw = halves();
  const heads: readonly HeadKind[] = config.architecture.block.causal
    ? ['classification', 'causal-lm']
    : ['classification'];
  const shapes = new Map([
    ...baseWeightShapes(config),
    ...heads.flatMap((head) => [...frozenHeadShapes(config, head)]),
    ...headShapes(config, 'classification', LABELS),
  ]);
  const entries = [...shapes].map(([name, shape]): TensorEntry & { bytes: number } => {
    const size = shape.reduce((a, b) => a * b, 1);
    const stored = isStoredInOut(config, name) ? [...shape].reverse() : shape;
    const isNorm = shape.length === 1 && /norm.*weight$/i.test(name);
    return { name, dtype: 'F16', shape: stored, bytes: 2 * size, data: () => pieces(size, isNorm ? () => ONE : draw) };
  });
  const shards: (typeof entries)[] = [[]];
  let room = shardBytes;
  for (const entry of entries) {
    if (entry.bytes > room && shards.at(-1)!.length > 0) {
      shards.push([]);
      room = shardBytes;
    }
    shards.at(-1)!.push(entry);
    room -= entry.bytes;
  }
  const weightMap: Record<string, string> = {};
  for (const [i, shard] of shards.entries()) {
    const file = `model-${i + 1}-of-${shards.length}.safetensors`;
    await writeSafetensors(join(dir, file), shard, { format: 'pt' });
    for (const { name } of shard) weightMap[name] = file;
  }
  await writeJson(join(dir, 'model.safetensors.index.json'), { metadata: {}, weight_map: weightMap });
  const bytes = entries.reduce((sum, entry) => sum + entry.bytes, 0);
  return { parameters: bytes / 2, bytes, largest: Math.max(...entries.map((entry) => entry.bytes)) };
}

const ONE = 0x3c00;

/** Draws f16 bits of normal(0, 0.02), from a table by a xorshift: a billion take seconds. */
function halves(): () => number {
  const random = hostRandom(1, 99);
  const table = f32ToF16(Float32Array.from({ length: 1 << 16 }, () => random.normal() * 0.02));
  let state = 0x9e3779b9;
  return () => {
    state ^= state << 13;
    state ^= state >>> 17;
    state ^= state << 5;
    return table[state >>> 16]!;
  };
}

async function* pieces(size: number, draw: () => number): AsyncGenerator<Uint16Array> {
  const piece = new Uint16Array(Math.min(PIECE, size));
  for (let at = 0; at < size; at += piece.length) {
    const part = piece.subarray(0, Math.min(piece.length, size - at));
    for (let i = 0; i < part.length; i++) part[i] = draw();
    yield await Promise.resolve(part);
  }
}
