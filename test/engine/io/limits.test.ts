/** Protects: nesting and numbers that no file of the kind has are refused in one line. */
import { existsSync } from 'node:fs';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { UserError } from '../../../engine/errors.ts';
import { parseJson, preview } from '../../../engine/io/files.ts';
import { makeFolder } from '../../../engine/io/make-folder.ts';
import { constant } from '../../../engine/ops/elementwise.ts';
import { parsePeftConfig } from '../../../peft/config.ts';
import { openTestEngine } from '../../engine.ts';

const engine = await openTestEngine();
const nested = (depth: number): string => `${'['.repeat(depth)}1${']'.repeat(depth)}`;

describe('nesting', () => {
  it.each([101, 5000, 200_000])('of %i', (depth) => {
    expect(() => parseJson(`{"a": ${nested(depth)}}`, 'config.json')).toThrow(UserError);
    expect(() => parseJson(`{"a": ${nested(depth)}}`, 'config.json')).toThrow(/^config\.json: .*(deep|not valid JSON)/);
  });
  it('that files have', () => expect(parseJson(nested(60), 'config.json')).toBeDefined());
  it('in what an error shows', () => {
    let value: unknown = 1;
    for (let i = 0; i < 50_000; i++) value = [value];
    expect(preview(value)).toBe('a deeply nested value');
  });
});

describe('numbers beyond f32', () => {
  it.each([{ lora_alpha: 1e300 }, { alpha_pattern: { query: 1e39 } }])('%j', (key) => {
    const raw = { peft_type: 'LORA', target_modules: ['query'], r: 2, ...key };
    expect(() => parsePeftConfig(raw, 'adapter_config.json')).toThrow(
      /adapter_config\.json: key .*found 1e\+\d+, expected a number in \(0, 3\.4e\+38\]/,
    );
  });
  it.each([1e300, Infinity, NaN])('as a constant: %d', async (value) => {
    await expect(engine.evaluate(constant(value))).rejects.toThrow(UserError);
  });
});

describe('folders', () => {
  it('are made with those above them, and named innermost first', async () => {
    const dir = await mkdtemp(join(tmpdir(), 'folders-'));
    expect(await makeFolder(join(dir, 'a', 'b'))).toEqual([join(dir, 'a', 'b'), join(dir, 'a')]);
    expect(await makeFolder(join(dir, 'a', 'b'))).toEqual([]);
    await writeFile(join(dir, 'file'), '');
    for (const path of ['file', 'file/below'])
      await expect(makeFolder(join(dir, path))).rejects.toThrow(/EEXIST|ENOTDIR/);
    await rm(dir, { recursive: true });
  });
  it.runIf(existsSync('/proc/self'))('that no file system makes end in an error, not in a hang', async () => {
    await expect(makeFolder('/proc/nowhere/below')).rejects.toThrow(/ENOENT/);
  });
});
