/**
 * Protects: ids, segments, places, windows and decoded text are the Rust library's for all normalizers, pre-tokenizers, models,
 * post-processors, decoders and flags of added tokens, on texts with all kinds of characters.
 */
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { loadTokenizer, type TextTokenizer } from '../../models/tokenizer.ts';
import digests from './tokenizer-fuzz/digests.json' with { type: 'json' };
import { digestOf, storedTexts } from './tokenizer-fuzz/digests.ts';
import { KINDS, tokenizerJson } from './tokenizer-fuzz/kinds.ts';
import { outcomes } from './tokenizer-fuzz/outcome.ts';

let folder: string;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'tokenizer-'));
});
afterAll(() => rm(folder, { recursive: true }));

async function load(json: object): Promise<TextTokenizer> {
  await writeFile(join(folder, 'tokenizer.json'), JSON.stringify(json));
  return loadTokenizer(folder);
}

it('gives what the Python bindings gave, for each of the tokenizers', async () => {
  const found: string[] = [];
  for (let number = 0; number < KINDS; number++) {
    const lines = await outcomes(await load(tokenizerJson(number)), storedTexts(number));
    found.push(digestOf(lines.join('\n')));
  }
  expect(found).toEqual(digests);
}, 120_000);

describe('BERT', () => {
  const WORDS = ['[PAD]', '[UNK]', 'the', 'film', 'was', 'good', 'bad', '##making', 'zoe', 'naïve', 'fine', 'yes'];
  const MORE = ['οδοσ', 'οδος', 'covid', '-', '19', 'über', 'café'];
  const vocab = Object.fromEntries([...WORDS, ...MORE].map((word, id) => [word, id]));
  const NO_FLAGS = { single_word: false, lstrip: false, rstrip: false, normalized: false, special: false };
  const added = (content: string, id: number, flags: object): object => ({ content, id, ...NO_FLAGS, ...flags });
  const json = (more: object): object => ({
    added_tokens: [],
    normalizer: {
      ...{ type: 'BertNormalizer', clean_text: true, handle_chinese_chars: true, strip_accents: null, lowercase: true },
    },
    pre_tokenizer: { type: 'BertPreTokenizer' },
    post_processor: null,
    decoder: { type: 'WordPiece', prefix: '##', cleanup: true },
    model: {
      ...{ type: 'WordPiece', unk_token: '[UNK]', continuing_subword_prefix: '##', max_input_chars_per_word: 100 },
      vocab,
    },
    ...more,
  });
  const idsOf = async (tokenizer: TextTokenizer, text: string): Promise<readonly number[]> =>
    (await tokenizer.encode(text)).ids;

  it('finds added tokens with `normalized` in the normalised text', async () => {
    const flags = { normalized: true };
    const bert = await load(json({ added_tokens: [added('COVID-19', 19, flags), added('Zoë', 20, flags)] }));
    expect(await idsOf(bert, 'the COVID-19 film')).toEqual([2, 19, 3]);
    expect(await idsOf(bert, 'Zoë was good')).toEqual([20, 4, 5]);
    expect(await idsOf(bert, 'covid-19 was bad')).toEqual([19, 4, 6]);
    expect(await idsOf(bert, 'zoe film')).toEqual([20, 3]);
  });

  it('finds added tokens with `single_word` where no letter or digit is beside them', async () => {
    const bert = await load(json({ added_tokens: [added('film', 19, { single_word: true })] }));
    expect(await idsOf(bert, 'the film.')).toEqual([2, 3, 1]);
    expect(await idsOf(bert, 'the filmmaking')).toEqual([2, 3, 7]);
    expect(await idsOf(bert, 'éfilm')).toEqual([1]);
  });

  it('takes spaces into added tokens with `lstrip` and `rstrip`', async () => {
    const tokens = [added('<l>', 19, { lstrip: true }), added('<r>', 20, { rstrip: true })];
    const bert = await load(json({ normalizer: null, pre_tokenizer: null, added_tokens: tokens }));
    expect(await idsOf(bert, 'the  <l>film')).toEqual([2, 19, 3]);
    expect(await idsOf(bert, 'the<r> \t film')).toEqual([2, 20, 3]);
    expect(await idsOf(bert, 'the<l> film')).toEqual([2, 19, 1]);
  });

  it('cuts at the side that its configuration names, or its own file', async () => {
    const config = join(folder, 'tokenizer_config.json');
    const text = 'the film was good';
    await writeFile(config, '{ "truncation_side": "left" }');
    const left = await load(json({}));
    await writeFile(config, '{}');
    expect((await left.encode(text, undefined, { maxLength: 3 })).ids).toEqual([3, 4, 5]);
    const truncation = { direction: 'Left', max_length: 2, strategy: 'LongestFirst', stride: 0 };
    const own = await load(json({ truncation }));
    expect((await own.encode(text, undefined, { maxLength: 3 })).ids).toEqual([3, 4, 5]);
    expect((await own.encode(text)).ids).toEqual([2, 3, 4, 5]);
  });

  it('has no final sigma', async () => {
    expect(await idsOf(await load(json({})), 'the ΟΔΟΣ was good')).toEqual([2, 12, 4, 5]);
  });

  it('splits at white space by the words of Unicode', async () => {
    const words = await load(json({ normalizer: null, pre_tokenizer: { type: 'Whitespace' } }));
    expect(await idsOf(words, 'naïve über café')).toEqual([9, 17, 18]);
  });
});
