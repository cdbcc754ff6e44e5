/** Protects: blocks lose no text, masking follows the recipe, and any step's batch can be made again. */
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { loadTokenizer } from '../../models/tokenizer.ts';
import type { CorpusDocument } from '../../pretrain/corpora.ts';
import { MlmBatches, mlmVocabulary, packBlocks, sentences, type Block } from '../../pretrain/mlm.ts';

const tokenizer = await loadTokenizer(new URL('../../checkpoints/light-roberta', import.meta.url).pathname);
const vocabulary = await mlmVocabulary(tokenizer);
const OPTIONS = { vocabulary, batchSize: 4, maxLength: 24, probability: 0.2, seed: 3 };

function document(text: string, source = 'a'): CorpusDocument {
  return { source, text, heldOut: false };
}

/** Blocks of given lengths whose text tokens are all different within a block. */
function blocks(...lengths: number[]): Block[] {
  return lengths.map((length, n) => {
    const text = Array.from({ length: length - 2 }, (_, i) => 100 + 50 * n + i);
    return { source: 'a', ids: Int32Array.from([vocabulary.bos, ...text, vocabulary.eos]) };
  });
}

describe('sentences', () => {
  it('splits after closing marks before an upper-case letter, digit or opening mark', () => {
    expect(sentences('He left. "Why?" She asked, e.g. me. 3 came (late!) Then (and only then.) Mr. X won')).toEqual([
      'He left.',
      '"Why?"',
      'She asked, e.g. me.',
      '3 came (late!)',
      'Then (and only then.)',
      'Mr.',
      'X won',
    ]);
  });
});

describe('packBlocks', () => {
  const sentence = fc.integer({ min: 1, max: 30 }).map((n) => `${'Word and more '.repeat(n).trim()}.`);
  const text = fc.array(sentence, { minLength: 1, maxLength: 5 }).map((list) => list.join(' '));
  const documents = fc.array(fc.tuple(text, fc.constantFrom('a', 'b')), { minLength: 1, maxLength: 8 });

  it('loses no token, mixes no sources and keeps to the length', async () => {
    await fc.assert(
      fc.asyncProperty(documents, fc.integer({ min: 8, max: 64 }), async (list, maxLength) => {
        const docs = list.map(([content, source]) => document(content, source));
        const packed = await packBlocks(docs, tokenizer, maxLength);
        const special = new Set([vocabulary.bos, vocabulary.eos]);
        for (const source of ['a', 'b']) {
          const own = packed.filter((block) => block.source === source);
          const tokens = own.flatMap(({ ids }) => [...ids].filter((id) => !special.has(id)));
          const parts = docs.filter((doc) => doc.source === source).flatMap((doc) => sentences(doc.text));
          const expected = await Promise.all(
            parts.map((part) => tokenizer.encode(part, undefined, { addSpecial: false })),
          );
          expect(tokens).toEqual(expected.flatMap(({ ids }) => ids));
        }
        for (const { ids } of packed) {
          expect(ids.length).toBeLessThanOrEqual(maxLength);
          expect([ids[0], ids.at(-1)]).toEqual([vocabulary.bos, vocabulary.eos]);
          expect([...ids.slice(1)]).not.toContain(vocabulary.bos);
          // No empty text between two separators.
          expect(ids.every((id, i) => id !== vocabulary.eos || ids[i + 1] !== vocabulary.eos)).toBe(true);
        }
      }),
    );
  });

  it('puts short documents together, separated, and begins blocks with sentences', async () => {
    const short = await packBlocks([document('One here.'), document('Two there.')], tokenizer, 32);
    expect(short.map(({ ids }) => tokenizer.decode([...ids], true))).toEqual(['<s> one here.</s> two there.</s>']);
    const long = await packBlocks([document('A short one of seven words, surely. '.repeat(9).trim())], tokenizer, 32);
    expect(long.length).toBeGreaterThan(2);
    for (const { ids } of long) expect(tokenizer.decode([...ids])).toMatch(/^ a short one/);
  });
});

