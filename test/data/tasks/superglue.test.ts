/**
 * Protects: every task of SuperGLUE reads its lines as they are distributed, and the hub's rows, to the same examples; malformed nested forms are
 * refused with line, what was found and what the layout has; submissions are what the benchmark takes.
 */
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import fc from 'fast-check';
import { parquetWriteFile } from 'hyparquet-writer';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { itemsOf } from '../../../data/record-source.ts';
import { requestedTask } from '../../../data/request.ts';
import { submissionLines, type Outcome } from '../../../data/tasks/figures.ts';
import { taskNamed } from '../../../data/tasks/registry.ts';
import { exampleSource, labelledSource } from '../../../data/tasks/split-source.ts';
import type { SplitName, TaskRow } from '../../../data/tasks/task.ts';
import { UserError } from '../../../engine/errors.ts';

let dir: string;
beforeAll(async () => {
  dir = await mkdtemp(join(tmpdir(), 'superglue-'));
});
afterAll(() => rm(dir, { recursive: true }));

async function write(name: string, ...rows: readonly object[]): Promise<void> {
  await mkdir(dirname(join(dir, name)), { recursive: true });
  await writeFile(join(dir, name), rows.map((row) => `${JSON.stringify(row)}\n`).join(''));
}

async function rowsOf(name: string, evalSplit?: SplitName, dataDir = dir): Promise<TaskRow[]> {
  const request = { task: name, dataDir, evalOnly: true };
  const rows: TaskRow[] = [];
  const { eval: source } = await requestedTask(taskNamed(name), request, { ...(evalSplit && { evalSplit }) });
  for await (const { row } of itemsOf(source!)) rows.push(row);
  return rows;
}

/** Rows in the columns that examples are read by. */
async function examplesOf(name: string, evalSplit?: SplitName, isLabelled = true): Promise<TaskRow[]> {
  const task = taskNamed(name);
  const request = { task: name, dataDir: dir, evalOnly: true };
  const { eval: source } = await requestedTask(task, request, { ...(evalSplit && { evalSplit }) });
  const fields: TaskRow[] = [];
  const read = isLabelled ? labelledSource : exampleSource;
  for await (const record of itemsOf(read(task, source!))) fields.push(record.fields);
  return fields;
}

async function fault(reading: Promise<unknown>): Promise<string> {
  const error: unknown = await reading.catch((reason: unknown) => reason);
  expect(error).toBeInstanceOf(UserError);
  return (error as UserError).message.replaceAll(dir, '');
}

const MULTIRC = {
  idx: 4,
  version: 1.1,
  passage: {
    text: 'Ann has a cat. It sleeps.',
    questions: [
      { question: 'Who sleeps?', idx: 9, answers: [{ text: 'A cat', idx: 30, label: 1 }, { text: 'Ann', idx: 31, label: 0 }] },
      { question: 'Who has one?', idx: 10, answers: [{ text: 'Ann', idx: 32, label: 1 }] },
    ],
  },
}; // prettier-ignore

/** As the hub has it: a row an answer. */
const MULTIRC_ROWS = MULTIRC.passage.questions.flatMap(({ question, idx, answers }) =>
  answers.map(({ text, idx: answer, label }) => ({
    paragraph: MULTIRC.passage.text,
    question,
    answer: text,
    label,
    idx: { paragraph: 4, question: idx, answer },
  })),
);

// A character of two UTF-16 units: places count code points.
const PASSAGE = '😀 Bo met Al in Oslo.\n@highlight\nBo is well\n@highlight\nAl left Oslo';
const RECORD = {
  source: 'Daily mail',
  passage: {
    text: PASSAGE,
    entities: [
      { start: 2, end: 3 },
      { start: 9, end: 10 },
      { start: 15, end: 18 },
      { start: 32, end: 33 },
    ],
  },
  qas: [
    { query: '@placeholder has rain', answers: [{ start: 15, end: 18, text: 'Oslo' }, { start: 9, end: 9, text: 'Oslo' }], idx: 5 },
    { query: 'Who greets @placeholder?', answers: [{ start: 9, end: 10, text: 'Al' }], idx: 6 },
  ],
  idx: 3,
}; // prettier-ignore

