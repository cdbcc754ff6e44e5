/** Protects: texts become the ids the reference tokenizers give, special tokens survive truncation, faults name the file. */
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import fc from 'fast-check';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { loadTokenizer, longestFirst, type TextTokenizer } from '../../models/tokenizer.ts';

/** The tokenizer's Unicode tables are older than JavaScript's, and a final sigma is none of theirs. */
const CHARACTER = fc.oneof(
  fc.string({ unit: 'grapheme-ascii', minLength: 1, maxLength: 1 }),
  fc.constantFrom(
    ...Array.from('éÅßñ日本語한국어дЖ'),
    ...['ﬁ', '½', '™', '“', '’', '😀', '👩‍👩‍👧', 'e\u0301', '\n', '\u00a0'],
  ),
);

const BUNDLED = new URL('../../checkpoints/light-roberta', import.meta.url).pathname;

let folder: string;
let roberta: TextTokenizer;
let bert: TextTokenizer;

const BERT_TOKENS = ['[PAD]', '[UNK]', '[CLS]', '[SEP]', '[MASK]', 'a', 'b', 'c', '##d', '!'];

const NO_FLAGS = { normalized: false, single_word: false, lstrip: false, rstrip: false };

function bertJson(): Record<string, unknown> {
  const special = (id: string, type_id: number): object => ({ SpecialToken: { id, type_id } });
  const sequence = (id: string, type_id: number): object => ({ Sequence: { id, type_id } });
  return {
    added_tokens: BERT_TOKENS.slice(0, 5).map((content, id) => ({ id, content, special: true, ...NO_FLAGS })),
    normalizer: {
      ...{ type: 'BertNormalizer', clean_text: true, handle_chinese_chars: true, strip_accents: null, lowercase: true },
    },
    pre_tokenizer: { type: 'BertPreTokenizer' },
    post_processor: {
      type: 'TemplateProcessing',
      single: [special('[CLS]', 0), sequence('A', 0), special('[SEP]', 0)],
      pair: [special('[CLS]', 0), sequence('A', 0), special('[SEP]', 0), sequence('B', 1), special('[SEP]', 1)],
      special_tokens: {
        '[CLS]': { id: '[CLS]', ids: [2], tokens: ['[CLS]'] },
        '[SEP]': { id: '[SEP]', ids: [3], tokens: ['[SEP]'] },
      },
    },
    decoder: { type: 'WordPiece', prefix: '##', cleanup: true },
    model: {
      type: 'WordPiece',
      unk_token: '[UNK]',
      continuing_subword_prefix: '##',
      max_input_chars_per_word: 100,
      vocab: Object.fromEntries(BERT_TOKENS.map((token, id) => [token, id])),
    },
  };
}

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'tokenizer-'));
  await writeFile(join(folder, 'tokenizer.json'), JSON.stringify(bertJson()));
  const roles = { pad_token: '[PAD]', mask_token: { content: '[MASK]' }, unk_token: '[UNK]' };
  await writeFile(join(folder, 'special_tokens_map.json'), JSON.stringify(roles));
  await writeFile(join(folder, 'tokenizer_config.json'), JSON.stringify({ model_max_length: 1e30 }));
  bert = await loadTokenizer(folder);
  roberta = await loadTokenizer(BUNDLED);
});
afterAll(() => rm(folder, { recursive: true }));

describe('BERT', () => {
  it('marks the segments of a pair', async () => {
    expect(await bert.encode('A bd', 'c!')).toEqual({
      ids: [2, 5, 6, 8, 3, 7, 9, 3],
      typeIds: [0, 0, 0, 0, 0, 1, 1, 1],
    });
    expect(await bert.encode('a z')).toEqual({ ids: [2, 5, 1, 3], typeIds: [0, 0, 0, 0] });
    expect(await bert.encode('a', 'b', { addSpecial: false })).toEqual({ ids: [5, 6], typeIds: [0, 1] });
  });

  it('knows its vocabulary and roles from any of the files', () => {
    expect([bert.vocabSize, bert.padId, bert.maskId, bert.maxLength]).toEqual([10, 0, 4, undefined]);
    expect([...bert.specialIds]).toEqual([0, 1, 2, 3, 4]);
  });

  it('keeps the special tokens of a truncated pair, the longer text giving way', async () => {
    const { ids, typeIds } = await bert.encode('a a a a a a', 'b b', { maxLength: 8 });
    expect(ids).toEqual([2, 5, 5, 5, 3, 6, 6, 3]);
    expect(typeIds).toEqual([0, 0, 0, 0, 0, 1, 1, 1]);
  });
});

