/** Protects: the prefix filter misses no near-duplicate, and text of the evaluation splits is recognised in documents. */
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { OverlapDetector, shingles, withoutNearDuplicates, words } from '../../data/dedup.ts';

/** Short texts over few words, so that near-duplicates are common. */
const TEXT = fc.array(fc.constantFrom('a', 'b', 'c', 'd'), { maxLength: 9 }).map((list) => list.join(' '));

function jaccard(a: Set<string>, b: Set<string>): number {
  const common = [...a].filter((item) => b.has(item)).length;
  return common / (a.size + b.size - common);
}

describe('shingles', () => {
  it('are word trigrams without case, marks and digits', () => {
    expect(words('It cost $19.99, TOTAL—déjà')).toEqual(['it', 'cost', '00', '00', 'total', 'déjà']);
    expect([...shingles('One, two three; FOUR')]).toEqual(['one two three', 'two three four']);
    expect([...shingles('Great phone!')]).toEqual(['great phone']);
    expect(shingles('!?').size).toBe(0);
  });
});

describe('withoutNearDuplicates', () => {
  it('keeps what comparing every pair keeps', () => {
    fc.assert(
      fc.property(fc.array(TEXT, { maxLength: 25 }), fc.constantFrom(0.3, 0.5, 0.8, 1), (texts, threshold) => {
        const sets = texts.map(shingles);
        const kept: number[] = [];
        sets.forEach((set, i) => {
          if (set.size > 0 && !kept.some((j) => jaccard(set, sets[j]!) >= threshold)) kept.push(i);
        });
        expect(withoutNearDuplicates(texts, threshold)).toEqual(kept);
      }),
    );
  });

  it('tells short texts apart by any word, long ones not by one', () => {
    const long = Array.from({ length: 30 }, (_, i) => `word${String.fromCharCode(97 + i)}`);
    const changed = long.with(15, 'other');
    expect(withoutNearDuplicates(['good phone', 'bad phone', 'Good phone!'])).toEqual([0, 1]);
    expect(withoutNearDuplicates([long.join(' '), changed.join(' ')])).toEqual([0]);
  });
});

describe('OverlapDetector', () => {
  const secret = 'the quick brown fox jumps over the lazy dog near the river bank';

  it('finds a text quoted in a longer document', () => {
    const detector = new OverlapDetector([secret]);
    expect(
      detector.overlaps(`He wrote: > The QUICK brown fox jumps over the lazy dog, near the river bank. I agree.`),
    ).toBe(true);
    expect(detector.overlaps('the quick brown fox ate something else entirely on a sunny day')).toBe(false);
  });

  it('finds a short text only where it is the whole document', () => {
    const detector = new OverlapDetector(['I love it']);
    expect(detector.overlaps('I LOVE it!')).toBe(true);
    expect(detector.overlaps('My mother says that I love it when the rain falls on the roof at night')).toBe(false);
  });

  it('does not take boilerplate shared by many texts for a quotation', () => {
    const footer = 'to unsubscribe from this list please send a message to the address below';
    const openers = [
      'apples grow red',
      'seven ships sail',
      'rain is coming',
      'nobody reads this',
      'music plays on',
      'old dogs bark',
    ];
    const detector = new OverlapDetector(openers.map((opener) => `${opener} ${footer}`));
    expect(detector.overlaps(`a quite different message about gardens and books ${footer}`)).toBe(false);
  });
});