const WSC = {
  text: 'Mark told Pete many lies about "Himself , which Pete believed.',
  target: { span1_index: 0, span2_index: 6, span1_text: 'mark', span2_text: 'himself.' },
  idx: 0,
  label: false,
};

describe('lines as distributed', () => {
  it('BoolQ, CB, RTE, WiC: classes by name or truth values; text beside passages', async () => {
    await write('BoolQ/val.jsonl', { question: 'is it', passage: 'It - It is.', idx: 0, label: true });
    await write('BoolQ/test.jsonl', { question: 'is it', passage: 'It - It is.', idx: 0 });
    await write('CB/val.jsonl', { premise: 'Is it?', hypothesis: 'it is', label: 'neutral', idx: 0 });
    await write('RTE/val.jsonl', { premise: 'A b.', hypothesis: 'B.', label: 'not_entailment', idx: 0 });
    const wic = { word: 'bank', sentence1: 'A bank.', sentence2: 'The bank.', start1: 2, start2: 4, end1: 6, end2: 8 };
    await write('WiC/val.jsonl', { ...wic, version: 1.1, idx: 0, label: false });
    expect(await examplesOf('superglue/boolq')).toEqual([{ text_a: 'It - It is.', text_b: 'is it', label: 'True' }]);
    expect(await examplesOf('superglue/boolq', 'test', false)).toEqual([{ text_a: 'It - It is.', text_b: 'is it' }]);
    expect(await examplesOf('superglue/cb')).toEqual([{ text_a: 'Is it?', text_b: 'it is', label: 'neutral' }]);
    expect(await examplesOf('SuperGLUE/RTE')).toEqual([{ text_a: 'A b.', text_b: 'B.', label: 'not_entailment' }]);
    expect(await examplesOf('superglue/wic')).toEqual([
      { text_a: 'bank: A bank.', text_b: 'bank: The bank.', label: 'False' },
    ]);
  });

  it('COPA: the question stands after the premise, a choice in each sequence', async () => {
    const row = { premise: 'It fell.', choice1: 'It broke.', choice2: 'It flew.' };
    await write('COPA/val.jsonl', { ...row, question: 'effect', label: 1, idx: 0 }, { ...row, question: 'cause', label: 0, idx: 1 });
    const choices = ['It broke.', 'It flew.'];
    expect(await examplesOf('superglue/copa')).toEqual([
      { text: 'It fell. What happened as a result?', choices, label: 1 },
      { text: 'It fell. What was the cause of this?', choices, label: 0 },
    ]);
  }); // prettier-ignore

  it('MultiRC: a row an answer, the question beside it', async () => {
    await write('MultiRC/val.jsonl', MULTIRC);
    expect(await rowsOf('superglue/multirc')).toEqual(MULTIRC_ROWS);
    expect((await examplesOf('superglue/multirc'))[1]).toEqual({
      text_a: 'Ann has a cat. It sleeps.',
      text_b: 'Who sleeps? Ann',
      label: 'False',
    });
  });

  it('ReCoRD: a row a query, an example an entity; marks of points are dashes', async () => {
    await write('ReCoRD/val.jsonl', RECORD);
    const common = { passage: PASSAGE, entities: ['Al', 'Bo', 'Oslo'] };
    expect(await rowsOf('superglue/record')).toEqual([
      { ...common, query: '@placeholder has rain', answers: ['Oslo'], idx: { passage: 3, query: 5 } },
      { ...common, query: 'Who greets @placeholder?', answers: ['Al'], idx: { passage: 3, query: 6 } },
    ]);
    const text_a = '😀 Bo met Al in Oslo.\n- Bo is well\n- Al left Oslo';
    const examples = await examplesOf('superglue/record');
    expect(examples).toHaveLength(6);
    expect(examples.slice(1, 4)).toEqual([
      { text_a, text_b: 'Bo has rain', label: 'False' },
      { text_a, text_b: 'Oslo has rain', label: 'True' },
      { text_a, text_b: 'Who greets Al?', label: 'True' },
    ]);
  });

  it('WSC: spans are as the text has them, the pronoun is marked', async () => {
    await write(
      'WSC/val.jsonl',
      WSC,
      {
        // A place that is a word too early, as in the benchmark's own data.
        text: 'They may use it, it seems.',
        target: { span1_index: 0, span2_index: 2, span1_text: 'They', span2_text: 'it' },
        label: 'true',
      },
      {
        // One between two such words.
        text: 'They saw it and it broke.',
        target: { span1_index: 0, span2_index: 3, span1_text: 'They', span2_text: 'it' },
        label: 'true',
      },
    );
    const [row] = await rowsOf('superglue/wsc');
    expect(row).toEqual({
      text: WSC.text,
      ...WSC.target,
      span1_text: 'Mark',
      span2_text: 'Himself',
      label: 0,
      idx: 0,
    });
    expect(await examplesOf('superglue/wsc')).toEqual([
      { text_a: 'Mark told Pete many lies about "*Himself* , which Pete believed.', text_b: 'Mark', label: 'False' },
      { text_a: 'They may use *it*, it seems.', text_b: 'They', label: 'True' },
      { text_a: 'They saw it and *it* broke.', text_b: 'They', label: 'True' },
    ]);
  });

  it('AX-b and AX-g: one file each, evaluated whole, without training data', async () => {
    await write('AX-b/AX-b.jsonl', {
      sentence1: 'A.',
      sentence2: 'B.',
      idx: '0',
      label: 'entailment',
      logic: 'Negation',
    });
    await write('AX-g/AX-g.jsonl', { premise: 'A.', hypothesis: 'B.', idx: 0, label: 'not_entailment', pair_id: 551 });
    expect(await examplesOf('superglue/axb')).toEqual([{ text_a: 'A.', text_b: 'B.', label: 'entailment' }]);
    expect(await examplesOf('superglue/ax-g')).toEqual([{ text_a: 'A.', text_b: 'B.', label: 'not_entailment' }]);
    expect(await fault(examplesOf('superglue/axg', 'train'))).toBe(
      '`task` superglue/axg: has no train split, only test',
    );
  });
});

