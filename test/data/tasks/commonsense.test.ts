/** Protects: the commonsense suite's files are read in their own layouts and the hub's, to the same rows, and bad ones are told by line. */
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import fc from 'fast-check';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { requestedFiles } from '../../../data/request.ts';
import { itemsOf } from '../../../data/record-source.ts';
import { taskNamed } from '../../../data/tasks/registry.ts';
import { rowsOfFiles } from '../../../data/tasks/split-source.ts';
import type { TaskRow } from '../../../data/tasks/task.ts';

let dir: string;
beforeAll(async () => {
  dir = await mkdtemp(join(tmpdir(), 'light-peft-'));
});
afterAll(() => rm(dir, { recursive: true }));

async function write(name: string, content: string): Promise<string> {
  const path = join(dir, name);
  await mkdir(dirname(path), { recursive: true });
  await writeFile(path, content);
  return path;
}

const lines = (...rows: object[]): string => rows.map((row) => JSON.stringify(row)).join('\n') + '\n';

async function rowsOf(task: string, path: string): Promise<TaskRow[]> {
  const rows: TaskRow[] = [];
  for await (const { row } of itemsOf(rowsOfFiles(taskNamed(task), [path]))) rows.push(row);
  return rows;
}

async function examplesOf(task: string, path: string): Promise<TaskRow[]> {
  return (await rowsOf(task, path)).map((row) => taskNamed(task).example(row));
}

let files = 0;
const read = async (task: string, ...rows: object[]): Promise<TaskRow[]> =>
  examplesOf(task, await write(`f${files++}/train.jsonl`, lines(...rows)));

describe('examples', () => {
  it('boolq, as Google has it, the hub, and SuperGLUE', async () => {
    const texts = { question: 'is a whale a fish', passage: 'Whales are mammals.' };
    const expected = { text_a: texts.question, text_b: texts.passage };
    expect(await read('boolq', { ...texts, title: 'Whale', answer: false })).toEqual([{ ...expected, label: 'False' }]);
    expect(await read('boolq', { ...texts, label: true, idx: 3 })).toEqual([{ ...expected, label: 'True' }]);
    expect(await read('boolq', { ...texts, title: 'Whale' })).toEqual([expected]);
  });

  it('piqa: labels beside the rows, or in them', async () => {
    const row = { id: 'a', goal: 'dry a cup', sol1: 'Wipe it.', sol2: 'Fill it.' };
    const example = { text: 'dry a cup', choices: ['Wipe it.', 'Fill it.'] };
    await write('piqa/train-labels.lst', '1\n0\n');
    const path = await write('piqa/train.jsonl', lines(row, row));
    expect(await examplesOf('piqa', path)).toEqual([
      { ...example, label: 1 },
      { ...example, label: 0 },
    ]);
    expect(await read('piqa', { ...row, label: 1 }, { ...row, label: -1 })).toEqual([
      { ...example, label: 1 },
      example,
    ]);
  });

  it('social_iqa: labels count from 1', async () => {
    const row = { context: 'Ada ran.', question: 'Why?', answerA: 'late', answerB: 'bored', answerC: 'hot' };
    const example = { text: 'Ada ran. Why?', choices: ['late', 'bored', 'hot'] };
    await write('siqa/dev-labels.lst', '3\r\n1\r\n');
    expect(await examplesOf('social_iqa', await write('siqa/dev.jsonl', lines(row, row)))).toEqual([
      { ...example, label: 2 },
      { ...example, label: 0 },
    ]);
    expect(await read('social_iqa', { ...row, label: '2\n' }, { ...row, label: '' })).toEqual([
      { ...example, label: 1 },
      example,
    ]);
  });

  it('hellaswag: endings go on from where the context breaks off', async () => {
    const row = {
      ind: 4,
      activity_label: 'Baking',
      ctx_a: 'A man stirs.',
      ctx_b: 'he',
      ctx: 'A man stirs. he',
      split: 'train',
      split_type: 'indomain',
      endings: ['eats.', 'runs.', 'naps.', 'sings.'],
      source_id: 'x~1',
    };
    const whole = { ...row, ctx_b: '', ctx: row.ctx_a, label: '3' };
    expect(await read('hellaswag', { ...row, label: 2 }, whole, { ...row, label: '' })).toEqual([
      { text: 'A man stirs.', choices: ['he eats.', 'he runs.', 'he naps.', 'he sings.'], label: 2 },
      { text: 'A man stirs.', choices: row.endings, label: 3 },
      { text: 'A man stirs.', choices: ['he eats.', 'he runs.', 'he naps.', 'he sings.'] },
    ]);
  });

  it('winogrande: the sentence parts at the blank', async () => {
    const row = {
      qID: 'q',
      sentence: 'The cup fell off the shelf as the _ was wet.',
      option1: 'cup',
      option2: 'shelf',
    };
    const example = { text: 'The cup fell off the shelf as the', choices: ['cup was wet.', 'shelf was wet.'] };
    expect(await read('winogrande', { ...row, answer: '2' }, { ...row, answer: '' }, row)).toEqual([
      { ...example, label: 1 },
      example,
      example,
    ]);
  });

  it.each([
    ['arc_easy', 'question'],
    ['arc_challenge', 'question'],
    ['openbookqa', 'question_stem'],
  ])('%s: the institute’s form and the hub’s, letters and digits, of any number of choices', async (task, stem) => {
    const question = fc.record({
      texts: fc.array(fc.string({ minLength: 1 }), { minLength: 2, maxLength: 5 }),
      digits: fc.boolean(),
      right: fc.nat(4),
      stem: fc.string({ minLength: 1 }),
    });
    await fc.assert(
      fc.asyncProperty(fc.array(question, { minLength: 1, maxLength: 5 }), async (questions) => {
        const all = questions.map(({ texts, digits, right, stem: asked }, i) => {
          const label = texts.map((_, c) => (digits ? String(c + 1) : 'ABCDE'[c]!));
          const answer = right % texts.length;
          const common = { id: `q${i}`, answerKey: label[answer] };
          const choices = texts.map((text, c) => ({ text, label: label[c] }));
          return {
            own: { ...common, question: { stem: asked, choices } },
            hub: { ...common, [stem]: asked, choices: { text: texts, label } },
            example: { text: asked, choices: texts, label: answer },
          };
        });
        const expected = all.map(({ example }) => example);
        expect(await read(task, ...all.map(({ own }) => own))).toEqual(expected);
        expect(await read(task, ...all.map(({ hub }) => hub))).toEqual(expected);
      }),
      { numRuns: 15 },
    );
  });

  it('rows are in the hub’s columns', async () => {
    const choices = [
      { text: 'a', label: 'A' },
      { text: 'b', label: 'B' },
    ];
    const path = await write('arc-own.jsonl', lines({ id: 'q', question: { stem: 's', choices }, answerKey: ' B' }));
    expect(await rowsOf('arc_easy', path)).toEqual([
      { id: 'q', question: 's', choices: { text: ['a', 'b'], label: ['A', 'B'] }, answerKey: ' B', label: 1 },
    ]);
  });
});

