/**
 * Protects: `--resize-embeddings`: a vocabulary that grows to its tokenizer's, from training to the merged folder. `goldens/resized` has
 * 20 tokens and a tokenizer of 22; its adapter is written by PEFT 0.21 and transformers 5.24 on the resized GPT-2, with its scores.
 */
import { cp, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { openSafetensors } from '../../engine/io/safetensors.ts';
import { openWeights } from '../../models/resized-file.ts';
import { loadModel } from '../../models/checkpoint.ts';
import { run } from './command.ts';

const GOLDENS = join(import.meta.dirname, '..', 'goldens', 'resized');
const BERT = join(GOLDENS, 'bert');
const GPT2 = join(GOLDENS, 'gpt2');
const WORDS = 'bert.embeddings.word_embeddings.weight';

let dir: string;
beforeAll(async () => {
  dir = await mkdtemp(join(tmpdir(), 'light-peft-'));
  const rows = ['w1 <a> w2', 'w3 <b>', '<a> <b> w4', 'w5'].map((text, i) => JSON.stringify({ text, label: i % 2 }));
  await writeFile(join(dir, 'classes.jsonl'), rows.join('\n'));
  await writeFile(
    join(dir, 'texts.jsonl'),
    ['w1 <a> w2', '<b> w3 <a>'].map((text) => JSON.stringify({ text })).join('\n'),
  );
});
afterAll(() => rm(dir, { recursive: true }));

const SMALL = ['--lora-r', '2', '--batch-size', '2', '--steps', '3', '--lr', '0.05', '--dropout', '0'];

function training(command: string, model: string, data: string, out: string, ...more: string[]): string[] {
  return [command, '--model', model, '--train', join(dir, data), '--out', join(dir, out), ...SMALL, ...more];
}

async function predict(model: string, data: string, ...more: string[]): Promise<number[]> {
  const out = join(dir, 'predictions.jsonl');
  await run(0, 'predict', '--model', model, '--data', join(dir, data), '--out', out, ...more);
  const lines = (await readFile(out, 'utf8')).trim().split('\n');
  return lines.flatMap((line) => (JSON.parse(line) as { logits: number[][] }).logits.flat());
}

async function tensor(folder: string, name: string): Promise<{ shape: readonly number[]; data: Float32Array }> {
  const file = await openSafetensors(folder);
  const found = { shape: file.info(name).shape, data: await file.readFloat32(name) };
  await file.close();
  return found;
}

const json = async (...path: string[]): Promise<Record<string, unknown>> =>
  JSON.parse(await readFile(join(...path), 'utf8')) as Record<string, unknown>;

function expectClose(found: readonly number[], expected: readonly number[]): void {
  expect(found).toHaveLength(expected.length);
  expect(Math.max(...found.map((value, i) => Math.abs(value - expected[i]!)))).toBeLessThan(2e-5);
}

it('new rows are the mean of the old ones, and the fingerprint is that of the original', async () => {
  const [original, resized] = [await loadModel(BERT), await loadModel(BERT, { resizeEmbeddings: true })];
  expect(resized.config.vocabSize).toBe(22);
  expect(await resized.fingerprint()).toBe(await original.fingerprint());
  const { data: old } = await tensor(join(BERT, 'model.safetensors'), WORDS);
  const file = await openWeights(BERT, resized.config);
  const grown = await file.readFloat32(WORDS, [22, 8]);
  const bytes = await file.read(WORDS);
  await file.close();
  expect(grown.subarray(0, old.length)).toEqual(old);
  for (let i = 0; i < 16; i++) {
    const column = old.filter((_, at) => at % 8 === i % 8);
    const mean = column.reduce((sum, value) => sum + value, 0) / 20;
    expect(grown[160 + i]).toBe(Math.fround(mean));
  }
  expect(new Float32Array(bytes.buffer)).toEqual(grown);
});

it('is refused without the option, which is named, and where the embedding stays on the host', async () => {
  const plain = await run(2, ...training('train', BERT, 'classes.jsonl', 'refused'));
  expect(plain).toMatch(/classes\.jsonl:1: .*token 20, but the model's vocabulary size is 20; set --resize-embeddings/);
  const host = training('train', BERT, 'classes.jsonl', 'refused', '--resize-embeddings', '--embeddings', 'host');
  expect(await run(2, ...host)).toMatch(
    /word_embeddings\.weight stays on the host, where nothing trains; set --embeddings/,
  );
});

it('a classifier trains the new rows; its folder is read again, merged and exported', async () => {
  await run(0, ...training('train', BERT, 'classes.jsonl', 'bert', '--resize-embeddings'));
  const adapter = join(dir, 'bert');
  const { shape, data } = await tensor(join(adapter, 'adapter_model.safetensors'), `base_model.model.${WORDS}`);
  expect(shape).toEqual([22, 8]);
  expect(data.subarray(160, 168)).not.toEqual(data.subarray(168, 176));
  expect((await json(adapter, 'adapter_config.json')).modules_to_save).toContain('word_embeddings');
  const scores = await predict(BERT, 'classes.jsonl', '--adapter', adapter);
  await run(0, 'eval', '--model', BERT, '--adapter', adapter, '--data', join(dir, 'classes.jsonl'));
  const merged = join(dir, 'bert-merged');
  await run(0, 'merge', '--model', BERT, '--adapter', adapter, '--out', merged);
  expect((await json(merged, 'config.json')).vocab_size).toBe(22);
  expectClose(await predict(merged, 'classes.jsonl'), scores);
  const out = join(dir, 'bert-export');
  await run(0, 'export', '--model', BERT, '--adapter', adapter, '--out', out);
  expect((await json(out, 'base', 'config.json')).vocab_size).toBe(22);
  expectClose(await predict(join(out, 'base'), 'classes.jsonl', '--adapter', join(out, 'adapter')), scores);
});

it('bottleneck adapters are exported beside a base with the trained vocabulary', async () => {
  await run(0, ...training('train', BERT, 'classes.jsonl', 'hub', '--resize-embeddings', '--peft', 'adapter'));
  const [adapter, out] = [join(dir, 'hub'), join(dir, 'hub-export')];
  await run(0, 'export', '--model', BERT, '--adapter', adapter, '--out', out);
  const scores = await predict(BERT, 'classes.jsonl', '--adapter', adapter);
  expectClose(await predict(join(out, 'base'), 'classes.jsonl', '--adapter', join(out, 'adapter')), scores);
});

it('estimation, pruning and training go on with the vocabulary', async () => {
  const [estimated, cut] = [join(dir, 'estimate'), join(dir, 'cut')];
  await run(0, ...training('estimate', BERT, 'classes.jsonl', 'estimate', '--resize-embeddings'));
  for (const carry of ['inherit', 'reinit']) {
    await run(0, 'prune', '--model', BERT, '--estimate', estimated, '--out', cut, '--carry', carry, '--overwrite');
    const { shape, data } = await tensor(join(cut, 'adapter_model.safetensors'), `base_model.model.${WORDS}`);
    expect(shape).toEqual([22, 8]);
    const isMean = String(data.subarray(160, 168)) === String(data.subarray(168, 176));
    expect(isMean).toBe(carry === 'reinit');
  }
  const from = ['--init-adapter', cut];
  await run(0, ...training('train', BERT, 'classes.jsonl', 'cut-trained', ...from));
  const both = training('train', BERT, 'classes.jsonl', 'both', ...from, '--resize-embeddings');
  expect(await run(2, ...both)).toMatch(/--resize-embeddings and --init-adapter: give one of them/);
});

it('the pad token may be one of the new ones', async () => {
  const model = join(dir, 'padded');
  await cp(BERT, model, { recursive: true });
  await writeFile(
    join(model, 'config.json'),
    JSON.stringify({ ...(await json(BERT, 'config.json')), pad_token_id: 21 }),
  );
  const plain = training('train', model, 'plain-classes.jsonl', 'padded-out');
  await writeFile(
    join(dir, 'plain-classes.jsonl'),
    [0, 1].map((label) => JSON.stringify({ text: 'w1', label })).join('\n'),
  );
  expect(await run(2, ...plain)).toMatch(
    /config\.json: key "pad_token_id": found 21, expected less than vocab_size \(20\); set --resize-embeddings/,
  );
  const adapter = join(dir, 'padded-out');
  await run(0, ...training('train', model, 'classes.jsonl', 'padded-out', '--resize-embeddings'));
  const scores = await predict(model, 'classes.jsonl', '--adapter', adapter);
  const merged = join(dir, 'padded-merged');
  await run(0, 'merge', '--model', model, '--adapter', adapter, '--out', merged);
  expect(await json(merged, 'config.json')).toMatchObject({ vocab_size: 22, pad_token_id: 21 });
  expectClose(await predict(merged, 'classes.jsonl'), scores);
});

it('run', async () => {
  const data = ['--eval', join(dir, 'classes.jsonl'), '--methods', 'reference', '--seeds', '1', '--resize-embeddings'];
  await run(0, ...training('run', BERT, 'classes.jsonl', 'run', ...data));
});

it('a tied language model trains embedding and head, each its own, and generates', async () => {
  await run(0, ...training('train', GPT2, 'texts.jsonl', 'gpt2', '--resize-embeddings'));
  const adapter = join(dir, 'gpt2');
  expect((await json(adapter, 'adapter_config.json')).modules_to_save).toEqual(['wte', 'lm_head']);
  const scores = await predict(GPT2, 'texts.jsonl', '--adapter', adapter);
  const [from, answers] = [
    ['--model', GPT2, '--adapter', adapter],
    ['--prompt', 'w1 <a>', '--max-new-tokens', '3'],
  ];
  await run(0, 'generate', ...from, ...answers);
  const merged = join(dir, 'gpt2-merged');
  await run(0, 'merge', ...from, '--out', merged);
  expect(await json(merged, 'config.json')).toMatchObject({ vocab_size: 22, tie_word_embeddings: false });
  expectClose(await predict(merged, 'texts.jsonl'), scores);
});

it('adapters with and without new tokens run on one base', async () => {
  await writeFile(join(dir, 'plain.jsonl'), JSON.stringify({ text: 'w1 w2 w3' }));
  await run(0, ...training('train', GPT2, 'plain.jsonl', 'plain'));
  const out = join(dir, 'predictions.jsonl');
  const adapters = ['plain', 'gpt2'].flatMap((name) => ['--adapter', join(dir, name)]);
  await run(0, 'predict', '--model', GPT2, '--data', join(dir, 'plain.jsonl'), '--out', out, ...adapters);
  const { logits } = (await json(out)) as { logits: Record<string, number[][]> };
  const alone = await predict(GPT2, 'plain.jsonl', '--adapter', join(dir, 'gpt2'));
  expectClose(logits.gpt2!.flat(), alone);
  const plain = await predict(GPT2, 'plain.jsonl', '--adapter', join(dir, 'plain'));
  expectClose(
    logits.plain!.flatMap((row) => row.slice(0, 20)),
    plain,
  );
});

it('an adapter that PEFT trained on a resized model gives its scores', async () => {
  const adapter = join(GOLDENS, 'gpt2-adapter');
  const { ids, logits } = await json(adapter, 'expected.json');
  await writeFile(join(dir, 'ids.jsonl'), JSON.stringify({ input_ids: ids }));
  expectClose(await predict(GPT2, 'ids.jsonl', '--adapter', adapter), (logits as number[][]).flat());
});
