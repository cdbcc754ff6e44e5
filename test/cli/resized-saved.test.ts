/**
 * Protects: adapters of a resized vocabulary whose matrices PEFT saved by itself, with LoRA on them or not: predicted, trained on, merged,
 * exported and generated from. `goldens/resized-saved` has such folders with PEFT's scores (`reference.py`).
 */
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { openSafetensors } from '../../engine/io/safetensors.ts';
import { run } from './command.ts';

const GOLDENS = join(import.meta.dirname, '..', 'goldens');
const SAVED = join(GOLDENS, 'resized-saved');

let dir: string;
beforeAll(async () => {
  dir = await mkdtemp(join(tmpdir(), 'light-peft-'));
});
afterAll(() => rm(dir, { recursive: true }));

const json = async (...path: string[]): Promise<Record<string, unknown>> =>
  JSON.parse(await readFile(join(...path), 'utf8')) as Record<string, unknown>;

async function scores(name: string, ...args: string[]): Promise<number[]> {
  const [data, out] = [join(dir, 'ids.jsonl'), join(dir, 'predictions.jsonl')];
  await writeFile(data, JSON.stringify({ input_ids: (await json(SAVED, name, 'expected.json')).ids }));
  await run(0, 'predict', '--data', data, '--out', out, ...args);
  return [(await json(out)).logits as number[] | number[][]].flat(2);
}

const CASES: [name: string, family: string, size?: number][] = [
  ['gpt2-frozen', 'gpt2'],
  ['gpt2-lora-words', 'gpt2'],
  ['gpt2-lora-head', 'gpt2'],
  ['gpt2-lora-both', 'gpt2'],
  ['bert-frozen', 'bert'],
  ['llama-frozen', 'llama'],
  ['llama-lora-words', 'llama'],
  ['llama-lora-head', 'llama'],
  ['llama-saved-head', 'llama'],
  ['llama-shrunk', 'llama', 17],
  ['gpt2-dora-head', 'gpt2'],
  ['bert-shrunk-biases', 'bert', 18],
];

describe.each<[name: string, family: string, size?: number]>(CASES)('%s', (name, family, size = 22) => {
  const model = join(family === 'llama' ? SAVED : join(GOLDENS, 'resized'), family);
  const folders = ['--model', model, '--adapter', join(SAVED, name)];

  it('has the scores of PEFT, merged and exported too', async () => {
    const expected = ((await json(SAVED, name, 'expected.json')).logits as number[][]).flat();
    const expectClose = (found: readonly number[]): void => {
      expect(found).toHaveLength(expected.length);
      expect(Math.max(...found.map((value, i) => Math.abs(value - expected[i]!)))).toBeLessThan(2e-5);
    };
    expectClose(await scores(name, ...folders));
    const [merged, out] = [join(dir, name), join(dir, `${name}-exported`)];
    await run(0, 'merge', ...folders, '--out', merged);
    expect(await json(merged, 'config.json')).toMatchObject({ vocab_size: size });
    expectClose(await scores(name, '--model', merged));
    await run(0, 'export', ...folders, '--out', out);
    expectClose(await scores(name, '--model', join(out, 'base'), '--adapter', join(out, 'adapter')));
  });
});

it.each(CASES.filter(([, family]) => family !== 'bert'))('%s says what PEFT does', async (name, family) => {
  const model = join(family === 'llama' ? SAVED : join(GOLDENS, 'resized'), family);
  const { ids, logits } = (await json(SAVED, name, 'expected.json')) as { ids: number[]; logits: number[][] };
  const [prompts, out] = [join(dir, 'prompts.jsonl'), join(dir, 'answers.jsonl')];
  await writeFile(prompts, JSON.stringify({ input_ids: ids }));
  const folders = ['--model', model, '--adapter', join(SAVED, name), '--prompts', prompts, '--out', out];
  await run(0, 'generate', ...folders, '--greedy', '--max-new-tokens', '1');
  const last = logits.at(-1)!;
  expect((await json(out)).output_ids).toEqual([last.indexOf(Math.max(...last))]);
});

it('training goes on with the new rows, and generation may say them', async () => {
  const model = join(GOLDENS, 'resized', 'gpt2');
  const [data, out] = [join(dir, 'texts.jsonl'), join(dir, 'trained')];
  await writeFile(data, ['w1 <a> w2', '<b> w3'].map((text) => JSON.stringify({ text })).join('\n'));
  const start = ['--init-adapter', join(SAVED, 'gpt2-frozen')];
  const small = ['--batch-size', '2', '--steps', '2', '--lr', '0.05', '--dropout', '0'];
  await run(0, 'train', '--model', model, '--train', data, ...start, ...small, '--out', out);
  const file = await openSafetensors(join(out, 'adapter_model.safetensors'));
  expect(file.info('base_model.model.transformer.wte.weight').shape).toEqual([22, 8]);
  await file.close();
  const folders = ['--model', model, '--adapter', out];
  await run(0, 'eval', ...folders, '--data', data);
  await run(0, 'generate', ...folders, '--prompt', 'w1 <a>', '--max-new-tokens', '3');
});