describe('rows of the hub', () => {
  it('MultiRC and ReCoRD: the same rows as from nested lines', async () => {
    await write('MultiRC/validation.jsonl', ...MULTIRC_ROWS);
    expect(await rowsOf('superglue/multirc')).toEqual(MULTIRC_ROWS);
    await write('ReCoRD/val.jsonl', RECORD);
    const rows = await rowsOf('superglue/record');
    // A set has no order, and entities may be there twice.
    const hub = rows.map((row) => ({ ...row, entities: ['Oslo', 'Bo', 'Al', 'Bo'], entity_spans: { text: [], start: [], end: [] } }));
    await write('ReCoRD/validation.jsonl', ...hub);
    expect(await rowsOf('superglue/record')).toEqual(rows);
  }); // prettier-ignore

  it('Parquet with numbers for classes, -1 in test', async () => {
    const folder = join(dir, 'wsc.fixed');
    await mkdir(folder, { recursive: true });
    const column = (name: string, data: unknown[], type: 'STRING' | 'INT32' | 'INT64') => ({ name, data, type });
    parquetWriteFile({
      filename: join(folder, 'test-00000-of-00001.parquet'),
      columnData: [
        column('text', ['Pat hid it.'], 'STRING'),
        column('span1_index', [0], 'INT32'),
        column('span2_index', [2], 'INT32'),
        column('span1_text', ['Pat'], 'STRING'),
        column('span2_text', ['it'], 'STRING'),
        column('idx', [0], 'INT32'),
        column('label', [-1n], 'INT64'),
      ],
    });
    expect(await examplesOf('superglue/wsc', 'test', false)).toEqual([{ text_a: 'Pat hid *it*.', text_b: 'Pat' }]);
    expect(await fault(examplesOf('superglue/wsc', 'test'))).toContain(':1: no label, expected one of False, True');
  });

  it('truth values in any spelling', async () => {
    const spelled = [true, 'true', 'True', ' TRUE', 1, '1', 1.0, '1.0', false, 'False', 0, '0', -1, null];
    await write('wic/validation.jsonl', ...spelled.map((label) => ({ word: 'a', sentence1: 'b', sentence2: 'c', label })));
    const labels = (await examplesOf('superglue/wic', undefined, false)).map(({ label }) => label);
    expect(labels).toEqual([...Array<string>(8).fill('True'), ...Array<string>(4).fill('False'), undefined, undefined]);
  }); // prettier-ignore
});