describe('RoBERTa (the bundled tokenizer)', () => {
  it('has the roles and ids that the model files rely on', async () => {
    expect([roberta.vocabSize, roberta.padId, roberta.maskId]).toEqual([8000, 1, 4]);
    expect((await roberta.encode('')).ids).toEqual([0, 2]);
  });

  it('puts two separators between texts, and has one segment', async () => {
    const [first, second] = await Promise.all(
      ['good phone', 'bad film'].map(
        async (text) => (await roberta.encode(text, undefined, { addSpecial: false })).ids,
      ),
    );
    const { ids, typeIds } = await roberta.encode('good phone', 'bad film');
    expect(ids).toEqual([0, ...first!, 2, 2, ...second!, 2]);
    expect(new Set(typeIds)).toEqual(new Set([0]));
  });

  it('does not tell case or typographic quotes apart', async () => {
    expect((await roberta.encode('DON’T “Stop”')).ids).toEqual((await roberta.encode('don\'t "stop"')).ids);
  });

  it('cuts to any length, keeping a prefix of the text between the special tokens', async () => {
    const text = 'The movie was far too long, but nobody in the audience seemed to mind it.';
    const whole = (await roberta.encode(text)).ids;
    await fc.assert(
      fc.asyncProperty(fc.integer({ min: 2, max: whole.length + 3 }), async (maxLength) => {
        const { ids } = await roberta.encode(text, undefined, { maxLength });
        expect(ids).toEqual(maxLength >= whole.length ? whole : [...whole.slice(0, maxLength - 1), 2]);
      }),
    );
  });

  it('gives back any text, normalised', async () => {
    await fc.assert(
      fc.asyncProperty(fc.string({ unit: CHARACTER, maxLength: 40 }), async (text) => {
        const normal = text
          .normalize('NFKC')
          .replace(/[‘’‛`´]/g, "'")
          .replace(/[“”„‟]/g, '"')
          .toLowerCase();
        const prefixed = normal === '' || normal.startsWith(' ') ? normal : ` ${normal}`;
        expect(roberta.decode((await roberta.encode(text)).ids)).toBe(prefixed);
      }),
    );
  });

  it('keeps special tokens on request', () => {
    expect(roberta.decode([0, 4, 2], true)).toBe('<s><mask></s>');
    expect(roberta.decode([])).toBe('');
  });
});

describe('longestFirst', () => {
  it('fits the limit, cuts no more than it must and the longer text first', () => {
    const length = fc.nat({ max: 60 });
    fc.assert(
      fc.property(length, length, length, (first, second, limit) => {
        const [n1, n2] = longestFirst(first, second, limit);
        expect(n1).toBeLessThanOrEqual(first);
        expect(n2).toBeLessThanOrEqual(second);
        expect(n1 + n2).toBe(Math.min(limit, first + second));
        if (n1 < first && n2 < second) expect(Math.abs(n1 - n2)).toBeLessThanOrEqual(1);
        if (n1 < first && n2 === second) expect(n1).toBeGreaterThanOrEqual(n2 - 1);
        if (n2 < second && n1 === first) expect(n2).toBeGreaterThanOrEqual(n1 - 1);
      }),
    );
  });
});

describe('loadTokenizer', () => {
  async function fault(content: string, config: object = {}): Promise<string> {
    const broken = await mkdtemp(join(tmpdir(), 'tokenizer-'));
    await writeFile(join(broken, 'tokenizer.json'), content);
    await writeFile(join(broken, 'tokenizer_config.json'), JSON.stringify(config));
    const error: unknown = await loadTokenizer(broken).catch((reason: unknown) => reason);
    await rm(broken, { recursive: true });
    return (error as Error).message.replace(broken, '');
  }

  it('names the file and what is wrong with it', async () => {
    await expect(loadTokenizer(join(folder, 'none'))).rejects.toThrow(/none\/tokenizer\.json: not found, expected/);
    expect(await fault('{"model"')).toMatch(/^\/tokenizer\.json: not valid JSON/);
    expect(await fault('[]')).toBe('/tokenizer.json: found [], expected a JSON object');
    expect(await fault('{}')).toMatch(/^\/tokenizer\.json: key "model" is missing/);
    expect(await fault(JSON.stringify(bertJson()), { pad_token: { content: 7 } })).toBe(
      '/tokenizer_config.json: key "pad_token": found {"content":7}, expected a token\'s text',
    );
    expect(await fault('{"model":{"type":"Alphabet"}}')).toMatch(/^\/tokenizer\.json: cannot be read as a tokenizer/);
  });
});