describe('files of a split', () => {
  const arc = lines({ id: 'q', question: 's', choices: { text: ['a', 'b'], label: ['A', 'B'] }, answerKey: 'A' });

  it.each([
    ['arc_easy', 'ARC-V1-Feb2018-2/ARC-Easy/ARC-Easy-Train.jsonl', 'ARC-V1-Feb2018-2/ARC-Easy/ARC-Easy-Dev.jsonl'],
    ['openbookqa', 'OpenBookQA-V1-Sep2018/Data/Main/train.jsonl', 'OpenBookQA-V1-Sep2018/Data/Main/dev.jsonl'],
    ['openbookqa', 'main/train-00000-of-00001.parquet', 'main/validation-00000-of-00001.parquet'],
    ['winogrande', 'winogrande_1.1/train_xl.jsonl', 'winogrande_1.1/dev.jsonl'],
    ['winogrande_xs', 'winogrande_1.1/train_xs.jsonl', 'winogrande_1.1/dev.jsonl'],
    ['winogrande_debiased', 'winogrande_debiased/train.jsonl', 'winogrande_debiased/validation.jsonl'],
    ['hellaswag', 'hellaswag_train.jsonl', 'hellaswag_val.jsonl'],
    ['piqa', 'train.jsonl', 'valid.jsonl'],
    ['social_iqa', 'socialiqa-train-dev/train.jsonl', 'socialiqa-train-dev/dev.jsonl'],
    ['squad', 'SQuAD/train-v1.1.json', 'SQuAD/dev-v1.1.json'],
    ['squad_v2', 'SQuAD/train-v2.0.json', 'SQuAD/dev-v2.0.json'],
    ['squad_v2', 'squad_v2/train-00000-of-00001.parquet', 'squad_v2/validation-00000-of-00001.parquet'],
  ])('%s: %s', async (task, train, validation) => {
    const root = `splits-${files++}`;
    await write(`${root}/${train}`, '');
    await write(`${root}/${validation}`, '');
    const found = await requestedFiles({ task, dataDir: join(dir, root) }, {});
    expect(found).toEqual({ train: [join(dir, root, train)], eval: [join(dir, root, validation)] });
  });

  it('of a CSV and JSON lines, the latter: the CSV has the choices within the question', async () => {
    await write('both/ARC-Easy-Train.csv', 'questionID,question\n');
    await write('both/ARC-Easy-Train.jsonl', arc);
    await write('both/ARC-Easy-Dev.csv', 'questionID,question\n');
    await write('both/ARC-Easy-Dev.jsonl', arc);
    const { train } = await requestedFiles({ task: 'arc_easy', dataDir: join(dir, 'both') }, {});
    expect(train).toEqual([join(dir, 'both', 'ARC-Easy-Train.jsonl')]);
  });

  it('SQuAD’s versions are not taken for each other', async () => {
    await write('v2/train-v2.0.json', '');
    await expect(requestedFiles({ task: 'squad', dataDir: join(dir, 'v2') }, {})).rejects.toThrow(
      /no train split of squad; looked for train-v1\.1\.\*, train\.\*/,
    );
  });
});

