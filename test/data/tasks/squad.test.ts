/** Protects: SQuAD's JSON and the hub's rows give the same questions, with or without a task, and bad ones are told by the question's id. */
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import fc from 'fast-check';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { readQuestions, type Question } from '../../../data/qa/questions.ts';
import { itemsOf } from '../../../data/record-source.ts';
import { headOfData } from '../../../data/load/head-of-data.ts';
import { submissionLines } from '../../../data/tasks/figures.ts';
import { taskNamed } from '../../../data/tasks/registry.ts';
import { exampleSource, rowsOfFiles } from '../../../data/tasks/split-source.ts';
import type { TaskRow } from '../../../data/tasks/task.ts';

let dir: string;
beforeAll(async () => {
  dir = await mkdtemp(join(tmpdir(), 'light-peft-'));
});
afterAll(() => rm(dir, { recursive: true }));

let files = 0;
async function write(content: string, ending = 'json'): Promise<string> {
  const path = join(dir, `f${files++}.${ending}`);
  await writeFile(path, content);
  return path;
}

async function rowsOf(task: string, path: string): Promise<TaskRow[]> {
  const rows: TaskRow[] = [];
  for await (const { row } of itemsOf(rowsOfFiles(taskNamed(task), [path]))) rows.push(row);
  return rows;
}

async function questionsOf(given: Parameters<typeof readQuestions>[0], needed = true): Promise<Question[]> {
  const questions: Question[] = [];
  for await (const row of readQuestions(given, needed).rows) questions.push(row as Question);
  return questions;
}

const CONTEXT = 'Ada 😀 wrote notes in 1843.';
const qa = (id: string, text: string, start: number): object => ({
  id,
  question: `${id}?`,
  answers: [{ text, answer_start: start }],
});
const file = (...qas: object[]): object => ({
  version: '1.1',
  data: [{ title: 'Ada', paragraphs: [{ context: CONTEXT, qas }] }],
});
// Places are counted in characters.
const NOTES = qa('n', 'notes', 12);
const YEAR = qa('y', '1843', 21);
const NONE = { id: 'z', question: 'z?', is_impossible: true, answers: [], plausible_answers: [] };

describe('SQuAD’s JSON', () => {
  it('is rows in the hub’s columns', async () => {
    const path = await write(JSON.stringify(file(NOTES, YEAR)));
    expect(await rowsOf('squad', path)).toEqual([
      { id: 'n', title: 'Ada', context: CONTEXT, question: 'n?', answers: { text: ['notes'], answer_start: [12] } },
      { id: 'y', title: 'Ada', context: CONTEXT, question: 'y?', answers: { text: ['1843'], answer_start: [21] } },
    ]);
  });

  it('is known without a task', async () => {
    const path = await write(JSON.stringify(file(NOTES, NONE), null, 1));
    expect(await headOfData({ train: path })).toBe('question-answering');
    const task = taskNamed('squad_v2');
    const source = exampleSource(task, rowsOfFiles(task, [path]));
    expect(await questionsOf(path)).toEqual(await questionsOf(source));
    expect((await questionsOf(path)).map(({ answers }) => answers)).toEqual([[{ text: 'notes', start: 13 }], []]);
  });

  it('needs no answers to be predicted', async () => {
    const path = await write(JSON.stringify(file({ id: 'q', question: 'q?' })));
    expect((await questionsOf(path, false))[0]).not.toHaveProperty('answers');
    await expect(questionsOf(path)).rejects.toThrow(/"answers" is nothing/);
  });

  it('and rows of the hub, whatever the texts, give the same questions', async () => {
    const word = fc.string({ minLength: 1, maxLength: 5, unit: 'grapheme' });
    const paragraph = fc.record({ words: fc.array(word, { minLength: 1, maxLength: 6 }), picks: fc.array(fc.nat(5)) });
    await fc.assert(
      fc.asyncProperty(fc.array(paragraph, { minLength: 1, maxLength: 4 }), async (paragraphs) => {
        let id = 0;
        const rows = paragraphs.map(({ words, picks }) => {
          const context = words.join(' ');
          const qas = picks.map((pick) => {
            const at = pick % words.length;
            const start = Array.from(
              words
                .slice(0, at)
                .map((text) => `${text} `)
                .join(''),
            ).length;
            return { id: String(id++), question: 'q?', answers: [{ text: words[at]!, answer_start: start }] };
          });
          return { context, qas };
        });
        fc.pre(id > 0);
        const own = await write(JSON.stringify({ data: [{ title: 't', paragraphs: rows }] }));
        const flat = rows.flatMap(({ context, qas }) => qas.map((entry) => ({ title: 't', context, ...entry })));
        const hub = await write(flat.map((row) => JSON.stringify(row)).join('\n'), 'jsonl');
        const strip = (questions: Question[]): unknown[] => questions.map(({ line: _, ...question }) => question);
        expect(strip(await questionsOf(own))).toEqual(strip(await questionsOf(hub)));
        const own2 = await rowsOf('squad', own);
        expect(own2.map((row) => row.id)).toEqual((await rowsOf('squad', hub)).map((row) => row.id));
      }),
      { numRuns: 30 },
    );
  });
});

describe('refuses', () => {
  it.each([
    [
      file(NOTES, qa('bad', 'notes', 13)),
      /f\d+\.json:1: question "bad": "answers" has "notes" at 13, "context" has "otes " there; it begins at 12/,
    ],
    [file({ id: 'q', answers: [] }), /question "q": "question" is nothing, expected a text as in SQuAD's files/],
    [file({ question: 'q' }), /article "Ada", paragraph 1, question 1: "id" is nothing/],
    [file({ ...NOTES, answers: 'notes' }), /question "n": "answers" is "notes", expected \{"text"/],
    [{ data: [{ title: 'Ada' }] }, /:1: found title; expected "paragraphs", or "context", "question" and "answers"/],
    [{ data: [{ title: 'Ada', paragraphs: 'none' }] }, /article "Ada": "paragraphs" is "none", expected a list/],
    [{ data: [{ title: 'Ada', paragraphs: [{ qas: [] }] }] }, /article "Ada", paragraph 1: "context" is nothing/],
    [{ data: [{ paragraphs: [{ context: 'c' }] }] }, /paragraph 1: "qas" is nothing/],
    [file(NOTES, NONE), /question "z" has no answer, expected one at least; .* the task is squad_v2/],
    [file(), /no row of squad/],
  ])('%j', async (content, message) => {
    await expect(rowsOf('squad', await write(JSON.stringify(content)))).rejects.toThrow(message);
  });

  it('a row of the hub, by line and id', async () => {
    const row = { id: 'h', context: CONTEXT, question: 'q', answers: { text: ['Ada'], answer_start: [4] } };
    await expect(rowsOf('squad', await write(`\n${JSON.stringify(row)}`, 'jsonl'))).rejects.toThrow(
      /:2: question "h": "answers" has "Ada" at 4/,
    );
  });

  it('a list that is not there', async () => {
    await expect(rowsOf('squad', await write('{"version": "1.1"}'))).rejects.toThrow(/"data"/);
  });
});

it('the submission is an object of answers by id', () => {
  const keys = [{ id: 'b' }, { id: 'a' }];
  const scores = new Float32Array();
  const outcomes = ['notes', ''].map((text) => ({ scores, answer: { text, noAnswerScore: 0 } }));
  expect(submissionLines(taskNamed('squad_v2'), keys, [], outcomes)).toEqual(['{"b":"notes","a":""}']);
});
