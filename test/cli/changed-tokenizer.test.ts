/**
 * Protects: a run goes on only with the tokenizer that it began with, where it reads texts: the same weights may come with other merges or
 * words. Data of ids does not depend on it, and folders written before identities knew of it are taken up.
 */
import { cp, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { run } from './command.ts';

const RESIZED = join(import.meta.dirname, '..', 'goldens', 'resized');
const BERT = join(RESIZED, 'bert');
const GPT2 = join(RESIZED, 'gpt2');

let dir: string;
let model: string;
beforeAll(async () => {
  dir = await mkdtemp(join(tmpdir(), 'light-peft-'));
  model = join(dir, 'model');
  await cp(BERT, model, { recursive: true });
  const lines = (rows: readonly object[]): string =>
    rows.map((row, label) => JSON.stringify({ ...row, label })).join('\n');
  await writeFile(join(dir, 'texts.jsonl'), lines([{ text: 'w1 w2' }, { text: 'w3' }]));
  await writeFile(join(dir, 'ids.jsonl'), lines([{ input_ids: [5, 6] }, { input_ids: [7] }]));
});
afterAll(() => rm(dir, { recursive: true }));

const SMALL = ['--lora-r', '2', '--batch-size', '2', '--steps', '1', '--dropout', '0'];

const flags = (data: string, out: string): string[] => [
  '--model',
  model,
  '--train',
  join(dir, data),
  '--out',
  join(dir, out),
  ...SMALL,
];

/** Swaps two words. */
async function changeTokenizer(): Promise<void> {
  const path = join(model, 'tokenizer.json');
  const text = await readFile(path, 'utf8');
  const ids = (JSON.parse(text) as { model: { vocab: Record<string, number> } }).model.vocab;
  const swapped = text.replace(/"w1": ?\d+/, `"w1": ${ids.w3}`).replace(/"w3": ?\d+/, `"w3": ${ids.w1}`);
  expect(swapped).not.toBe(text);
  await writeFile(path, swapped);
}

it('another tokenizer under the same weights is told', async () => {
  await run(0, 'train', ...flags('texts.jsonl', 'texts'));
  await run(0, 'train', ...flags('ids.jsonl', 'ids'));
  const experiment = [
    ...flags('texts.jsonl', 'run'),
    '--eval',
    join(dir, 'texts.jsonl'),
    '--methods',
    'reference',
    '--seeds',
    '1',
  ];
  await run(0, 'run', ...experiment);
  await changeTokenizer();
  const message = /the content of `tokenizer` is not what it was/;
  expect(await run(2, 'train', ...flags('texts.jsonl', 'texts'), '--resume')).toMatch(message);
  expect(await run(2, 'run', ...experiment)).toMatch(message);
  expect(await run(0, 'train', ...flags('ids.jsonl', 'ids'), '--resume')).toContain('finished already');

  const path = join(dir, 'texts', 'identity.json');
  const written = JSON.parse(await readFile(path, 'utf8')) as { identity: Record<string, unknown> };
  const { tokenizerContent, ...identity } = written.identity;
  expect(tokenizerContent).toMatch(/^sha256:/);
  await writeFile(path, JSON.stringify({ ...written, identity }));
  expect(await run(0, 'train', ...flags('texts.jsonl', 'texts'), '--resume')).toContain('finished already');
});

it('and so is another template of the conversations that it reads', async () => {
  const chat = join(dir, 'chat');
  await cp(GPT2, chat, { recursive: true });
  const template = join(chat, 'chat_template.jinja');
  await writeFile(template, '{% for m in messages %}{{ m.content }} w1 {% endfor %}');
  const row = { messages: ['user', 'assistant'].map((role) => ({ role, content: 'w2 w3' })) };
  await writeFile(join(dir, 'chat.jsonl'), JSON.stringify(row));
  const places = ['--model', chat, '--train', join(dir, 'chat.jsonl'), '--out', join(dir, 'chatting')];
  const train = ['train', ...places, '--loss-on', 'all', ...SMALL];
  await run(0, ...train);
  await writeFile(template, '{% for m in messages %}{{ m.content }} w2 {% endfor %}');
  expect(await run(2, ...train, '--resume')).toMatch(/the content of `chatTemplate` is not what it was/);
});