describe('malformed', () => {
  const passage = MULTIRC.passage;
  const record = RECORD.passage;
  it.each<[string, object, string]>([
    ['multirc', { passage: 'text' }, '"passage" is "text", expected an object'],
    ['multirc', { passage: { text: 'A.' } }, '"passage": found the columns text; expected "questions" with a list of objects'],
    ['multirc', { passage: { ...passage, questions: [{ question: 'Q?', answers: [3] }] } }, '"passage": "questions" entry 0: "answers" entry 0 is 3, expected an object'],
    ['multirc', { passage: { ...passage, questions: [{ question: 'Q?', answers: [{ label: 1 }] }] } }, '"passage": "questions" entry 0: "answers" entry 0: found the columns label; expected "text" with a text'],
    ['multirc', { passage: { ...passage, questions: [{ question: 'Q?', answers: [{ text: 'A', label: 2 }] }] } }, '"passage": "questions" entry 0: "answers" entry 0: "label" is 2, expected one of False (0), True (1)'],
    ['multirc', { question: 'Q?' }, 'found the columns question; expected "paragraph" with a text'],
    ['record', { passage: { ...record, entities: [{ start: 60, end: 90 }] }, qas: RECORD.qas }, '"passage": "entities" entry 0 is {"start":60,"end":90}, expected "start" and "end" of characters of a text of 66'],
    ['record', { passage: record, qas: [{ query: 'no gap', answers: [] }] }, '"qas" entry 0: "query" is "no gap", expected a text with @placeholder'],
    ['record', { passage: record, idx: 3 }, 'found the columns passage, idx; expected "qas" with a list of objects'],
    ['record', { passage: 'A', query: '@placeholder', entities: 'A' }, '"entities" is "A", expected a list of texts'],
    ['wsc', { text: 'He left.' }, 'found the columns text; expected "span1_index" with an integer from 0'],
    ['wsc', { ...WSC, target: [] }, '"target" is [], expected an object'],
    ['wsc', { ...WSC, target: { ...WSC.target, span2_index: 40 } }, '"target": "span2_index" is 40, expected the place of one of 11 words, from 0'],
    ['wsc', { ...WSC, target: { ...WSC.target, span2_index: 1 } }, '"target": "span2_text" is "himself.", but the text has "told Pete many" at 1; expected the place of "himself.": 6'],
    ['wsc', { text: 'He left.', span1_index: 0, span1_text: 'Ann' }, '"span1_text" is "Ann", but the text has "He left." at 0; expected words of the text'],
    ['copa', { premise: 'A.', choice1: 'B.', choice2: 'C.', question: 'why', label: 0 }, '"question" is "why", expected cause or effect'],
    ['cb', { premise: 'A.', hypothesis: 'B.', label: 'maybe' }, '"label" is "maybe", expected one of entailment (0), contradiction (1), neutral (2)'],
    ['rte', { premise: 'A.', hypothesis: 'B.', label: true }, '"label" is true, expected one of entailment (0), not_entailment (1)'],
    ['boolq', { question: 3, passage: 'B.', label: true }, '"question" is 3, expected a text'],
  ])('%s %j', async (name, row, message) => {
    const folder = `malformed/${name}`;
    await write(`${folder}/val.jsonl`, row);
    expect(await fault(rowsOf(`superglue/${name}`, undefined, join(dir, folder)))).toBe(`/${folder}/val.jsonl:1: ${message}`);
  }); // prettier-ignore
});

it('lines that are no objects, beside what the lines before have', async () => {
  const path = 'malformed/lines/CB/val.jsonl';
  await write(path, { premise: 'A.', hypothesis: 'B.', label: 'neutral' });
  await writeFile(join(dir, path), '{"premise": "A."\n', { flag: 'a' });
  const read = (): Promise<unknown> => rowsOf('superglue/cb', undefined, join(dir, 'malformed/lines'));
  expect(await fault(read())).toBe(`/${path}:2: not JSON, expected one object per line, as line 1 with premise, hypothesis, label`);
  await writeFile(join(dir, path), '[1]\n');
  expect(await fault(read())).toBe(`/${path}:1: found [1], expected one object per line`);
}); // prettier-ignore

