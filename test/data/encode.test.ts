/** Protects: examples become what the model reads: cut, checked against the vocabulary, labelled by the training classes. */
import { describe, expect, it } from 'vitest';
import { loadTokenizer, type TextTokenizer } from '../../models/tokenizer.ts';
import { encodeChoices, encodeFile, encodeTexts, setTargets, type EncodeFileOptions } from '../../data/encode.ts';
import { IGNORE_INDEX, type EncodedExample } from '../../data/encoded-example.ts';
import type { ExampleFile, RawExample } from '../../data/examples.ts';

const tokenizer = await loadTokenizer(new URL('../../checkpoints/light-roberta', import.meta.url).pathname);
const LABELS = ['neg', 'pos'];
const OPTIONS = { maxLength: 6, vocabSize: 100, typeVocabSize: 2, tokenizer: undefined };

function file(...rows: RawExample[]): ExampleFile {
  return { path: 'f.jsonl', rows };
}

function tokens(inputIds: number[], attentionMask: number[] = inputIds.map(() => 1)): RawExample {
  return { line: 4, inputIds, attentionMask };
}

async function encode(rows: ExampleFile, options: EncodeFileOptions): Promise<EncodedExample[]> {
  return [...(await encodeFile(rows, options)).examples];
}

describe('encodeTexts', () => {
  it('cuts texts and pairs to the limit and keeps labels', async () => {
    const [single, pair] = await encodeTexts(
      [
        { text: 'a long sentence about nothing in particular', label: 1 },
        { text: 'a question', textPair: 'and a very long answer to it', label: 0 },
      ],
      tokenizer,
      { maxLength: 8, vocabSize: 8000 },
    );
    expect(single!.ids).toHaveLength(8);
    expect([single!.ids[0], single!.ids[7], single!.label]).toEqual([0, 2, 1]);
    expect(pair!.ids).toEqual(
      Int32Array.from((await tokenizer.encode('a question', 'and a very long answer to it', { maxLength: 8 })).ids),
    );
    expect(pair!.mask).toEqual(new Int32Array(8).fill(1));
  });
});

describe('encodeFile', () => {
  it('drops trailing padding of tokenised rows, and only that', async () => {
    const [row] = await encode(file(tokens([1, 0, 5, 2, 1, 1, 1, 1], [0, 1, 1, 1, 0, 0, 0, 0])), OPTIONS);
    expect(row).toEqual({
      ids: Int32Array.of(1, 0, 5, 2),
      mask: Int32Array.of(0, 1, 1, 1),
      typeIds: new Int32Array(4),
      label: IGNORE_INDEX,
    });
  });

  it('keeps padding where every token is to have scores, and the segments given', async () => {
    const padded = { ...tokens([1, 0, 5, 2, 9, 9, 9, 9], [1, 1, 1, 0, 0, 0, 0, 0]), typeIds: [0, 1, 1, 0, 0, 0, 0, 0] };
    const [row] = await encode(file(padded), { ...OPTIONS, keepPadding: true });
    expect(row).toEqual({
      ids: Int32Array.of(1, 0, 5, 2, 9, 9),
      mask: Int32Array.of(1, 1, 1, 0, 0, 0),
      typeIds: Int32Array.of(0, 1, 1, 0, 0, 0),
      label: IGNORE_INDEX,
    });
  });

  it('looks labels up among the training classes', async () => {
    const rows = [
      { ...tokens([0, 2]), label: 'pos' },
      { ...tokens([0, 2]), label: 0 },
    ];
    const encoded = await encodeFile(file(...rows), OPTIONS);
    setTargets(encoded, LABELS, 'single_label_classification');
    expect([...encoded.examples].map(({ label }) => label)).toEqual([1, 0]);
    const wrong = await encodeFile(file(...rows, { ...tokens([0, 2]), line: 9, label: 2 }), OPTIONS);
    expect(() => setTargets(wrong, LABELS, 'single_label_classification')).toThrow(
      'f.jsonl:9: "label" is 2, expected one of neg, pos',
    );
  });

  it('reads numbers and sets; those that are not known are absent', async () => {
    const rows = [{ ...tokens([0, 2]), label: 0.5 }, tokens([0, 5, 2]), { ...tokens([0, 2]), label: -2 }];
    const numbers = await encodeFile(file(...rows), OPTIONS);
    setTargets(numbers, ['value'], 'regression');
    expect([...numbers.examples].map(({ values }) => values?.[0])).toEqual([0.5, undefined, -2]);
    const sets = await encodeFile(
      file({ ...tokens([0, 2]), label: [0, 1] }, { ...tokens([0, 2]), label: [1, 1] }),
      OPTIONS,
    );
    setTargets(sets, LABELS, 'multi_label_classification');
    expect([...sets.examples].map(({ values }) => [...values!])).toEqual([
      [0, 1],
      [1, 1],
    ]);
  });

  it('refuses rows the model cannot take', async () => {
    await expect(encodeFile(file(tokens([0, 1, 1, 1, 1, 1, 2])), OPTIONS)).rejects.toThrow(
      'f.jsonl:4: "input_ids" has 7 tokens, expected at most 6',
    );
    await expect(encodeFile(file(tokens([0, 100, 2])), OPTIONS)).rejects.toThrow(
      'f.jsonl:4: "input_ids" holds 100, expected ids below the model\'s vocabulary size 100',
    );
    await expect(encodeFile(file({ line: 4, text: 'words' }), OPTIONS)).rejects.toThrow(
      'f.jsonl:4: found text, but the model',
    );
    const segments = { ...tokens([0, 5, 2]), typeIds: [0, 2, 1] };
    await expect(encodeFile(file(segments), OPTIONS)).rejects.toThrow(
      'f.jsonl:4: "token_type_ids" holds 2, expected segments below the model\'s type_vocab_size 2',
    );
    expect((await encode(file(segments), { ...OPTIONS, typeVocabSize: 3 }))[0]!.typeIds).toEqual(
      Int32Array.of(0, 2, 1),
    );
    expect(await encode(file(segments), { ...OPTIONS, typeVocabSize: 0 })).toHaveLength(1);
  });

  it('refuses a text without tokens, as GPT-2 makes of an empty one', async () => {
    const silent = Object.assign(Object.create(tokenizer) as TextTokenizer, {
      encode: () => Promise.resolve({ ids: [], typeIds: [] }),
    });
    await expect(encodeFile(file({ line: 4, text: '' }), { ...OPTIONS, tokenizer: silent })).rejects.toThrow(
      'f.jsonl:4: the text gives no tokens',
    );
  });

  it('encodes texts as encodeTexts does', async () => {
    const options = { ...OPTIONS, vocabSize: 8000, tokenizer };
    const encoded = await encodeFile(file({ line: 1, text: 'fine', label: 'pos' }), options);
    setTargets(encoded, LABELS, 'single_label_classification');
    expect(encoded.examples.at(0)).toEqual((await encodeTexts([{ text: 'fine', label: 1 }], tokenizer, options))[0]);
  });

  it('refuses tokens that the model has no embedding for', async () => {
    const options = { ...OPTIONS, vocabSize: 3, tokenizer };
    await expect(encodeFile(file({ line: 7, text: 'fine' }), options)).rejects.toThrow(
      /f\.jsonl:7: the tokenizer gives token \d+, but the model's vocabulary size is 3/,
    );
    await expect(encodeTexts([{ text: 'fine', label: 1 }], tokenizer, options, 'spam')).rejects.toThrow(/^spam 1: the/);
  });
});

