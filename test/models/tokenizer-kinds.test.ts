/** Protects: the tokenizers that each family's checkpoints come with: byte-level BPE, sentencepiece's BPE and unigram, their templates. */
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, it } from 'vitest';
import { loadTokenizer, type TextTokenizer } from '../../models/tokenizer.ts';

async function load(json: object): Promise<TextTokenizer> {
  const folder = await mkdtemp(join(tmpdir(), 'tokenizer-'));
  await writeFile(join(folder, 'tokenizer.json'), JSON.stringify(json));
  const tokenizer = await loadTokenizer(folder);
  await rm(folder, { recursive: true });
  return tokenizer;
}

const ids = (tokens: readonly string[]): Record<string, number> => Object.fromEntries(tokens.map((t, id) => [t, id]));
const added = (tokens: readonly string[]): object[] =>
  tokens.map((content, id) => ({
    id,
    content,
    special: true,
    normalized: false,
    single_word: false,
    lstrip: false,
    rstrip: false,
  }));
const special = (id: string, type_id = 0): object => ({ SpecialToken: { id, type_id } });
const text = (id: 'A' | 'B', type_id = 0): object => ({ Sequence: { id, type_id } });
const template = (single: object[], pair: object[], tokens: Record<string, number>): object => ({
  ...{ type: 'TemplateProcessing', single, pair },
  special_tokens: Object.fromEntries(Object.entries(tokens).map(([t, id]) => [t, { id: t, ids: [id], tokens: [t] }])),
});

const BYTE_LEVEL = { type: 'ByteLevel', add_prefix_space: false, trim_offsets: true, use_regex: true };
const BYTES = ['<|endoftext|>', 'l', 'o', 'w', 'e', 'r', 'Ġ', 'Ã', '©', 'lo', 'low', 'Ġlow', 'er', '\u010a'];
const BYTE_BPE = {
  added_tokens: added(BYTES.slice(0, 1)),
  normalizer: null,
  pre_tokenizer: BYTE_LEVEL,
  decoder: BYTE_LEVEL,
  model: { type: 'BPE', vocab: ids(BYTES), merges: ['l o', 'lo w', 'Ġ low', 'e r'] },
};

it('GPT-2: bytes, spaces before words, no special tokens', async () => {
  const gpt2 = await load({ ...BYTE_BPE, post_processor: { ...BYTE_LEVEL, trim_offsets: false } });
  expect((await gpt2.encode('lower lower')).ids).toEqual([10, 12, 11, 12]);
  expect((await gpt2.encode('é\n')).ids).toEqual([7, 8, 13]);
  expect((await gpt2.encode('low', ' low')).ids).toEqual([10, 11]);
  expect((await gpt2.encode('low<|endoftext|>')).ids).toEqual([10, 0]);
  expect(gpt2.decode([10, 12, 11, 12, 0])).toBe('lower lower');
  expect((await gpt2.encode('lower lower', undefined, { maxLength: 3 })).ids).toEqual([10, 12, 11]);
});

it('OPT and Llama 3: byte-level BPE behind a first token', async () => {
  const bos = { '<|endoftext|>': 0 };
  const single = [special('<|endoftext|>'), text('A')];
  const pair = [...single, special('<|endoftext|>', 1), text('B', 1)];
  const opt = await load({ ...BYTE_BPE, post_processor: template(single, pair, bos) });
  expect((await opt.encode('low')).ids).toEqual([0, 10]);
  expect((await opt.encode('low', ' low')).ids).toEqual([0, 10, 0, 11]);
  expect((await opt.encode('low low low', undefined, { maxLength: 3 })).ids).toEqual([0, 10, 11]);
});

it('Llama 2: sentencepiece’s BPE, bytes for what is not in the vocabulary', async () => {
  const tokens = ['<unk>', '<s>', '</s>', '<0xC3>', '<0xA9>', '<0x0A>', '▁', 'a', 'b', '▁a', 'ab', '▁ab'];
  const llama = await load({
    added_tokens: added(tokens.slice(0, 3)),
    normalizer: {
      type: 'Sequence',
      normalizers: [
        { type: 'Prepend', prepend: '▁' },
        { type: 'Replace', pattern: { String: ' ' }, content: '▁' },
      ],
    },
    pre_tokenizer: null,
    post_processor: template(
      [special('<s>'), text('A')],
      [special('<s>'), text('A'), special('<s>', 1), text('B', 1)],
      { '<s>': 1 },
    ),
    decoder: {
      type: 'Sequence',
      decoders: [
        { type: 'Replace', pattern: { String: '▁' }, content: ' ' },
        { type: 'ByteFallback' },
        { type: 'Fuse' },
        { type: 'Strip', content: ' ', start: 1, stop: 0 },
      ],
    },
    model: {
      ...{ type: 'BPE', unk_token: '<unk>', fuse_unk: true, byte_fallback: true },
      ...{ vocab: ids(tokens), merges: ['a b', '▁ ab', '▁ a'] },
    },
  });
  expect((await llama.encode('ab a')).ids).toEqual([1, 11, 9]);
  expect((await llama.encode('aé\n')).ids).toEqual([1, 9, 3, 4, 5]);
  expect(await llama.encode('ab', 'a')).toEqual({ ids: [1, 11, 1, 9], typeIds: [0, 0, 1, 1] });
  expect(llama.decode([1, 11, 9, 3, 4])).toBe('ab aé');
});

it('XLM-R: sentencepiece’s unigram, two separators between texts', async () => {
  const pieces: [string, number][] = [
    ...(['<s>', '<pad>', '</s>', '<unk>'] as const).map((piece): [string, number] => [piece, 0]),
    ...([
      ['▁', -3],
      ['a', -4],
      ['b', -4],
      ['▁a', -2],
      ['ab', -3],
      ['▁ab', -2.5],
      ['c', -5],
    ] as [string, number][]),
  ];
  const frame = [special('<s>'), text('A'), special('</s>')];
  const xlmr = await load({
    added_tokens: added(['<s>', '<pad>', '</s>', '<unk>']),
    normalizer: { type: 'NFKC' },
    pre_tokenizer: {
      type: 'Sequence',
      pretokenizers: [{ type: 'WhitespaceSplit' }, { type: 'Metaspace', replacement: '▁', add_prefix_space: true }],
    },
    post_processor: template(frame, [...frame, special('</s>'), text('B'), special('</s>')], { '<s>': 0, '</s>': 2 }),
    decoder: { type: 'Metaspace', replacement: '▁', add_prefix_space: true },
    model: { type: 'Unigram', unk_id: 3, vocab: pieces },
  });
  // ▁ab (−2.5) beats ▁a + b (−6) and ▁ + ab (−6).
  expect((await xlmr.encode('ab  ca')).ids).toEqual([0, 9, 4, 10, 5, 2]);
  expect((await xlmr.encode('a z')).ids).toEqual([0, 7, 4, 3, 2]);
  const pair = await xlmr.encode('ab', 'a');
  expect(pair).toEqual({ ids: [0, 9, 2, 2, 7, 2], typeIds: [0, 0, 0, 0, 0, 0] });
  expect(xlmr.decode([0, 9, 4, 10, 5, 2])).toBe('ab ca');
});

it('chunks of no length, which would end the process, are refused', async () => {
  const chunks = { type: 'FixedLength', length: 0 };
  for (const pre_tokenizer of [chunks, { type: 'Sequence', pretokenizers: [BYTE_LEVEL, chunks] }])
    await expect(load({ ...BYTE_BPE, pre_tokenizer })).rejects.toThrow('FixedLength has length 0');
});