describe('submissions', () => {
  const outcomes = (...rows: number[][]): Outcome[] => rows.map((row) => ({ scores: Float32Array.from(row) }));
  it.each<[string, string, string[]]>([
    ['boolq', 'BoolQ.jsonl', ['{"idx":7,"label":"true"}', '{"idx":1,"label":"false"}']],
    ['cb', 'CB.jsonl', ['{"idx":7,"label":"contradiction"}', '{"idx":1,"label":"entailment"}']],
    ['copa', 'COPA.jsonl', ['{"idx":7,"label":1}', '{"idx":1,"label":0}']],
    ['rte', 'RTE.jsonl', ['{"idx":7,"label":"not_entailment"}', '{"idx":1,"label":"entailment"}']],
    ['wic', 'WiC.jsonl', ['{"idx":7,"label":"true"}', '{"idx":1,"label":"false"}']],
    ['wsc', 'WSC.jsonl', ['{"idx":7,"label":"True"}', '{"idx":1,"label":"False"}']],
    ['axb', 'AX-b.jsonl', ['{"idx":7,"label":"not_entailment"}', '{"idx":1,"label":"entailment"}']],
    ['axg', 'AX-g.jsonl', ['{"idx":7,"label":"not_entailment"}', '{"idx":1,"label":"entailment"}']],
  ])('%s', (name, file, lines) => {
    const task = taskNamed(`superglue/${name}`);
    const keys = [task.key!({ idx: 7 }), {}];
    expect(task.submission!.file).toBe(file);
    expect(submissionLines(task, keys, task.labels, outcomes([0, 1, -1], [1, 0, -1]))).toEqual(lines);
  });

  it('multirc: a line a passage, with its questions and answers', () => {
    const task = taskNamed('superglue/multirc');
    const keys = MULTIRC_ROWS.map((row) => task.key!(row));
    const other = task.key!({ ...MULTIRC_ROWS[0]!, idx: { paragraph: 5, question: 11, answer: 40 } });
    expect(submissionLines(task, [...keys, other], task.labels, outcomes([0, 1], [1, 0], [1, 0], [0, 1]))).toEqual([
      '{"idx":4,"passage":{"questions":[{"idx":9,"answers":[{"idx":30,"label":1},{"idx":31,"label":0}]},{"idx":10,"answers":[{"idx":32,"label":0}]}]}}',
      '{"idx":5,"passage":{"questions":[{"idx":11,"answers":[{"idx":40,"label":1}]}]}}',
    ]);
  });

  it('record: the entity with the highest score of each query', async () => {
    await write('ReCoRD/val.jsonl', RECORD);
    const task = taskNamed('superglue/record');
    const keys = (await rowsOf('superglue/record')).flatMap((row) => task.candidates!(row).map(task.key!));
    const rows = outcomes([0, 1], [0, 3], [5, 6], [0, -1], [0, -2], [9, 3]);
    expect(submissionLines(task, keys, task.labels, rows)).toEqual([
      '{"idx":5,"label":"Bo"}',
      '{"idx":6,"label":"Al"}',
    ]);
  });
});

it('any texts come out of the hub rows of MultiRC as they went in', async () => {
  const text = fc.string({ unit: 'grapheme' });
  await fc.assert(
    fc.asyncProperty(
      fc.array(fc.tuple(text, text, text, fc.boolean()), { minLength: 1, maxLength: 5 }),
      async (all) => {
        const rows = all.map(([paragraph, question, answer, label]) => ({ paragraph, question, answer, label }));
        await write('MultiRC/validation.jsonl', ...rows);
        const expected = rows.map((row) => ({ ...row, label: Number(row.label), idx: undefined }));
        expect(await rowsOf('superglue/multirc')).toEqual(expected);
      },
    ),
    { numRuns: 40 },
  );
});