describe('refuses', () => {
  const social = { context: 'c', question: 'q', answerA: 'a', answerB: 'b', answerC: 'c' };
  const swag = { activity_label: 'x', ctx_a: 'a', ctx_b: 'b', ctx: 'a b' };
  it.each([
    [
      'boolq',
      { question: 'q', passage: 'p', answer: 'maybe' },
      /:2: "answer" is "maybe", expected one of False \(0\), True \(1\)/,
    ],
    ['boolq', { question: 'q' }, /:2: found the columns question; expected "passage" with a text/],
    ['piqa', { goal: 'g', sol1: 's' }, /:2: found the columns goal, sol1; expected "sol2"/],
    ['piqa', { goal: 'g', sol1: 's', sol2: 't', label: 2 }, /:2: "label" is 2, expected one of 0, 1/],
    ['social_iqa', { ...social, label: '0' }, /:2: "label" is "0", expected one of 1, 2, 3/],
    ['hellaswag', { ...swag, endings: 'eats.' }, /:2: "endings" is "eats\.", expected a list of two texts at least/],
    ['hellaswag', { ...swag, endings: ['a', 'b'], label: 4 }, /:2: "label" is 4, expected one of 0, 1/],
    [
      'winogrande',
      { sentence: 'No blank.', option1: 'a', option2: 'b' },
      /:2: "sentence" is "No blank\.", expected a _/,
    ],
    [
      'winogrande',
      { sentence: 'A _.', option1: 'a', option2: 'b', answer: 'a' },
      /:2: "answer" is "a", expected one of 1, 2/,
    ],
    [
      'arc_easy',
      { question: 's', choices: { text: ['a'], label: ['A'] } },
      /:2: "choices" is .* expected two at least/,
    ],
    ['arc_easy', { question: { stem: 's', choices: [{ text: 'a' }, { text: 'b' }] } }, /:2: "question\.choices" is/],
    ['arc_easy', { question: { choices: [] } }, /:2: "question": found the columns choices; expected "stem"/],
    [
      'openbookqa',
      { question_stem: 's', choices: { text: ['a', 'b'], label: ['A', 'B'] }, answerKey: 'E' },
      /:2: "answerKey" is "E", expected one of A, B/,
    ],
  ])('%s %j', async (task, row, message) => {
    const path = await write(`bad${files++}.jsonl`, `\n${lines(row)}`);
    await expect(examplesOf(task, path)).rejects.toThrow(message);
  });

  it('label files of another length', async () => {
    const row = { goal: 'g', sol1: 's', sol2: 't' };
    await write('short/train-labels.lst', '1\n');
    await expect(examplesOf('piqa', await write('short/train.jsonl', lines(row, row)))).rejects.toThrow(
      /train-labels\.lst: found 1 labels, expected one for every row/,
    );
    await write('long/train-labels.lst', '1\n0\n1\n');
    await expect(examplesOf('piqa', await write('long/train.jsonl', lines(row, row)))).rejects.toThrow(
      /train-labels\.lst: found 3 labels, expected 2/,
    );
  });
});