describe('MlmBatches', () => {
  it('hides an exact share of each block’s text and says what was there', () => {
    const lengths = [24, 10, 3, 17];
    const all = blocks(...lengths);
    const batch = new MlmBatches(all, OPTIONS).at(0);
    const expected = lengths.reduce((sum, length) => sum + Math.max(1, Math.round((length - 2) * 0.2)), 0);
    expect(batch.count).toBe(expected);
    const restored = batch.inputIds.slice();
    batch.positions.slice(0, batch.count).forEach((position, i) => {
      expect(batch.attentionMask[position]).toBe(1);
      restored[position] = batch.labels[i]!;
    });
    const rows = Array.from({ length: 4 }, (_, row) => restored.slice(row * 24, row * 24 + 24));
    const sizes = rows.map((_, row) => batch.attentionMask.slice(row * 24, row * 24 + 24).reduce((a, b) => a + b));
    const texts = rows.map((row, i) => row.slice(0, sizes[i]).join());
    expect(texts.sort()).toEqual(all.map(({ ids }) => ids.join()).sort());
    rows.forEach((row, i) =>
      expect(new Set(row.slice(sizes[i]))).toEqual(new Set(sizes[i] === 24 ? [] : [vocabulary.pad])),
    );
  });

  it('has room for every batch, fills the rest with −1 and −100, in ascending order', () => {
    const batches = new MlmBatches(blocks(24, 24, 3, 24, 24, 5), OPTIONS);
    for (let step = 0; step < 20; step++) {
      const { positions, labels, count } = batches.at(step);
      expect([positions.length, labels.length]).toEqual([batches.capacity, batches.capacity]);
      const used = [...positions.slice(0, count)];
      expect(used).toEqual([...new Set(used)].sort((a, b) => a - b));
      expect([...positions.slice(count)].every((position) => position === -1)).toBe(true);
      expect([...labels.slice(count)].every((label) => label === -100)).toBe(true);
    }
  });

  it('replaces 80 % by <mask>, 10 % by other tokens that are no special ones, and leaves the rest', () => {
    const batches = new MlmBatches(blocks(...new Array<number>(40).fill(24)), { ...OPTIONS, probability: 0.5 });
    const seen = { mask: 0, same: 0, other: 0 };
    for (let step = 0; step < 60; step++) {
      const { inputIds, positions, labels, count } = batches.at(step);
      for (let i = 0; i < count; i++) {
        const id = inputIds[positions[i]!]!;
        seen[id === vocabulary.mask ? 'mask' : id === labels[i] ? 'same' : 'other']++;
        expect(id === vocabulary.mask || !vocabulary.special.has(id)).toBe(true);
        expect(vocabulary.special.has(labels[i]!)).toBe(false);
      }
    }
    const total = seen.mask + seen.same + seen.other;
    expect(seen.mask / total).toBeCloseTo(0.8, 1);
    expect(seen.same / total).toBeCloseTo(0.1, 1);
    expect(seen.other / total).toBeCloseTo(0.1, 1);
  });

  it('visits every block once an epoch, in another order and under other masks each time', () => {
    const all = blocks(...new Array<number>(12).fill(24));
    const batches = new MlmBatches(all, OPTIONS);
    expect(batches.stepsPerEpoch).toBe(3);
    const epoch = (n: number): string[] =>
      [0, 1, 2].flatMap((i) => {
        const { inputIds, positions, labels, count } = batches.at(3 * n + i);
        positions.slice(0, count).forEach((position, k) => (inputIds[position] = labels[k]!));
        return [0, 1, 2, 3].map((row) => inputIds.slice(row * 24, row * 24 + 24).join());
      });
    const texts = all.map(({ ids }) => ids.join()).sort();
    expect(epoch(0).sort()).toEqual(texts);
    expect(epoch(1).sort()).toEqual(texts);
    expect(epoch(0)).not.toEqual(epoch(1));
  });

  it('makes any step’s batch again without the ones before', () => {
    const all = blocks(...new Array<number>(10).fill(20));
    const running = new MlmBatches(all, OPTIONS);
    const batches = Array.from({ length: 9 }, (_, step) => running.at(step));
    expect(new MlmBatches(all, OPTIONS).at(7)).toEqual(batches[7]);
    expect(new MlmBatches(all, { ...OPTIONS, seed: 4 }).at(7)).not.toEqual(batches[7]);
  });

  it('refuses no blocks and blocks over the length', () => {
    expect(() => new MlmBatches([], OPTIONS)).toThrow('no blocks');
    expect(() => new MlmBatches(blocks(25), OPTIONS)).toThrow('over maxLength');
  });
});
