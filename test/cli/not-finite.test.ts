/** Protects: NaN and infinity in weights, factors, scores and losses end every command in one line, with exit code 2 and no output. */
import { cp, mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, describe, expect, it, vi } from 'vitest';
import { runCommand } from '../../cli/program.ts';
import { openSafetensors, safetensorsWriter } from '../../engine/io/safetensors.ts';
import { f32ToF16 } from '../../engine/io/float16.ts';
import { findNonFinite } from '../../engine/io/finite.ts';

const GOLDENS = join(import.meta.dirname, '..', 'goldens');
const ROBERTA = join(GOLDENS, 'roberta');

let dir: string;
let outputs = 0;
beforeAll(async () => {
  dir = await mkdtemp(join(tmpdir(), 'light-peft-'));
  const rows = [0, 1, 2, 0].map((label) => JSON.stringify({ input_ids: [0, 5, 6, 2], label }));
  await writeFile(join(dir, 'data.jsonl'), rows.join('\n'));
});
afterAll(() => rm(dir, { recursive: true }));
afterEach(() => vi.restoreAllMocks());

/** A copy of a folder with one number of one tensor replaced, and all floats stored as another dtype. */
async function poisoned(
  source: string,
  file: string,
  tensor: RegExp,
  value: number,
  dtype: 'F32' | 'F16' | 'BF16' = 'F32',
): Promise<string> {
  const folder = await mkdtemp(join(dir, 'poisoned-'));
  await cp(source, folder, { recursive: true });
  const opened = await openSafetensors(join(source, file));
  const found = opened.names.find((name) => tensor.test(name));
  expect(found).toBeDefined();
  const chunks: Buffer[] = [];
  const entries = await Promise.all(
    opened.names.map(async (name) => {
      const data = await opened.readFloat32(name);
      return { name, shape: opened.info(name).shape, dtype, data: dtype === 'F32' ? data : stored(dtype, data) };
    }),
  );
  await safetensorsWriter(entries)({
    writeFile: (data) => Promise.resolve(void chunks.push(Buffer.from(data as Uint8Array))),
  });
  await opened.close();
  await writeFile(join(folder, file), Buffer.concat(chunks));
  const written = await openSafetensors(join(folder, file));
  const { begin, bytes } = written.info(found!);
  await written.close();
  const content = await readFile(join(folder, file));
  const raw = dtype === 'F32' ? Float32Array.of(value) : stored(dtype, Float32Array.of(value));
  content.set(new Uint8Array(raw.buffer), begin + bytes - raw.byteLength);
  await writeFile(join(folder, file), content);
  return folder;
}

function stored(dtype: 'F16' | 'BF16', data: Float32Array): Uint16Array {
  if (dtype === 'F16') return f32ToF16(data);
  return Uint16Array.from(new Uint32Array(data.slice().buffer), (word) => word >>> 16);
}

async function ends(pattern: RegExp, ...argv: string[]): Promise<void> {
  const lines: string[] = [];
  vi.spyOn(process.stdout, 'write').mockImplementation(() => true);
  vi.spyOn(process.stderr, 'write').mockImplementation((text) => {
    lines.push(String(text));
    return true;
  });
  const out = join(dir, `out-${outputs++}`);
  const code = await runCommand(argv.includes('eval') ? argv : [...argv, '--out', out]);
  const said = lines.filter((line) => line.startsWith('light-peft: ') && !line.includes('warning'));
  expect(said.join('')).toMatch(pattern);
  expect(said.join('').trimEnd()).not.toContain('\n');
  expect(code).toBe(2);
  const left = await readdir(out, { recursive: true, withFileTypes: true }).catch(() => []);
  expect(left.filter((entry) => entry.isFile())).toEqual([]);
}

const data = (): string => join(dir, 'data.jsonl');
const base = (model: string, ...more: string[]): string[] => ['predict', '--model', model, '--data', data(), ...more];
const MODEL = join(ROBERTA, 'model');
const ADAPTER = join(ROBERTA, 'adapter-final');
const WEIGHTS = 'model.safetensors';

