/** Protects: pretraining text is clean English, and holds nothing of any validation or test split. */
import { describe, expect, it } from 'vitest';
import { words } from '../../data/dedup.ts';
import { loadTask } from '../../data/tasks/built-in.ts';
import { brownText, loadCorpus, synsetText } from '../../pretrain/corpora.ts';

describe('brownText', () => {
  it('sets tagged tokens as they are printed', () => {
    const tagged =
      "\n\tThe/at jury/nn said/vbd ,/, ``/`` no/at evidence/nn ''/'' (/( 1/2/cd of/in it/ppo )/) --/-- *zz/nil why/wrb ?/. ?/.\n" +
      "Atlanta's/np$ end/nn ;/. ;/.";
    expect(brownText(tagged)).toBe('The jury said, "no evidence" (1/2 of it)—why? Atlanta\'s end;');
  });
});

describe('synsetText', () => {
  it('gives lemmas, definition and examples', () => {
    const line =
      '00003443 29 v 02 burp 0 force_out 1 001 @ 00105087 v 0000 01 + 02 00 | expel gas; "Please don\'t burp"; "force it out!"  ';
    expect(synsetText(line)).toBe("burp, force out: expel gas. Please don't burp. force it out!");
    expect(synsetText("00001740 00 a 01 able(p) 0 000 | (usually followed by `to') having means  ")).toBe(
      "able: (usually followed by `to') having means.",
    );
    expect(synsetText('  1 This software and database is being provided | to you')).toBeUndefined();
  });
});

const OPENING = 8;

describe('loadCorpus', () => {
  it('holds no validation or test text, and enough of everything else', async () => {
    const { documents, sources } = await loadCorpus();
    const tasks = await Promise.all(['spam', 'sentiment'].map(loadTask));
    const evaluation = tasks.flatMap((task) => [...task.validation, ...task.test]);
    // Evaluation texts by their first words, then compared in full. Short ones may occur by chance inside another text.
    const byOpening = new Map<string, string[]>();
    for (const { text } of evaluation) {
      const list = words(text);
      const key = list.slice(0, OPENING).join(' ');
      byOpening.set(key, [...(byOpening.get(key) ?? []), list.join(' ')]);
    }
    const firstWords = new Set([...byOpening.keys()].map((key) => key.split(' ')[0]!));
    const repeated = documents.filter(({ text }) => {
      const list = words(text);
      return list.some((word, i) => {
        if (!firstWords.has(word)) return false;
        const candidates = byOpening.get(list.slice(i, i + OPENING).join(' ')) ?? [];
        return candidates.some((candidate) => {
          const length = candidate.split(' ').length;
          const whole = i === 0 && length === list.length;
          return (whole || length >= 2 * OPENING) && list.slice(i, i + length).join(' ') === candidate;
        });
      });
    });
    expect(repeated.map(({ source, text }) => `${source}: ${text.slice(0, 80)}`)).toEqual([]);
    expect(sources.map(({ name }) => name)).toEqual(['brown', 'sotu', 'moby-dick', 'wordnet', 'spam', 'sentiment']);
    const total = sources.reduce((sum, source) => sum + source.words, 0);
    expect(total).toBeGreaterThan(5_500_000);
    const heldOut = documents.filter((document) => document.heldOut).length / documents.length;
    expect(heldOut).toBeCloseTo(0.02, 2);
  });
});
