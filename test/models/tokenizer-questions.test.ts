/** Protects: a question with windows of its context, and where in the context their tokens are. */
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { loadTokenizer, type EncodedQuestion } from '../../models/tokenizer.ts';

const tokenizer = await loadTokenizer(new URL('../../checkpoints/light-roberta', import.meta.url).pathname);

const ends = (offsets: Int32Array): Int32Array => offsets.filter((_, i) => i % 2 === 1);

describe('encodeQuestion', () => {
  it('gives a pair with its second text cut alone, and places in it', async () => {
    const context = 'The “quick” brown  fox: jumps over 12 dogs.';
    const [whole, ...others] = (await tokenizer.encodeQuestion('Who jumps?', context, 64, 8)) as [EncodedQuestion];
    expect(others).toEqual([]);
    expect(whole.ids).toEqual((await tokenizer.encode('Who jumps?', context)).ids);
    const count = whole.offsets.length / 2;
    const texts = Array.from({ length: count }, (_, i) =>
      context.slice(whole.offsets[2 * i], whole.offsets[2 * i + 1]),
    );
    expect(texts.join('')).toBe(context.replaceAll(' ', ''));
    expect(texts.map((text) => text.toLowerCase().replace(/[“”]/, '"'))).toEqual(
      whole.ids.slice(whole.from, whole.from + count).map((id) => tokenizer.decode([id]).trim()),
    );
    const [cut] = (await tokenizer.encodeQuestion('Who jumps?', context, whole.from + 5, 1)) as [EncodedQuestion];
    expect(cut.ids).toEqual([...whole.ids.slice(0, whole.from + 4), whole.ids.at(-1)]);
    expect(cut.offsets).toEqual(whole.offsets.slice(0, 8));
    const none = await tokenizer.encodeQuestion('Who jumps?', context, 3, 1);
    expect(none.map(({ offsets }) => offsets.length)).toEqual([0]);
  });

  it('covers a long text by windows that share tokens, the last one full or at the end', async () => {
    await fc.assert(
      fc.asyncProperty(fc.integer({ min: 1, max: 12 }), fc.integer({ min: 1, max: 20 }), async (room, stride) => {
        const context = 'one two three four five six seven eight nine ten eleven twelve';
        const [whole] = (await tokenizer.encodeQuestion('q', context, 1000, stride)) as [EncodedQuestion];
        const added = whole.ids.length - whole.offsets.length / 2;
        const windows = await tokenizer.encodeQuestion('q', context, added + room, stride);
        const places = windows.map(({ offsets }) => {
          // The library counts the space before a window's first token to it.
          const start = ends(whole.offsets).indexOf(offsets[1]!);
          expect(ends(offsets)).toEqual(ends(whole.offsets).slice(start, start + room));
          return [start, start + offsets.length / 2] as const;
        });
        const shared = places.slice(1).map(([start], i) => places[i]![1] - start);
        expect(shared.every((n) => n === Math.min(stride, Math.floor(room / 2)))).toBe(true);
        expect(places[0]![0]).toBe(0);
        expect(places.at(-1)![1]).toBe(whole.offsets.length / 2);
        expect(places.slice(0, -1).every(([, end]) => end < whole.offsets.length / 2)).toBe(true);
      }),
    );
  });
});