describe('encodeChoices', () => {
  /** The choices of a line. */
  const line = (at: number, label: number, ...choices: number[][]): RawExample[] =>
    choices.map((ids, choice) => ({ ...tokens(ids), line: at, choice, label }));

  it('makes one example of the choices of a record, also where records share a line', async () => {
    const rows = [...line(1, 1, [0, 5, 2], [0, 2]), ...line(1, 0, [0, 6, 2], [0, 7, 7, 2])];
    const examples = await encodeChoices(file(...rows), OPTIONS);
    expect(
      [...examples].map(({ label, ids, otherChoices }) => [label, ids.length, otherChoices?.[0]?.ids.length]),
    ).toEqual([
      [1, 3, 2],
      [0, 3, 4],
    ]);
  });

  it('tells apart the examples of one line by the places of their choices', async () => {
    const rows = [...line(1, 1, [0, 5, 2], [0, 2]), ...line(1, 0, [0, 6, 2], [0, 7, 7, 2])];
    expect((await encodeFile(file(...rows), OPTIONS)).firsts).toEqual([0, 2]);
  });

  it('takes records of other numbers of choices', async () => {
    const rows = [...line(1, 2, [0, 2], [0, 5, 2], [0, 6, 2]), ...line(2, 1, [0, 7, 7, 2], [0, 2])];
    const examples = await encodeChoices(file(...rows), OPTIONS);
    expect(examples.mostChoices).toBe(3);
    expect([...examples].map((e) => [e, ...(e.otherChoices ?? [])].map(({ ids }) => [...ids]))).toEqual([
      [
        [0, 2],
        [0, 5, 2],
        [0, 6, 2],
      ],
      [
        [0, 7, 7, 2],
        [0, 2],
      ],
    ]);
    expect([0, 1].map((i) => examples.longestOf(i))).toEqual([3, 4]);
  });

  it('refuses one choice, and labels that are none of them', async () => {
    await expect(encodeChoices(file(...line(1, 0, [0, 2])), OPTIONS)).rejects.toThrow(
      'f.jsonl:1: found 1 choice, expected at least two',
    );
    const beyond = [...line(7, 2, [0, 2], [0, 2], [0, 2]), ...line(1, 2, [0, 2], [0, 2])];
    await expect(encodeChoices(file(...beyond), OPTIONS)).rejects.toThrow(
      'f.jsonl:1: "label" is 2, expected an integer from 0 to 1',
    );
  });
});
