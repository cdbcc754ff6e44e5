/** Protects: the trainer learns the merges of the textbook algorithm, and any text survives its tokenizer. */
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { loadTokenizer, type TextTokenizer } from '../../models/tokenizer.ts';
import {
  byteCharacters,
  SPECIAL_TOKENS,
  trainBpe,
  writeTokenizer,
  type BpeOptions,
  type BpeVocabulary,
} from '../../pretrain/bpe.ts';

/** The tokenizer's Unicode tables are older than JavaScript's, and a final sigma is none of theirs. */
const CHARACTER = fc.oneof(
  fc.string({ unit: 'grapheme-ascii', minLength: 1, maxLength: 1 }),
  fc.constantFrom(
    ...Array.from('éÅßñ日本語한국어дЖ'),
    ...['ﬁ', '½', '™', '“', '’', '😀', '👩‍👩‍👧', 'e\u0301', '\n', '\u00a0'],
  ),
);

const BASE = SPECIAL_TOKENS.length + 256;

/** Byte-pair encoding as written down by Sennrich et al.: count every pair anew for each merge. Words of a–c only. */
function textbook(texts: readonly string[], { vocabSize, minFrequency, maxTokenLength }: BpeOptions): string[] {
  const ids = [...SPECIAL_TOKENS, ...byteCharacters().sort()];
  const words = texts.flatMap((text) => text.split(' ').filter(Boolean)).map((word) => ['Ġ', ...word.split('')]);
  const refused = new Set<string>();
  const merges: string[] = [];
  while (ids.length < vocabSize) {
    const counts = new Map<string, number>();
    for (const word of words) {
      for (let i = 1; i < word.length; i++) {
        const pair = `${word[i - 1]} ${word[i]}`;
        counts.set(pair, (counts.get(pair) ?? 0) + 1);
      }
    }
    const order = (pair: string): number => pair.split(' ').reduce((key, token) => key * 65536 + ids.indexOf(token), 0);
    const [best] = [...counts]
      .filter(([pair, count]) => count >= minFrequency && !refused.has(pair))
      .sort((a, b) => b[1] - a[1] || order(a[0]) - order(b[0]));
    if (!best) break;
    const [left, right] = best[0].split(' ') as [string, string];
    if (left.length + right.length > maxTokenLength) {
      refused.add(best[0]);
      continue;
    }
    merges.push(best[0]);
    ids.push(left + right);
    for (const word of words) {
      for (let i = 0; i + 1 < word.length; i++) {
        if (word[i] === left && word[i + 1] === right) word.splice(i, 2, left + right);
      }
    }
  }
  return merges;
}

async function load(vocabulary: BpeVocabulary): Promise<TextTokenizer> {
  const folder = await mkdtemp(join(tmpdir(), 'bpe-'));
  await writeTokenizer(folder, vocabulary, 64);
  const tokenizer = await loadTokenizer(folder);
  await rm(folder, { recursive: true });
  return tokenizer;
}

describe('trainBpe', () => {
  it('learns the merges of the textbook algorithm', async () => {
    const word = fc.string({ unit: fc.constantFrom('a', 'b', 'c'), minLength: 1, maxLength: 7 });
    const text = fc.array(word, { minLength: 1, maxLength: 12 }).map((words) => words.join(' '));
    const options = fc.record({
      vocabSize: fc.integer({ min: BASE, max: BASE + 25 }),
      minFrequency: fc.integer({ min: 1, max: 3 }),
      maxTokenLength: fc.integer({ min: 2, max: 6 }),
    });
    await fc.assert(
      fc.asyncProperty(fc.array(text, { minLength: 1, maxLength: 4 }), options, async (texts, settings) => {
        const { tokens, merges } = await trainBpe(texts, settings);
        expect(merges.map((merge) => merge.join(' '))).toEqual(textbook(texts, settings));
        expect(tokens).toHaveLength(BASE + merges.length);
        expect(new Set(tokens).size).toBe(tokens.length);
      }),
    );
  });

  it('starts from the special tokens and all bytes, and does not tell case apart', async () => {
    const { tokens } = await trainBpe(['Aa AA aa'], { vocabSize: 300, minFrequency: 1, maxTokenLength: 16 });
    expect(tokens.slice(0, 5)).toEqual(['<s>', '<pad>', '</s>', '<unk>', '<mask>']);
    expect(new Set(tokens.slice(5, BASE))).toEqual(new Set(byteCharacters()));
    expect(tokens.slice(BASE)).toEqual(['aa', 'Ġaa']);
  });
});

describe('the written tokenizer', () => {
  it('gives back any text, whatever it was trained on', async () => {
    const tokenizer = await load(
      await trainBpe(['the cat sat on the mat'], { vocabSize: 280, minFrequency: 1, maxTokenLength: 8 }),
    );
    await fc.assert(
      fc.asyncProperty(fc.string({ unit: CHARACTER, minLength: 1, maxLength: 30 }), async (text) => {
        const normal = text
          .normalize('NFKC')
          .replace(/[‘’‛`´]/g, "'")
          .replace(/[“”„‟]/g, '"')
          .toLowerCase();
        const { ids } = await tokenizer.encode(text);
        expect([ids[0], ids.at(-1)]).toEqual([0, 2]);
        expect(tokenizer.decode(ids)).toBe(normal.startsWith(' ') ? normal : ` ${normal}`);
      }),
    );
  });

  it('uses the learned tokens, with a space before the first word too', async () => {
    const tokenizer = await load(
      await trainBpe(['low low lower'], { vocabSize: 300, minFrequency: 2, maxTokenLength: 16 }),
    );
    const [, first, second] = (await tokenizer.encode('low low')).ids;
    expect(first).toBe(second);
    expect(tokenizer.decode([first!])).toBe(' low');
    expect(tokenizer.maxLength).toBe(64);
  });
});
