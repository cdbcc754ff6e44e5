/** Protects: columns of any names are read by every kind of data; what nothing reads is named once, and what is not there with near names. */
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { setWarningHandler, type WarningHandler } from '../../engine/warnings.ts';
import { readExamples } from '../../data/examples.ts';
import { readLanguageFile } from '../../data/lm/documents.ts';
import { readQuestions } from '../../data/qa/questions.ts';
import type { RecordSource } from '../../data/record-source.ts';
import { requestedData } from '../../data/request.ts';
import { headOfData } from '../../data/load/head-of-data.ts';

let dir: string;
let heard: string[] = [];
let before: WarningHandler;
beforeAll(async () => {
  dir = await mkdtemp(join(tmpdir(), 'columns-'));
  before = setWarningHandler((text) => heard.push(text.replaceAll(`${dir}/`, '')));
});
beforeEach(() => (heard = []));
afterAll(async () => {
  setWarningHandler(before);
  await rm(dir, { recursive: true });
});

type Columns = Readonly<Record<string, string>>;
type Row = Readonly<Record<string, unknown>>;

async function source(row: Row, columns?: Columns): Promise<RecordSource> {
  const path = join(dir, 'rows.jsonl');
  await writeFile(path, JSON.stringify(row));
  return (await requestedData({ train: path }, { ...(columns && { columns }) })).train!;
}

async function rowsOf({ rows }: { rows: Iterable<object> | AsyncIterable<object> }): Promise<object[]> {
  const found: object[] = [];
  for await (const row of rows) found.push(row);
  return found;
}

const READ = {
  classification: (given: RecordSource) => readExamples(given, { needLabel: false }),
  'multiple-choice': (given: RecordSource) => readExamples(given, { needLabel: false, choices: true }),
  'question-answering': (given: RecordSource) => readQuestions(given, false),
  'causal-lm': (given: RecordSource) => readLanguageFile(given),
};

const messages = [{ role: 'user', content: 'Hi' }, { role: 'assistant', content: 'Yes' }]; // prettier-ignore

describe('columns of other names', () => {
  it.each<[keyof typeof READ, Row, Columns, object[]]>([
    ['classification', { s: 'A', y: 1 }, { text: 's', label: 'y' }, [{ line: 1, text: 'A', label: 1 }]],
    [
      'classification',
      { p: 'A', h: 'B', y: 'no' },
      { text_a: 'p', text_b: 'h', label: 'y' },
      [{ line: 1, text: 'A', textPair: 'B', label: 'no' }],
    ],
    [
      'classification',
      { p: 'A', h: 'B', y: 0 },
      { text: 'p', text_pair: 'h', label: 'y' },
      [{ line: 1, text: 'A', textPair: 'B', label: 0 }],
    ],
    [
      'multiple-choice',
      { ctx: 'A', ends: ['b', 'c'], y: 1 },
      { text: 'ctx', choices: 'ends', label: 'y' },
      ['b', 'c'].map((textPair, choice) => ({ line: 1, text: 'A', textPair, label: 1, choice })),
    ],
    [
      'multiple-choice',
      { ctx: 'A', e1: 'b', e2: 'c', y: 0 },
      { text: 'ctx', choice_0: 'e1', choice_1: 'e2', label: 'y' },
      ['b', 'c'].map((textPair, choice) => ({ line: 1, text: 'A', textPair, label: 0, choice })),
    ],
    [
      'question-answering',
      { q: 'Who?', passage: 'He did.', found: { text: ['He'], answer_start: [0] } },
      { question: 'q', context: 'passage', answers: 'found' },
      [{ line: 1, question: 'Who?', context: 'He did.', answers: [{ text: 'He', start: 0 }] }],
    ],
    [
      'causal-lm',
      { in: 'A', out: ' b' },
      { prompt: 'in', completion: 'out' },
      [{ line: 1, prompt: 'A', completion: ' b' }],
    ],
    ['causal-lm', { turns: messages }, { messages: 'turns' }, [{ line: 1, messages }]],
  ])('%s: %j', async (head, row, columns, expected) => {
    const given = await source({ ...row, id: 7, title: 'x' }, columns);
    expect(await rowsOf(READ[head](given))).toEqual(expected);
    expect(heard).toEqual(['rows.jsonl: columns not used: id, title']);
    expect(await headOfData({ train: join(dir, 'rows.jsonl') }, { columns })).toBe(head);
  });

  it('are named where they are not there, and what is read by nothing', async () => {
    const faultOf = (columns: Columns): Promise<string> =>
      source({ sentence: 'A', score: 1 }, columns)
        .then((given) => rowsOf(READ.classification(given)))
        .then(
          () => 'none',
          (error: unknown) => (error as Error).message.replaceAll(`${dir}/`, ''),
        );
    expect(await faultOf({ text: 'sentense', label: 'score' })).toBe(
      'rows.jsonl:1: no column "sentense", did you mean "sentence"? `columns` names them',
    );
    expect(await faultOf({ text: 'body' })).toBe(
      'rows.jsonl:1: no column "body", expected one of sentence, score; `columns` names them',
    );
    expect(await faultOf({ txt: 'sentence' })).toBe('`columns`: nothing is read by "txt", did you mean "text"?');
    // Rows without labels are predicted.
    expect(await faultOf({ text: 'sentence', label: 'gold' })).toBe('none');
  });
});

describe('columns that nothing reads', () => {
  it.each<[keyof typeof READ, Row, string]>([
    ['classification', { text: 'A', label: 1, id: 1, source: 'x' }, 'id, source'],
    ['classification', { text: 'A', text_pair: 'B', text_a: 'C', label: 1 }, 'text_a'],
    ['multiple-choice', { text: 'A', choices: ['b', 'c'], label: 1, id: 1 }, 'id'],
    ['question-answering', { question: 'A', context: 'b', id: 1 }, 'id'],
    ['causal-lm', { prompt: 'A', completion: 'b', text: 'c' }, 'text'],
    ['causal-lm', { messages, id: 1 }, 'id'],
  ])('are named in one line: %s', async (head, row, names) => {
    expect(await rowsOf(READ[head](await source(row)))).not.toEqual([]);
    expect(heard).toEqual([`rows.jsonl: columns not used: ${names}`]);
  });
});
