/**
 * Protects: the smaller files of the project's own name format and version; those of earlier runs are read, those of another version
 * refused with both numbers.
 */
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { UserError } from '../../engine/errors.ts';
import { readLabelFile, writeLabels } from '../../peft-model/label-file.ts';
import { readRun, writeRun } from '../../report/schema.ts';
import { writeTrainRecord } from '../../train/result-file.ts';
import { assertSameRun, writeIdentity } from '../../experiments/identity.ts';
import { sampleComparison } from '../report/sample.ts';

let dir: string;
let path: string;
beforeAll(async () => {
  dir = await mkdtemp(join(tmpdir(), 'light-peft-'));
  path = join(dir, 'file.json');
});
afterAll(() => rm(dir, { recursive: true }));

const put = (value: unknown): Promise<void> => writeFile(path, JSON.stringify(value));
const written = async (): Promise<Record<string, unknown>> =>
  JSON.parse(await readFile(path, 'utf8')) as Record<string, unknown>;

const RUN = sampleComparison().runs[0]!;
const IDENTITY = { seed: 1, base: 'sha256:00', method: 'lora' };
/** The same as version 0.1 wrote it. */
const EARLY_IDENTITY = { seed: 1, base: 'sha256:00', peft: 'lora' };

describe.each([
  ['labels', () => writeLabels(path, ['no', 'yes']), () => readLabelFile(path), ['no', 'yes'], ['no', 'yes']],
  ['run', () => writeRun(path, RUN), () => readRun(path), RUN, RUN],
  ['identity', () => writeIdentity(path, IDENTITY), () => assertSameRun(path, IDENTITY), undefined, EARLY_IDENTITY],
])('%s.json', (name, write, read, content, early) => {
  it('is read as written, with its format and version before all else', async () => {
    await write();
    const file = await written();
    expect(Object.keys(file).slice(0, 2)).toEqual(['format', 'version']);
    expect(file).toMatchObject({ format: `light-peft/${name}`, version: 1 });
    expect(await read()).toEqual(content);
  });

  it('is read from before it had a version', async () => {
    await put(early);
    expect(await read()).toEqual(content);
  });

  it('is refused with another version, another format and unknown content', async () => {
    await write();
    const file = await written();
    await put({ ...file, version: 9 });
    await expect(read()).rejects.toThrow(UserError);
    await expect(read()).rejects.toThrow('key "version": found 9, this program reads version 1');
    await put({ ...file, version: undefined });
    await expect(read()).rejects.toThrow('key "version": found nothing, this program reads version 1');
    await put({ ...file, format: 'light-peft/plan' });
    await expect(read()).rejects.toThrow(`found "light-peft/plan", expected "light-peft/${name}"`);
    await put({ format: file.format, version: 1 });
    await expect(read()).rejects.toThrow(UserError);
  });
});

it('identity.json: another value is told by its name', async () => {
  await writeIdentity(path, IDENTITY);
  await expect(assertSameRun(path, { ...IDENTITY, seed: 2 })).rejects.toThrow('`seed` was 1, now it is 2');
});

it('train.json names its format and version', async () => {
  const record = { steps: 1, loss: [0.5], seconds: 1, tokens: 8, tokensPerSecond: 8, peakBytes: 9, boundBytes: 7 };
  await writeTrainRecord(path, record);
  expect(await written()).toEqual({ format: 'light-peft/train', version: 1, ...record });
});