describe('weights', () => {
  it.each([
    ['F32', NaN],
    ['F16', Infinity],
    ['BF16', -Infinity],
  ] as const)('of a base in %s: %d', async (dtype, value) => {
    const layer = await poisoned(MODEL, WEIGHTS, /layer\.0\.attention\.self\.query\.weight/, value, dtype);
    const pattern = new RegExp(`query\\.weight": found ${value} at element \\d+`);
    await ends(pattern, ...base(layer));
    await ends(pattern, 'merge', '--model', layer, '--adapter', ADAPTER);
    await ends(pattern, 'export', '--model', layer, '--adapter', ADAPTER);
    const words = await poisoned(MODEL, WEIGHTS, /word_embeddings/, value, dtype);
    await ends(/word_embeddings.*found/, ...base(words, '--embeddings', 'host'));
    await ends(/word_embeddings.*found/, ...base(words, '--weights', 'f16', '--embeddings', 'host'));
    await ends(/word_embeddings.*found/, 'merge', '--model', words, '--adapter', ADAPTER);
  });
  it.each([/norm.*bias/i, /position_embeddings/])('of the base: %s', async (tensor) => {
    const model = await poisoned(MODEL, WEIGHTS, tensor, NaN);
    await ends(/tensor ".*": found NaN/, 'merge', '--model', model, '--adapter', ADAPTER);
    await ends(/tensor ".*": found NaN/, 'export', '--model', model, '--adapter', ADAPTER);
  });
  it.each([/lora_A/, /lora_B/, /classifier/])('of an adapter: %s', async (tensor) => {
    const adapter = await poisoned(ADAPTER, 'adapter_model.safetensors', tensor, NaN);
    for (const command of ['merge', 'export'])
      await ends(/tensor ".*": found NaN/, command, '--model', MODEL, '--adapter', adapter);
    await ends(/tensor ".*": found NaN/, ...base(MODEL, '--adapter', adapter));
  });
});

describe('what is computed', () => {
  it('scores and losses that overflow', async () => {
    const large = await poisoned(MODEL, WEIGHTS, /embeddings\.LayerNorm\.weight/, 3e38);
    const model = await poisoned(large, WEIGHTS, /layer\.0\.attention\.self\.query\.weight/, 3e38);
    await ends(/example \d+: a score came out as/, ...base(model));
    await ends(/example \d+: a score came out as/, 'eval', '--model', model, '--data', data());
    await ends(
      /Loss is .* at step 1: nothing was learned yet/,
      'train',
      '--model',
      model,
      '--train',
      data(),
      '--steps',
      '2',
    );
  });
  it('merged weights that overflow', async () => {
    const adapter = await poisoned(ADAPTER, 'adapter_model.safetensors', /lora_A/, 3e38);
    const both = await poisoned(adapter, 'adapter_model.safetensors', /lora_B/, 3e38);
    await ends(/tensor ".*": .*came out, expected finite numbers/, 'merge', '--model', MODEL, '--adapter', both);
  });
});

it('is found wherever it is, and nowhere else', () => {
  const numbers = Float32Array.from({ length: 3001 }, (_, i) => Math.sin(i) * (i % 50 ? 1 : 65000));
  const dtypes = {
    F32: numbers,
    F16: f32ToF16(numbers),
    BF16: stored('BF16', numbers),
    F64: Float64Array.from(numbers),
  };
  for (const [dtype, sound] of Object.entries(dtypes) as ['F32' | 'F16' | 'BF16' | 'F64', Float64Array][]) {
    const bytes = (of: typeof sound): Uint8Array => new Uint8Array(of.buffer, of.byteOffset, of.byteLength);
    expect(findNonFinite(dtype, bytes(sound))).toBeUndefined();
    for (const value of [NaN, Infinity, -Infinity])
      for (const index of [0, 1, 1023, 1024, 2047, 2048, 2999, 3000]) {
        const bad = sound.slice();
        const coded = dtype === 'F16' || dtype === 'BF16' ? stored(dtype, Float32Array.of(value))[0]! : value;
        bad[index] = coded;
        expect(findNonFinite(dtype, bytes(bad)), `${dtype} ${index}`).toEqual({ index, value });
        expect(findNonFinite(dtype, bytes(bad.subarray(1)))?.index).toBe(index === 0 ? undefined : index - 1);
      }
  }
});
