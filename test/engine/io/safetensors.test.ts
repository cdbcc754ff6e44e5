/**
 * Protects: reading and writing of checkpoints. Files of the reference library are read right and written again byte for
 * byte; a damaged file ends in a one-line `UserError`, never in a crash, a hang or a large allocation.
 */
import fc from 'fast-check';
import { cp, mkdtemp, readFile, readdir, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { UserError } from '../../../engine/errors.ts';
import { f32ToF16 } from '../../../engine/io/float16.ts';
import { fingerprintCheckpoint } from '../../../engine/io/fingerprint.ts';
import { openSafetensors, writeSafetensors } from '../../../engine/io/safetensors.ts';
import type { TensorEntry } from '../../../engine/io/safetensors.ts';

const GOLDENS = join(import.meta.dirname, '../../goldens');
let dir: string;
beforeAll(async () => {
  dir = await mkdtemp(join(tmpdir(), 'safetensors-'));
});
afterAll(() => rm(dir, { recursive: true }));

/** A file of the given header text (padded as given) and data. */
async function craft(name: string, header: string, dataBytes: number, length?: bigint): Promise<string> {
  const body = new TextEncoder().encode(header);
  const file = new Uint8Array(8 + body.length + dataBytes);
  new DataView(file.buffer).setBigUint64(0, length ?? BigInt(body.length), true);
  file.set(body, 8);
  await writeFile(join(dir, name), file);
  return join(dir, name);
}

/** What opening says, in one line. */
async function refusal(path: string): Promise<string> {
  const error: unknown = await openSafetensors(path).then(
    () => undefined,
    (e: unknown) => e,
  );
  expect(error).toBeInstanceOf(UserError);
  const { message } = error as UserError;
  expect(message).not.toContain('\n');
  return message;
}

/** Every entry of a file, to be written again. */
async function entriesOf(path: string): Promise<{ entries: TensorEntry[]; metadata: Record<string, string> }> {
  const file = await openSafetensors(path);
  const entries = await Promise.all(
    file.names.map(async (name) => ({ name, ...file.info(name), data: await file.read(name) })),
  );
  await file.close();
  return { entries, metadata: { ...file.metadata } };
}

describe('files of the reference library', () => {
  test.each(['roberta/model/model', 'bert/adapter-final/adapter_model', 'roberta/batches', 'bert/expected'])(
    '%s is written again byte for byte, whatever the order of entries',
    async (name) => {
      const source = join(GOLDENS, `${name}.safetensors`);
      const { entries, metadata } = await entriesOf(source);
      expect(entries.length).toBeGreaterThan(2);
      await writeSafetensors(join(dir, 'again.safetensors'), entries.reverse(), metadata);
      const [again, original] = await Promise.all([readFile(join(dir, 'again.safetensors')), readFile(source)]);
      expect(again.equals(original)).toBe(true);
    },
  );

  test('names, shapes and values', async () => {
    const file = await openSafetensors(join(GOLDENS, 'roberta/model'));
    expect(file.metadata).toEqual({ format: 'pt' });
    expect(file.names).toHaveLength(41);
    expect(file.info('classifier.dense.weight')).toMatchObject({ dtype: 'F32', shape: [32, 32], bytes: 4096 });
    const bias = await file.readFloat32('classifier.out_proj.bias', [3]);
    expect([...bias]).toEqual([0.035549335181713104, -0.1197224110364914, 0.03592107072472572]);
    await expect(file.readFloat32('classifier.dense.weight', [32, 31])).rejects.toThrow(
      /model\.safetensors: tensor "classifier\.dense\.weight": shape \[32, 32\], expected \[32, 31\]/,
    );
    await expect(file.readInt32('classifier.dense.weight')).rejects.toThrow(/dtype F32, expected I32 or I64/);
    await expect(file.readFloat32('classifier.weight')).rejects.toThrow(
      /no tensor "classifier\.weight"; the 41 it has/,
    );
    await file.close();
    const batches = await openSafetensors(join(GOLDENS, 'roberta/batches.safetensors'));
    const labels = await batches.readInt32('labels', [8, 4]);
    expect(Math.max(...labels)).toBe(2);
    await batches.close();
  });
});

describe('dtypes', () => {
  test('every dtype comes back as written, and converts', async () => {
    const path = join(dir, 'dtypes.safetensors');
    const floats = Float32Array.of(0.5, -2, 65504, 1e-7);
    const entries: TensorEntry[] = [
      { name: 'f32', dtype: 'F32', shape: [2, 2], data: floats },
      { name: 'f16', dtype: 'F16', shape: [4], data: () => Promise.resolve(f32ToF16(floats)) },
      { name: 'bf16', dtype: 'BF16', shape: [2], data: Uint16Array.of(0x3f80, 0xc000) },
      { name: 'f64', dtype: 'F64', shape: [1], data: Float64Array.of(0.1) },
      { name: 'i64', dtype: 'I64', shape: [2], data: BigInt64Array.of(-7n, 2147483647n) },
      { name: 'i32', dtype: 'I32', shape: [], data: Int32Array.of(-9) },
      { name: 'u8', dtype: 'U8', shape: [3], data: Uint8Array.of(1, 2, 3) },
      { name: 'bool', dtype: 'BOOL', shape: [1, 1], data: Uint8Array.of(1) },
      { name: 'none', dtype: 'F32', shape: [0, 5], data: new Float32Array(0) },
      { name: 'large', dtype: 'F32', shape: [1], data: Float32Array.of(65520) },
      { name: 'wide', dtype: 'I64', shape: [2], data: BigInt64Array.of(0n, 1n << 31n) },
    ];
    await writeSafetensors(path, entries);
    const file = await openSafetensors(path);
    expect(await file.readFloat32('f32')).toEqual(floats);
    expect([...(await file.readFloat32('f16'))]).toEqual([0.5, -2, 65504, 2 ** -23]);
    expect([...(await file.readFloat32('bf16'))]).toEqual([1, -2]);
    expect([...(await file.readFloat32('f64'))]).toEqual([Math.fround(0.1)]);
    expect(await file.readFloat16('f32')).toEqual(f32ToF16(floats));
    expect(await file.readFloat16('f16')).toEqual(f32ToF16(floats));
    expect([...(await file.readInt32('i64'))]).toEqual([-7, 2147483647]);
    expect([...(await file.readInt32('i32', []))]).toEqual([-9]);
    expect(await file.read('u8')).toEqual(Uint8Array.of(1, 2, 3));
    expect(await file.readFloat32('none')).toHaveLength(0);
    await expect(file.readFloat16('large')).rejects.toThrow(
      /"large": found 65520 at element 0, expected at most 65504/,
    );
    await expect(file.readInt32('wide')).rejects.toThrow(/"wide": found 2147483648 at element 1/);
    await file.close();
  });

  test('a tensor larger than a chunk is converted whole', async () => {
    const n = 3_000_001;
    const data = Uint16Array.from({ length: n }, (_, i) => (i * 7) % 31000);
    await writeSafetensors(join(dir, 'large.safetensors'), [{ name: 'x', dtype: 'F16', shape: [n], data }]);
    const file = await openSafetensors(join(dir, 'large.safetensors'));
    const back = f32ToF16(await file.readFloat32('x'));
    expect(back.length).toBe(n);
    expect(back.findIndex((bits, i) => bits !== data[i])).toBe(-1);
    await file.close();
  });
});

describe('writing', () => {
  test('a failure leaves the old file and no temporary one', async () => {
    const folder = await mkdtemp(join(dir, 'fail-'));
    const path = join(folder, 'model.safetensors');
    await writeFile(path, 'old');
    const broken: TensorEntry = { name: 'b', dtype: 'F32', shape: [2], data: () => Promise.reject(new Error('boom')) };
    const whole: TensorEntry = { name: 'a', dtype: 'F32', shape: [1], data: Float32Array.of(1) };
    await expect(writeSafetensors(path, [whole, broken])).rejects.toThrow('boom');
    const short: TensorEntry = { name: 'b', dtype: 'F32', shape: [2], data: Float32Array.of(1) };
    await expect(writeSafetensors(path, [short])).rejects.toThrow(/"b": 4 bytes, expected F32 \[2\]/);
    await expect(writeSafetensors(path, [whole, whole])).rejects.toThrow(/given twice/);
    expect(await readdir(folder)).toEqual(['model.safetensors']);
    expect(await readFile(path, 'utf8')).toBe('old');
  });

  test('names that look like integers keep their place', async () => {
    const entries = ['b', '10', '2', 'a'].map((name, i): TensorEntry => ({
      name,
      dtype: 'F32',
      shape: [1],
      data: Float32Array.of(i),
    }));
    await writeSafetensors(join(dir, 'integers.safetensors'), entries);
    const file = await openSafetensors(join(dir, 'integers.safetensors'));
    expect([...(await file.readFloat32('10'))]).toEqual([1]);
    expect([...(await file.readFloat32('a'))]).toEqual([3]);
    await file.close();
  });
});

describe('sharded folders and fingerprints', () => {
  async function shard(source: string, into: string): Promise<void> {
    const { entries } = await entriesOf(source);
    const half = Math.floor(entries.length / 2);
    const files = ['model-00001-of-00002.safetensors', 'model-00002-of-00002.safetensors'];
    await writeSafetensors(join(into, files[0]!), entries.slice(0, half), { format: 'pt' });
    await writeSafetensors(join(into, files[1]!), entries.slice(half), { format: 'pt' });
    const map = Object.fromEntries(entries.map((e, i) => [e.name, files[i < half ? 0 : 1]!]));
    await writeFile(join(into, 'model.safetensors.index.json'), JSON.stringify({ metadata: {}, weight_map: map }));
  }

  test('shards read like one file and have its fingerprint', async () => {
    const folder = await mkdtemp(join(dir, 'shards-'));
    await shard(join(GOLDENS, 'roberta/model'), folder);
    const [one, many] = await Promise.all([openSafetensors(join(GOLDENS, 'roberta/model')), openSafetensors(folder)]);
    expect(new Set(many.names)).toEqual(new Set(one.names));
    for (const name of one.names) expect(await many.read(name)).toEqual(await one.read(name));
    await Promise.all([one.close(), many.close()]);
    const print = await fingerprintCheckpoint(folder);
    expect(print).toMatch(/^sha256:[0-9a-f]{64}$/);
    expect(print).toBe(await fingerprintCheckpoint(join(GOLDENS, 'roberta/model/model.safetensors')));
    expect(print).not.toBe(await fingerprintCheckpoint(join(GOLDENS, 'bert/model')));
  });

  test('one changed bit changes the fingerprint', async () => {
    const path = join(dir, 'bit.safetensors');
    await cp(join(GOLDENS, 'roberta/model/model.safetensors'), path);
    const before = await fingerprintCheckpoint(path);
    const bytes = await readFile(path);
    bytes[bytes.length - 5]! ^= 1;
    await writeFile(path, bytes);
    expect(await fingerprintCheckpoint(path)).not.toBe(before);
  });

  test('faults of a folder', async () => {
    const folder = await mkdtemp(join(dir, 'faults-'));
    expect(await refusal(join(folder, 'absent'))).toMatch(/absent: no such file/);
    expect(await refusal(folder)).toMatch(/no weights in this folder, expected model\.safetensors/);
    await writeFile(join(folder, 'pytorch_model.bin'), 'x');
    expect(await refusal(folder)).toMatch(/only PyTorch weights.*convert with: python -c/);
    const index = join(folder, 'model.safetensors.index.json');
    await writeFile(index, JSON.stringify({ weight_map: { a: '../a.safetensors' } }));
    expect(await refusal(folder)).toMatch(/index\.json: key "weight_map\.a": found "\.\.\/a\.safetensors"/);
    await writeFile(index, JSON.stringify({ weight_map: { a: 'a.safetensors' } }));
    expect(await refusal(folder)).toMatch(/a\.safetensors: no such file/);
    await writeSafetensors(join(folder, 'a.safetensors'), [
      { name: 'b', dtype: 'F32', shape: [1], data: Float32Array.of(1) },
    ]);
    expect(await refusal(folder)).toMatch(/a\.safetensors: tensor "a" is missing/);
    await writeFile(index, '{"weight_map": {"a": 3}}');
    expect(await refusal(folder)).toMatch(/key "weight_map\.a": found 3, expected a text/);
  });
});

describe('damage', () => {
  const f32 = (shape: string, offsets: string): string => `{"dtype":"F32","shape":${shape},"data_offsets":${offsets}}`;
  test.each([
    ['no JSON', '{"a": ', 0, /header: not valid JSON/],
    ['not an object', '[1, 2]', 0, /found \[1,2\], expected a mapping/],
    [
      'unknown dtype',
      '{"a":{"dtype":"F31","shape":[1],"data_offsets":[0,4]}}',
      4,
      /"dtype": found "F31", expected BOOL, U8/,
    ],
    [
      'no shape',
      '{"a":{"dtype":"F32","data_offsets":[0,4]}}',
      4,
      /tensor "a": key "shape": found nothing, expected a list/,
    ],
    ['negative size', `{"a":${f32('[-1]', '[0,4]')}}`, 4, /key "shape\[0\]": found -1, expected an integer from 0/],
    ['fraction', `{"a":${f32('[1.5]', '[0,6]')}}`, 6, /key "shape\[0\]": found 1\.5, expected an integer from 0/],
    ['extra key', '{"a":{"dtype":"F32","shape":[1],"data_offsets":[0,4],"x":1}}', 4, /unknown key "x"/],
    ['size lie', `{"a":${f32('[2]', '[0,4]')}}`, 4, /data_offsets \[0, 4\] hold 4 bytes, F32 of shape \[2\] needs 8/],
    ['reversed', `{"a":${f32('[1]', '[4,0]')}}`, 4, /hold -4 bytes/],
    ['huge shape', `{"a":${f32('[9007199254740991,9007199254740991]', '[0,4]')}}`, 4, /is beyond any file/],
    [
      'huge tensor',
      `{"a":${f32('[1000000000000]', '[0,4000000000000]')}}`,
      4,
      /truncated: \d+ bytes, expected 40000000/,
    ],
    [
      'overlap',
      `{"a":${f32('[2]', '[0,8]')},"b":${f32('[2]', '[4,12]')}}`,
      12,
      /"b" overlaps.*begins at 4, expected 8/,
    ],
    [
      'hole',
      `{"a":${f32('[1]', '[0,4]')},"b":${f32('[1]', '[8,12]')}}`,
      12,
      /"b" leaves a hole.*begins at 8, expected 4/,
    ],
    ['longer', `{"a":${f32('[1]', '[0,4]')}}`, 5, /longer than its header says/],
    [
      'metadata',
      `{"__metadata__":{"k":1},"a":${f32('[1]', '[0,4]')}}`,
      4,
      /"__metadata__": key "k": found 1, expected a text/,
    ],
  ])('%s is refused', async (name, header, bytes, message) => {
    const path = await craft(`${name}.safetensors`, header, bytes);
    const said = await refusal(path);
    expect(said).toMatch(message);
    expect(said).toContain(path);
  });

  test('header length beyond the file or the cap, and files too short for one', async () => {
    expect(await refusal(await craft('length', '{}', 0, 1n << 40n))).toMatch(
      /header length 1099511627776, expected 2 to 2 /,
    );
    expect(await refusal(await craft('length', '{}', 0, (1n << 64n) - 1n))).toMatch(
      /header length 18446744073709551615/,
    );
    await writeFile(join(dir, 'short'), 'abc');
    expect(await refusal(join(dir, 'short'))).toMatch(/3 bytes, too short/);
    await writeFile(join(dir, 'utf8'), Uint8Array.of(3, 0, 0, 0, 0, 0, 0, 0, 0x7b, 0xff, 0x7d));
    expect(await refusal(join(dir, 'utf8'))).toMatch(/not UTF-8/);
  });

  test('500 mutants: a UserError or a sound file, and no allocation beyond the file', async () => {
    const base = join(dir, 'base.safetensors');
    await writeSafetensors(
      base,
      [
        { name: 'a.weight', dtype: 'F32', shape: [2, 3], data: new Float32Array(6) },
        { name: 'a.bias', dtype: 'F16', shape: [3], data: new Uint16Array(3) },
        { name: 'ids', dtype: 'I64', shape: [2], data: new BigInt64Array(2) },
        { name: 'scalar', dtype: 'I32', shape: [], data: new Int32Array(1) },
      ],
      { format: 'pt' },
    );
    const original = await readFile(base);
    const headerBytes = Number(original.readBigUint64LE(0));
    const path = join(dir, 'mutant.safetensors');
    const outcome = { refused: 0, sound: 0 };
    const position = fc.oneof(fc.nat(7), fc.integer({ min: 8, max: 7 + headerBytes }), fc.nat(original.length - 1));
    const character = fc.oneof(fc.nat(255), fc.constantFrom(...Buffer.from('0123456789-.,:"[]{}eE \\u')));
    const edit = fc.record({ at: position, byte: character, kind: fc.constantFrom('set', 'insert', 'delete', 'cut') });
    await fc.assert(
      fc.asyncProperty(fc.array(edit, { minLength: 1, maxLength: 3 }), async (edits) => {
        const mutant = edits.reduce(mutate, original);
        await writeFile(path, mutant);
        const before = process.memoryUsage().arrayBuffers;
        outcome[(await readAll(path)) ? 'sound' : 'refused']++;
        expect(process.memoryUsage().arrayBuffers - before).toBeLessThan(1 << 20);
      }),
      { numRuns: 500, seed: 7 },
    );
    expect(outcome.refused).toBeGreaterThan(200);
    expect(outcome.sound).toBeGreaterThan(10);
  });

  function mutate(bytes: Buffer, edit: { at: number; byte: number; kind: string }): Buffer {
    const at = Math.min(edit.at, bytes.length);
    const [head, tail] = [bytes.subarray(0, at), bytes.subarray(at)];
    if (edit.kind === 'insert') return Buffer.concat([head, Buffer.of(edit.byte), tail]);
    if (edit.kind === 'delete') return Buffer.concat([head, tail.subarray(1)]);
    if (edit.kind === 'cut' && edit.byte > 250) return Buffer.from(head);
    return Buffer.concat([head, Buffer.of(edit.byte), tail.subarray(1)]);
  }

  /** True for a sound file, all of which could be read; false for a refused one. */
  async function readAll(path: string): Promise<boolean> {
    try {
      const file = await openSafetensors(path);
      let bytes = 0;
      for (const name of file.names) bytes += (await file.read(name)).length;
      await file.close();
      expect(bytes).toBeLessThan((await readFile(path)).length);
      return true;
    } catch (error) {
      expect(error).toBeInstanceOf(UserError);
      return false;
    }
  }
});
