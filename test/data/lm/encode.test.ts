/** Protects: what a language model learns of a file — completions only, documents packed whole — and what bad files are told. */
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { loadTokenizer, type TextTokenizer } from '../../../models/tokenizer.ts';
import { isForLanguage, isPlainText, readLanguageFile } from '../../../data/lm/documents.ts';
import { encodeLanguageFile, type LanguageOptions } from '../../../data/lm/encode.ts';

const MODEL = join(import.meta.dirname, '..', '..', '..', 'checkpoints', 'light-roberta');
const [BOS, EOS] = [0, 2];

let dir: string;
let tokenizer: TextTokenizer;
beforeAll(async () => {
  dir = await mkdtemp(join(tmpdir(), 'light-peft-'));
  tokenizer = await loadTokenizer(MODEL);
});
afterAll(() => rm(dir, { recursive: true }));

async function write(name: string, content: string): Promise<string> {
  const path = join(dir, name);
  await writeFile(path, content);
  return path;
}

async function encode(name: string, content: string, options: Partial<LanguageOptions> = {}) {
  const file = readLanguageFile(await write(name, content));
  const usual = { maxLength: 16, vocabSize: tokenizer.vocabSize, tokenizer, endId: EOS };
  return [...(await encodeLanguageFile(file, { ...usual, ...options }))];
}

const lines = (...rows: object[]): string => rows.map((row) => JSON.stringify(row)).join('\n');
const bare = async (text: string): Promise<readonly number[]> =>
  (await tokenizer.encode(text, undefined, { addSpecial: false })).ids;

describe('prompts with completions', () => {
  it('count the completion and the end token, never the prompt', async () => {
    const [example] = await encode('a.jsonl', lines({ prompt: 'the film was', completion: ' good' }));
    const [prompt, completion] = [await bare('the film was'), await bare(' good')];
    expect([...example!.ids]).toEqual([BOS, ...prompt, ...completion, EOS]);
    expect([...example!.tokenLabels!]).toEqual([-100, ...prompt.map(() => -100), ...completion, EOS]);
  });

  it('are cut at the end, and refused where nothing of the completion is left', async () => {
    const long = Array.from({ length: 10 }, () => 'film').join(' ');
    const [example] = await encode('b.jsonl', lines({ prompt: 'so', completion: `${long} ${long}` }));
    expect(example!.ids.length).toBe(16);
    await expect(encode('c.jsonl', lines({ prompt: `${long} ${long}`, completion: 'x' }))).rejects.toThrow(
      /c\.jsonl:1: "prompt" has \d+ tokens, expected fewer than 16/,
    );
  });
});

describe('text', () => {
  it('is packed: one stream with an end token after each document, every token learned', async () => {
    const texts = ['a first document', 'another one that is longer than the first', 'end'];
    const blocks = await encode('d.jsonl', lines(...texts.map((text) => ({ text }))), { maxLength: 5 });
    const stream = (await Promise.all(texts.map(bare))).flatMap((ids) => [BOS, ...ids, EOS]);
    expect(blocks.flatMap(({ ids }) => [...ids])).toEqual(
      stream.slice(0, stream.length - (stream.length % 5 === 1 ? 1 : 0)),
    );
    expect(blocks.slice(0, -1).every(({ ids }) => ids.length === 5)).toBe(true);
    for (const { ids, tokenLabels } of blocks) expect(tokenLabels).toEqual(ids);
  });

  it('of a .txt file is one document, line breaks and all', async () => {
    const blocks = await encode('e.txt', 'one line\nanother line\n', { maxLength: 1000 });
    expect([...blocks[0]!.ids]).toEqual([BOS, ...(await bare('one line\nanother line\n')), EOS]);
  });
});

it('tells what a line is for', () => {
  expect([isPlainText('x.txt'), isPlainText('x.jsonl')]).toEqual([true, false]);
  expect(isForLanguage({ prompt: 'a', completion: 'b' })).toBe(true);
  expect(isForLanguage({ input_ids: [1], labels: [1] })).toBe(true);
  expect(isForLanguage({ text: 'a', label: 1 })).toBe(false);
  expect(isForLanguage({ text: 'a' })).toBe(false);
});

it('refuses tokens that the model has no embedding for, of documents and completions', async () => {
  const options = { vocabSize: 300 };
  await expect(encode('v.jsonl', lines({ text: 'a' }, { text: 'film' }), options)).rejects.toThrow(
    /v\.jsonl:2: the tokenizer gives token \d+/,
  );
  await expect(encode('w.jsonl', lines({ prompt: 'film', completion: 'x' }), options)).rejects.toThrow(
    /w\.jsonl:1: the tokenizer gives token \d+/,
  );
});

it.each([
  ['labels of another length', { input_ids: [4, 5], labels: [4] }, /:1: "labels" is .*expected 2 entries/],
  ['a label below −100', { input_ids: [4, 5], labels: [4, -1] }, /:1: "labels"/],
  ['nothing to learn', { input_ids: [4, 5], labels: [4, -100] }, /bad.jsonl: no token to learn/],
  ['nothing but padding', { input_ids: [4, 5], attention_mask: [0, 0] }, /bad.jsonl: no token to learn/],
  ['a mask of another length', { input_ids: [4, 5], attention_mask: [1] }, /:1: "attention_mask" has 1 entries/],
  ['a mask of other numbers', { input_ids: [4, 5], attention_mask: [1, 2] }, /:1: "attention_mask" entry 1 is 2/],
  ['an id outside the vocabulary', { input_ids: [4, 99999] }, /:1: token 99999, expected ids below/],
  [
    'too many tokens',
    { input_ids: new Array<number>(17).fill(4) },
    /:1: "input_ids" has 17 tokens, expected at most 16/,
  ],
  [
    'other columns',
    { sentence: 'a' },
    /:1: found sentence, expected "messages", or "prompt" and "completion", or "text"/,
  ],
  ['a completion that is missing', { prompt: 'a' }, /:1: "completion" is .*expected a string/],
])('refuses %s', async (_, row, message) => {
  await expect(encode('bad.jsonl', lines(row))).rejects.toThrow(message);
});
