/** Protects: questions become a pair with the answer's tokens as its span, and bad files are told by line what is wrong. */
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { loadTokenizer } from '../../../models/tokenizer.ts';
import type { EncodedExample } from '../../../data/encoded-example.ts';
import { encodeQuestions, storeQuestions } from '../../../data/qa/encode.ts';
import { readQuestions } from '../../../data/qa/questions.ts';

const tokenizer = await loadTokenizer(new URL('../../../checkpoints/light-roberta', import.meta.url).pathname);

let dir: string;
beforeAll(async () => {
  dir = await mkdtemp(join(tmpdir(), 'light-peft-'));
});
afterAll(() => rm(dir, { recursive: true }));

async function encode(
  rows: readonly object[],
  { needed = true, maxLength = 64, docStride = 8 } = {},
): Promise<EncodedExample[]> {
  const path = join(dir, 'q.jsonl');
  await writeFile(path, rows.map((row) => JSON.stringify(row)).join('\n'));
  const options = { maxLength, docStride, vocabSize: tokenizer.vocabSize, typeVocabSize: 1, tokenizer };
  const encoded = await encodeQuestions(readQuestions(path, needed), options);
  const windows = encoded.flatMap((row) => row.windows);
  const stored = await storeQuestions(readQuestions(path, needed), options);
  expect([...stored]).toEqual(windows);
  expect(stored.firsts).toEqual(windows.flatMap(({ window = 0 }, i) => (window === 0 ? [i] : [])));
  return windows;
}

const CONTEXT = 'The film was made in Paris, in 1999. It is long.';
const ask = (text: string, start = CONTEXT.indexOf(text), context = CONTEXT): object => ({
  question: 'Where was it made?',
  context,
  answers: { text: [text], answer_start: [start] },
});

/** The text of an example's span. */
function spanText({ span, passage }: EncodedExample): string {
  const { from, source } = passage!;
  const [start, end] = span!;
  return source!.text.slice(source!.offsets[2 * (start - from)], source!.offsets[2 * (end - from) + 1]);
}

describe('texts', () => {
  it.each(['Paris', '1999', 'made in Paris', 'It is long.', 'The'])('the span holds the answer %s', async (answer) => {
    expect(spanText((await encode([ask(answer)]))[0]!)).toBe(answer);
  });

  it('a part of a token takes the whole token', async () => {
    expect(spanText((await encode([ask('ari')]))[0]!)).toContain('ari');
  });

  it('places are counted in characters, not in UTF-16 units', async () => {
    const context = `😀😀 ${CONTEXT}`;
    const [example] = await encode([ask('Paris', 3 + CONTEXT.indexOf('Paris'), context)]);
    expect(spanText(example!)).toBe('Paris');
  });

  it('answers may be a list of objects', async () => {
    const lists = ask('Paris') as { answers: { text: string[]; answer_start: number[] } };
    const objects = lists.answers.text.map((text, i) => ({ text, answer_start: lists.answers.answer_start[i] }));
    expect(await encode([{ ...lists, answers: objects }])).toEqual(await encode([lists]));
    expect((await encode([{ ...lists, answers: [] }]))[0]!.span).toEqual([0, 0]);
  });

  it('a long context has windows that share tokens; answers outside of one, and none, are its first token', async () => {
    const [whole] = await encode([ask('long')]);
    const maxLength = whole!.ids.length - 4;
    const [cut, rest, ...more] = await encode([ask('long')], { maxLength });
    expect(more).toEqual([]);
    expect([cut!.window, rest!.window]).toEqual([undefined, 1]);
    expect(cut!.ids).toHaveLength(maxLength);
    expect(cut!.span).toEqual([0, 0]);
    expect(cut!.passage!.source!.answers).toEqual(['long']);
    expect(spanText(rest!)).toBe('long');
    expect([...rest!.ids].slice(0, rest!.passage!.from)).toEqual([...cut!.ids].slice(0, cut!.passage!.from));
    const [none] = await encode([{ ...ask('long'), answers: { text: [], answer_start: [] } }]);
    expect(none!.span).toEqual([0, 0]);
  });

  it('need no answers to be predicted, nor to be questions', async () => {
    const rows = await encode([{ question: 'q', context: 'c' }], { needed: false });
    expect(rows[0]!.span).toBeUndefined();
    const [pair] = await encode([{ text_a: 'q', text_b: 'c' }], { needed: false });
    expect([...pair!.ids]).toEqual((await tokenizer.encode('q', 'c')).ids);
  });
});

describe('tokens', () => {
  it('keep their padding; places past it are not learned', async () => {
    const row = { input_ids: [0, 5, 6, 2, 1], attention_mask: [1, 1, 1, 1, 0], start_positions: 4, end_positions: 5 };
    const [example] = await encode([row]);
    expect(example!.ids).toHaveLength(5);
    expect(example!.span).toEqual([4, -100]);
    expect(example!.passage).toEqual({ from: 0, to: 4 });
  });

  it('answers are in the second segment, where there are two', async () => {
    const options = { maxLength: 8, docStride: 1, vocabSize: 100, typeVocabSize: 2, tokenizer: undefined };
    const row = { line: 1, inputIds: [0, 5, 2, 6, 7, 2], attentionMask: [1, 1, 1, 1, 1, 1] };
    const rows = [{ ...row, typeIds: [0, 0, 0, 1, 1, 1] }];
    expect((await encodeQuestions({ path: 'q', rows }, options))[0]!.windows[0]!.passage).toEqual({ from: 3, to: 6 });
  });
});

/** A list of lists, so many deep. */
function nested(depth: number): unknown {
  let value: unknown = 0;
  for (let i = 0; i < depth; i++) value = [value];
  return value;
}

it.each([
  ['no answers', [{ question: 'q', context: 'c' }], /q\.jsonl:1: "answers" is nothing, expected \{"text"/],
  ['a place past the end', [ask('Paris', 300)], /has "Paris" at 300, "context" has 48 characters; it begins at 21;/],
  ['an answer that is not there', [ask('Rome', 3)], /"context" has " fil" there, nowhere this text/],
  ['answers of another form', [{ ...ask('Paris'), answers: ['Paris'] }], /:1: "answers" is \["Paris"\], expected/],
  [
    'a place where the answer is not',
    [ask('Paris', 3)],
    /:1: "answers" has "Paris" at 3, "context" has " film" there; it begins at 21; expected a text and the place/,
  ],
  ['a question without its context', [{ question: 'q' }], /:1: "context" is nothing, expected a string/],
  ['other columns', [{ text: 'q', label: 1 }], /:1: found text, label, expected "question" and "context"/],
  ['tokens without places', [{ input_ids: [0, 5] }], /:1: "start_positions" is nothing, expected the place of a token/],
  [
    'a place that is none',
    [{ input_ids: [0, 5], start_positions: 0, end_positions: -1 }],
    /:1: "end_positions" is -1, expected the place/,
  ],
  [
    'an answer at a place that is a list of lists',
    [{ question: 'q', context: 'c', answers: { text: ['c'], answer_start: [nested(3500)] } }],
    /:1: "answers" has "c" at a deeply nested value, "context" has 1 characters; .*expected a text and the place/,
  ],
])('refuses %s', async (_, rows, message) => {
  await expect(encode(rows)).rejects.toThrow(message);
});

it('refuses a question that leaves no room', async () => {
  await expect(encode([ask('Paris')], { maxLength: 6 })).rejects.toThrow(/:1: "question" leaves no room/);
});
