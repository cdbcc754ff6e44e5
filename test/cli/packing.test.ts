/**
 * Protects: `train --packing` computes the loss of the examples apart in fewer rows, and goes on after a stop to the same bytes; heads whose
 * examples need rows of their own refuse it.
 */
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { readTrainRecord, type TrainRecord } from '../../train/result-file.ts';
import { run } from './command.ts';
import { begin, untilThere } from './life.ts';
import { tinyLanguageModel } from './tiny-language-model.ts';

const MANY = 24;
const ROWS = Array.from({ length: MANY }, (_, i) => [`row ${i} has`, ` ${'some '.repeat(i % 3)}words`] as const);

let dir: string;
let data: string[];
beforeAll(async () => {
  dir = await mkdtemp(join(tmpdir(), 'packing-'));
  const texts = ROWS.map((row) => row.join(''));
  const model = await tinyLanguageModel(join(dir, 'model'), texts, 64);
  const lines = ROWS.map(([prompt, completion]) => `${JSON.stringify({ prompt, completion })}\n`);
  await writeFile(join(dir, 'rows.jsonl'), lines.join(''));
  data = ['--model', model, '--train', join(dir, 'rows.jsonl'), '--max-length', '64', '--lora-r', '2', '--lr', '0.01'];
});
afterAll(() => rm(dir, { recursive: true }));

const at = (name: string): string => join(dir, name);

async function trained(out: string, ...flags: string[]): Promise<TrainRecord> {
  await run(0, 'train', ...data, '--out', at(out), ...flags);
  return readTrainRecord(join(at(out), 'train.json'));
}

it('has the loss and the tokens of the same examples in rows of their own, and fewer steps an epoch', async () => {
  const all = ['--batch-size', String(MANY), '--epochs', '1'];
  const [apart, packed] = [await trained('apart', ...all), await trained('packed', ...all, '--packing')];
  expect([apart.steps, packed.steps]).toEqual([1, 1]);
  expect(packed.tokens).toBe(apart.tokens);
  expect(packed.loss[0]).toBeCloseTo(apart.loss[0]!, 5);
  const few = ['--batch-size', '2', '--epochs', '1'];
  const steps = [(await trained('few', ...few)).steps, (await trained('few-packed', ...few, '--packing')).steps];
  expect(steps[0]).toBe(MANY / 2);
  expect(steps[1]).toBeLessThan(MANY / 4);
});

it('stopped and resumed, again and again, it ends with the same bytes', async () => {
  const long = ['--packing', '--batch-size', '2', '--steps', '60', '--dropout', '0.1', '--save-every', '1', '--resume'];
  const whole = await trained('whole', ...long);
  let stops = 0;
  for (; stops < 3; stops++) {
    const life = begin(dir, ['train', ...data, ...long, '--out', at('stopped'), '--log-jsonl', at(`${stops}.jsonl`)]);
    await untilThere(at(`${stops}.jsonl`), life);
    life.child.kill('SIGTERM');
    const { code, said } = await life.ended;
    expect(code, said).toBe(143);
  }
  const stopped = await trained('stopped', ...long);
  expect(stopped.loss).toEqual(whole.loss);
  const weights = (out: string): Promise<Buffer> => readFile(join(at(out), 'adapter_model.safetensors'));
  expect((await weights('stopped')).equals(await weights('whole'))).toBe(true);
});
