/** Protects: where in a text its tokens are, for each way tokenizers write tokens, with what normalisation and unknown tokens change. */
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { tokenOffsets, type TokenStyle } from '../../models/offsets.ts';
import { loadTokenizer } from '../../models/tokenizer.ts';

const tokenizer = await loadTokenizer(new URL('../../checkpoints/light-roberta', import.meta.url).pathname);

function pieces(text: string, tokens: readonly string[], style: TokenStyle): string[] {
  const offsets = tokenOffsets(text, tokens, style);
  return tokens.map((_, i) => text.slice(offsets[2 * i], offsets[2 * i + 1]));
}

const plain: TokenStyle = { normalize: (c) => c, byteLevel: false, continuing: '', unknown: undefined };

describe('tokenOffsets', () => {
  it('WordPiece: lower case, accents dropped, an unknown word between known ones', () => {
    const lower = (c: string): string =>
      c
        .toLowerCase()
        .normalize('NFD')
        .replace(/\p{Mn}/gu, '');
    const style = { ...plain, normalize: lower, continuing: '##', unknown: '[UNK]' };
    const tokens = ['cafe', '##s', ',', '[UNK]', 'open', '[UNK]'];
    expect(pieces('Cafés,  ☃☃ OPEN ☃ ', tokens, style)).toEqual(['Café', 's', ',', '☃☃', 'OPEN', '☃']);
  });

  it('sentencepiece: signs for spaces', () => {
    expect(pieces('So it goes', ['▁So', '▁it', '▁', 'goes'], plain)).toEqual(['So', 'it', '', 'goes']);
  });

  it('bytes: a character of several tokens belongs to each', () => {
    const style = { ...plain, byteLevel: true };
    expect(pieces('né 😀x', ['n', 'Ã', '©', 'ĠðŁĺ', 'Ģ', 'x'], style)).toEqual(['n', 'é', 'é', '😀', '😀', 'x']);
  });
});

describe('encodeQuestion', () => {
  it('gives a pair with its second text cut alone, and places in it', () => {
    const context = 'The “quick” brown  fox: jumps over 12 dogs.';
    const whole = tokenizer.encodeQuestion('Who jumps?', context, 64);
    expect(whole.ids).toEqual(tokenizer.encode('Who jumps?', context).ids);
    const count = whole.offsets.length / 2;
    const texts = Array.from({ length: count }, (_, i) =>
      context.slice(whole.offsets[2 * i], whole.offsets[2 * i + 1]),
    );
    expect(texts.join('')).toBe(context.replaceAll(' ', ''));
    expect(texts.map((text) => text.toLowerCase().replace(/[“”]/, '"'))).toEqual(
      whole.ids.slice(whole.from, whole.from + count).map((id) => tokenizer.decode([id]).trim()),
    );
    const cut = tokenizer.encodeQuestion('Who jumps?', context, whole.from + 5);
    expect(cut.ids).toEqual([...whole.ids.slice(0, whole.from + 4), whole.ids.at(-1)]);
    expect(cut.offsets).toEqual(whole.offsets.slice(0, 8));
    expect(tokenizer.encodeQuestion('Who jumps?', context, 3).offsets).toHaveLength(0);
  });

  it('covers any text, in order', () => {
    fc.assert(
      fc.property(fc.string({ unit: 'grapheme', maxLength: 40 }), (context) => {
        const { ids, offsets } = tokenizer.encodeQuestion('q', context, 1000);
        expect(ids.length).toBeGreaterThanOrEqual(offsets.length / 2);
        const starts = offsets.filter((_, i) => i % 2 === 0);
        expect(starts).toEqual(starts.slice().sort());
        offsets.forEach((place, i) => {
          expect(place).toBeLessThanOrEqual(context.length);
          if (i % 2 === 1) expect(place).toBeGreaterThanOrEqual(offsets[i - 1]!);
        });
      }),
      { numRuns: 200 },
    );
  });
});
