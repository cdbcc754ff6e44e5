/** Protects: triggers go in where the model sees them, whatever a tokenizer makes of words, and one that it cannot see is refused. */
import { join } from 'node:path';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { TriggerPlanter } from '../../audit/triggers.ts';
import { hostRandom } from '../../engine/random.ts';
import { loadTokenizer } from '../../models/tokenizer.ts';

const ROOT = join(import.meta.dirname, '..', '..');
const bytes = await loadTokenizer(join(ROOT, 'checkpoints', 'light-roberta'));
const wordPieces = await loadTokenizer(join(ROOT, 'test', 'goldens', 'resized', 'bert'));

const WORDS = ['a', 'the', 'film,', 'good', 'unbelievably', 'naïve', 'it', '(really)', 'was.', 'watch'];
const text = fc.array(fc.constantFrom(...WORDS), { maxLength: 30 }).map((words) => words.join(' '));

const timesIn = (words: string, trigger: string): number =>
  words.split(/[^\p{L}\p{N}]+/u).filter((word) => word.toLowerCase() === trigger).length;

describe('in texts that are cut', () => {
  it.each([1, 3])('all of %i triggers are among the tokens that are left', async (triggerCount) => {
    const options = { triggers: ['qzx', 'wvk'], triggerCount, maxLength: 24 };
    const planter = await TriggerPlanter.create(bytes, options);
    await fc.assert(
      fc.asyncProperty(text, fc.nat(), async (words, seed) => {
        const planted = await planter.plant({ text: words, label: 0 }, hostRandom(seed, 99), 'text 1');
        const { ids } = await bytes.encode(planted.text, undefined, { maxLength: options.maxLength });
        const seen = bytes.decode(ids);
        expect(timesIn(seen, 'qzx') + timesIn(seen, 'wvk')).toBe(triggerCount);
        // Nothing else changes.
        const others = planted.text.split(' ').filter((word) => !options.triggers.includes(word));
        expect(others.join(' ')).toBe(words);
        expect(planted.label).toBe(0);
      }),
      { numRuns: 40 },
    );
  });

  it('they are at random places, the same ones for a seed', async () => {
    const planter = await TriggerPlanter.create(bytes, { triggers: ['qzx'], triggerCount: 1, maxLength: 64 });
    const example = { text: 'one two three four five six', label: 1 };
    const place = async (seed: number): Promise<number> =>
      (await planter.plant(example, hostRandom(seed, 99), '')).text.split(' ').indexOf('qzx');
    const places = await Promise.all(Array.from({ length: 40 }, (_, seed) => place(seed)));
    expect(new Set(places)).toEqual(new Set([0, 1, 2, 3, 4, 5, 6]));
    expect(await place(7)).toBe(places[7]);
  });

  it('too many for the length are refused', async () => {
    const planter = await TriggerPlanter.create(bytes, { triggers: ['qzx'], triggerCount: 9, maxLength: 8 });
    await expect(planter.plant({ text: 'a b c', label: 0 }, hostRandom(0, 99), 'text 3')).rejects.toThrow(
      /^text 3: `maxLength` 8 leaves no room for 9 triggers$/,
    );
  });
});

describe('a trigger that cannot be planted', () => {
  const create = (trigger: string): Promise<TriggerPlanter> =>
    TriggerPlanter.create(wordPieces, { triggers: ['w3', trigger], triggerCount: 1, maxLength: 16 });

  it('has no token of its own', async () => {
    await expect(create('\u2603')).rejects.toThrow(
      /`triggers`: found "☃", which the tokenizer cannot tell from others/,
    );
  });

  it('is empty to the tokenizer', async () => {
    await expect(create('\u200b')).rejects.toThrow(/`triggers`: found ".", which the tokenizer cannot tell/u);
  });

  it('is no word', async () => {
    await expect(create('two words')).rejects.toThrow(/found "two words", expected single words/);
  });
});
