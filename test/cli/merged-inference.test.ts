/** Protects: `predict --merge` and `eval --merge` give what the adapter gives beside the base, pruned or not; what cannot be merged is told. */
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { run } from './command.ts';

const OLD = join(import.meta.dirname, '..', 'fixtures', 'version-0.1');
const MODEL = ['--model', join(import.meta.dirname, '..', 'goldens', 'roberta', 'model')];
const TRAIN = ['--train', join(OLD, 'data.jsonl'), '--batch-size', '4', '--max-length', '24', '--lr', '0.05'];
const DATA = ['--data', join(OLD, 'eval.jsonl'), '--max-length', '24'];

let dir: string;
beforeAll(async () => {
  dir = await mkdtemp(join(tmpdir(), 'light-peft-'));
});
afterAll(() => rm(dir, { recursive: true, force: true }));

const at = (name: string): string => join(dir, name);

async function logitsOf(adapter: string, ...more: string[]): Promise<number[]> {
  await run(0, 'predict', ...MODEL, ...DATA, '--adapter', at(adapter), '--out', at('lines.jsonl'), ...more);
  const lines = (await readFile(at('lines.jsonl'), 'utf8')).split('\n').slice(0, -1);
  return lines.flatMap((line) => (JSON.parse(line) as { logits: number[] }).logits);
}

it('gives the same of LoRA, whole and pruned', async () => {
  await run(0, 'train', ...MODEL, ...TRAIN, '--lora-r', '4', '--steps', '3', '--out', at('lora'));
  await run(0, 'estimate', ...MODEL, ...TRAIN, '--lora-r', '4', '--estimate-steps', '4', '--out', at('estimate'));
  await run(0, 'prune', ...MODEL, '--estimate', at('estimate'), '--out', at('pruned'));
  for (const adapter of ['lora', 'pruned']) {
    const [plain, merged] = [await logitsOf(adapter), await logitsOf(adapter, '--merge')];
    expect(merged).toHaveLength(plain.length);
    for (const [i, value] of merged.entries()) expect(value).toBeCloseTo(plain[i]!, 4);
  }
  const accuracy = async (...more: string[]): Promise<unknown> => {
    const said = await run(0, 'eval', ...MODEL, ...DATA, '--adapter', at('lora'), '--json', ...more);
    return /"accuracy": [\d.]+/.exec(said)?.[0];
  };
  expect(await accuracy('--merge')).toBe(await accuracy());
});

it('tells what cannot be merged', async () => {
  await run(0, 'train', ...MODEL, ...TRAIN, '--peft', 'houlsby', '--steps', '1', '--out', at('houlsby'));
  const predict = ['predict', ...MODEL, ...DATA, '--merge', '--out', at('no.jsonl')];
  expect(await run(2, ...predict, '--adapter', at('houlsby'))).toContain('bottleneck adapters cannot be merged');
  const two = ['--adapter', `a=${at('lora')}`, '--adapter', `b=${at('lora')}`];
  expect(await run(2, ...predict, ...two)).toContain('--merge: found several adapters on one base, expected one');
});
