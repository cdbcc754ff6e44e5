/**
 * Protects: every task of GLUE reads its tables as they are distributed, and the hub's layouts, to the same rows; malformed tables are
 * refused with line and layout.
 */
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import fc from 'fast-check';
import { parquetWriteFile } from 'hyparquet-writer';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { UserError } from '../../../engine/errors.ts';
import { setWarningHandler, type WarningHandler } from '../../../engine/warnings.ts';
import { itemsOf } from '../../../data/record-source.ts';
import { requestedTask, type DataRequest } from '../../../data/request.ts';
import { exampleSource, labelledSource } from '../../../data/tasks/split-source.ts';
import type { SplitName } from '../../../data/tasks/task.ts';
import { taskNamed } from '../../../data/tasks/registry.ts';

let dir: string;
let heard: string[] = [];
let before: WarningHandler;
beforeAll(async () => {
  dir = await mkdtemp(join(tmpdir(), 'glue-'));
  before = setWarningHandler((text) => heard.push(text.replaceAll(dir, '')));
});
afterAll(async () => {
  setWarningHandler(before);
  await rm(dir, { recursive: true });
});

async function write(files: Readonly<Record<string, readonly string[] | string>>): Promise<void> {
  for (const [name, lines] of Object.entries(files)) {
    await mkdir(dirname(join(dir, name)), { recursive: true });
    await writeFile(join(dir, name), typeof lines === 'string' ? lines : lines.map((line) => `${line}\n`).join(''));
  }
}

type Rows = readonly Readonly<Record<string, unknown>>[];

/** Rows in the columns that examples are read by. */
async function read(name: string, request: DataRequest, evalSplit?: SplitName, labelled = true): Promise<Rows> {
  heard = [];
  const task = taskNamed(name);
  const { train, eval: test } = await requestedTask(
    task,
    { task: name, ...request },
    { ...(evalSplit && { evalSplit }) },
  );
  const rows: Readonly<Record<string, unknown>>[] = [];
  const source = labelled ? labelledSource : exampleSource;
  for await (const { fields } of itemsOf(source(task, (request.evalOnly ? test : train)!))) rows.push(fields);
  return rows;
}

const trained = (name: string): Promise<Rows> => read(name, { dataDir: dir, evalOnly: true }, 'train');
const evaluated = (name: string, split?: SplitName): Promise<Rows> =>
  read(name, { dataDir: dir, evalOnly: true }, split);
const predicted = (name: string): Promise<Rows> => read(name, { dataDir: dir, evalOnly: true }, 'test', false);

async function fault(reading: Promise<unknown>): Promise<string> {
  const error: unknown = await reading.catch((reason: unknown) => reason);
  expect(error).toBeInstanceOf(UserError);
  return (error as UserError).message.replaceAll(dir, '');
}

describe('tables as distributed', () => {
  it('CoLA: no header but in its test split', async () => {
    await write({
      'CoLA/train.tsv': ['ab12\t1\t\tThe cat "sat.', 'ab12\t0\t*\tCat the sat'],
      'CoLA/dev.tsv': ['ab12\t1\t\tBirds sing.'],
      'CoLA/test.tsv': ['index\tsentence', '0\tThey left.', '1\t"Stay" he said'],
    });
    expect(await trained('glue/cola')).toEqual([
      { text: 'The cat "sat.', label: 'acceptable' },
      { text: 'Cat the sat', label: 'unacceptable' },
    ]);
    expect(await evaluated('glue/cola')).toEqual([{ text: 'Birds sing.', label: 'acceptable' }]);
    expect(await predicted('glue/cola')).toEqual([{ text: 'They left.' }, { text: '"Stay" he said' }]);
    expect(await fault(evaluated('glue/cola', 'test'))).toBe(
      '/CoLA/test.tsv:2: no label, expected one of unacceptable, acceptable; test splits without labels can be predicted, not evaluated',
    );
  });

  it('SST-2: marks and spaces are text', async () => {
    await write({
      'SST-2/train.tsv': ['sentence\tlabel', "it 's fine . \t1", '" dull \t0'],
      'SST-2/test.tsv': ['index\tsentence', '0\tsome film'],
    });
    expect(await trained('GLUE/SST-2')).toEqual([
      { text: "it 's fine . ", label: 'positive' },
      { text: '" dull ', label: 'negative' },
    ]);
    expect(await predicted('glue/SST_2')).toEqual([{ text: 'some film' }]);
  });

  it('MRPC: a byte-order mark, CRLF, and marks that are not closed', async () => {
    const header = '#1 ID\t#2 ID\t#1 String\t#2 String';
    await write({
      'MRPC/train.tsv': `\uFEFFQuality\t${header}\r\n1\t7\t8\t" We won , " he said .\tHe said " we won .\r\n0\t9\t10\tA\tB\r\n`,
      'MRPC/test.tsv': `\uFEFFindex\t${header}\r\n0\t7\t8\tA "\tB\r\n`,
    });
    expect(await trained('glue/mrpc')).toEqual([
      { text_a: '" We won , " he said .', text_b: 'He said " we won .', label: 'equivalent' },
      { text_a: 'A', text_b: 'B', label: 'not_equivalent' },
    ]);
    expect(await predicted('glue/mrpc')).toEqual([{ text_a: 'A "', text_b: 'B' }]);
  });

  it('STS-B: ten columns with a number', async () => {
    const columns = 'index\tgenre\tfilename\tyear\told_index\tsource1\tsource2\tsentence1\tsentence2';
    await write({
      'STS-B/dev.tsv': [`${columns}\tscore`, '0\tnews\tx\t2012\t0001\tnone\tnone\tA man.\tA dog.\t0.800'],
      'STS-B/test.tsv': [columns, '0\tnews\tx\t2012\t0001\tnone\tnone\tA man.\tA dog.'],
    });
    expect(await evaluated('glue/stsb')).toEqual([{ text_a: 'A man.', text_b: 'A dog.', label: 0.8 }]);
    expect(await predicted('glue/stsb')).toEqual([{ text_a: 'A man.', text_b: 'A dog.', label: undefined }]);
    await write({ 'STS-B/dev.tsv': [`${columns}\tscore`, '0\tnews\tx\t2012\t0001\tnone\tnone\tA man.\tA dog.\thigh'] });
    expect(await fault(evaluated('glue/stsb'))).toBe(
      '/STS-B/dev.tsv:2: "score" is "high", expected a number from 0 to 5',
    );
    await write({ 'STS-B/dev.tsv': [`${columns}\tscore`, '0\tnews\tx\t2012\t0001\tnone\tnone\tA man.\tA dog.\t5.1'] });
    expect(await fault(evaluated('glue/stsb'))).toContain('"score" is "5.1", expected a number from 0 to 5');
  });

  it('QQP: broken lines are left out, counted and named', async () => {
    await write({
      'QQP/train.tsv': [
        'id\tqid1\tqid2\tquestion1\tquestion2\tis_duplicate',
        '1\t3\t4\tWhat is it?\tWhat "is it?\t1',
        '2\t5\t6\tWhy does',
        'it break?\tWhy?\t0',
        '3\t7\t8\tWho?\tWhere?\t0',
      ],
      'QQP/test.tsv': ['id\tquestion1\tquestion2', '0\tWho?\tWho is it?'],
    });
    expect(await trained('glue/qqp')).toEqual([
      { text_a: 'What is it?', text_b: 'What "is it?', label: 'duplicate' },
      { text_a: 'Who?', text_b: 'Where?', label: 'not_duplicate' },
    ]);
    expect(heard).toEqual(['/QQP/train.tsv: left out 2 lines of another number of columns than the header: 3, 4']);
    expect(await predicted('glue/qqp')).toEqual([{ text_a: 'Who?', text_b: 'Who is it?' }]);
  });

  it('MNLI: matched and mismatched, the gold label among others', async () => {
    const first =
      'index\tpromptID\tpairID\tgenre\tsentence1_binary_parse\tsentence2_binary_parse\tsentence1_parse\tsentence2_parse';
    const row = (premise: string, ...labels: string[]): string =>
      ['0', '1', '1n', 'fiction', '( a )', '( b )', '(ROOT a)', '(ROOT b)', premise, 'Yes.', ...labels].join('\t');
    const dev = `${first}\tsentence1\tsentence2\tlabel1\tlabel2\tlabel3\tlabel4\tlabel5\tgold_label`;
    const five = ['neutral', 'neutral', 'entailment', 'neutral', 'neutral'];
    await write({
      'MNLI/train.tsv': [`${first}\tsentence1\tsentence2\tlabel1\tgold_label`, row('One.', 'neutral', 'contradiction')],
      'MNLI/dev_matched.tsv': [dev, row('Two.', ...five, 'neutral'), row('Unsure.', ...five, '-')],
      'MNLI/dev_mismatched.tsv': [dev, row('Three.', ...five, 'entailment')],
      'MNLI/test_matched.tsv': [`${first}\tsentence1\tsentence2`, row('Four.')],
    });
    const pair = (text: string, label?: string): object => ({ text_a: text, text_b: 'Yes.', ...(label && { label }) });
    for (const name of ['glue/mnli', 'glue/mnli_matched', 'glue/mnli_mismatched'])
      expect(await trained(name)).toEqual([pair('One.', 'contradiction')]);
    expect(await evaluated('glue/mnli')).toEqual([pair('Two.', 'neutral')]);
    expect(await evaluated('glue/mnli-matched')).toEqual([pair('Two.', 'neutral')]);
    expect(await evaluated('glue/mnli_mismatched')).toEqual([pair('Three.', 'entailment')]);
    expect(await predicted('glue/mnli')).toEqual([pair('Four.')]);
    expect(await fault(predicted('glue/mnli_mismatched'))).toContain(
      'looked for test_mismatched.*, test.* or their parts (test_mismatched-00000-of-…) in /MNLI, ',
    );
  });

  it('QNLI, RTE and WNLI: labels as text or numbers', async () => {
    await write({
      'QNLI/dev.tsv': ['index\tquestion\tsentence\tlabel', '0\tWho?\tThe king did.\tentailment'],
      'RTE/dev.tsv': ['index\tsentence1\tsentence2\tlabel', '0\tIt rains.\tIt is dry.\tnot_entailment', '1\tA.\tA.\t0'],
      'WNLI/dev.tsv': ['index\tsentence1\tsentence2\tlabel', '0\tIt broke.\tThe cup broke.\t1'],
    });
    expect(await evaluated('glue/qnli')).toEqual([{ text_a: 'Who?', text_b: 'The king did.', label: 'entailment' }]);
    expect((await evaluated('glue/rte')).map(({ label }) => label)).toEqual(['not_entailment', 'entailment']);
    expect((await evaluated('glue/wnli')).map(({ label }) => label)).toEqual(['entailment']);
    expect(await fault(trained('glue/qnli'))).toContain(
      'no train split of glue/qnli; looked for train.* or their parts',
    );
  });

  it('AX: with labels where its full table is there', async () => {
    await write({ 'AX/AX.tsv': ['index\tsentence1\tsentence2', '0\tA cat.\tNo cat.'] });
    expect(await predicted('glue/ax')).toEqual([{ text_a: 'A cat.', text_b: 'No cat.' }]);
    const tags = 'Lexical Semantics\tPredicate-Argument Structure\tLogic\tKnowledge\tDomain';
    await write({
      'AX/diagnostic-full.tsv': [
        `${tags}\tPremise\tHypothesis\tLabel`,
        '\t\tNegation\t\tNews\tA cat.\tNo cat.\tcontradiction',
      ],
    });
    expect(await evaluated('glue/ax')).toEqual([{ text_a: 'A cat.', text_b: 'No cat.', label: 'contradiction' }]);
  });
});

describe('layouts of the hub', () => {
  it('reads numbers of classes, and −1 as none', async () => {
    await write({
      'hub/mnli/train.jsonl': ['{"premise":"A","hypothesis":"B","label":2,"idx":0}'],
      'hub/mnli/validation_matched.csv': ['premise,hypothesis,label,idx', '"A, ""a""",B,1,0'],
      'hub/mnli/test_matched.jsonl': ['{"premise":"A","hypothesis":"B","label":-1,"idx":7}'],
      'hub/stsb/validation.json': '[{"sentence1":"A","sentence2":"B","label":2.5,"idx":0}]',
    });
    const hub = { dataDir: join(dir, 'hub') };
    expect(await read('glue/mnli', { ...hub, evalOnly: true }, 'train')).toEqual([
      { text_a: 'A', text_b: 'B', label: 'contradiction' },
    ]);
    expect(await read('glue/mnli', { ...hub, evalOnly: true })).toEqual([
      { text_a: 'A, "a"', text_b: 'B', label: 'neutral' },
    ]);
    expect(await read('glue/mnli', { ...hub, evalOnly: true }, 'test', false)).toEqual([{ text_a: 'A', text_b: 'B' }]);
    expect(await read('glue/stsb', { ...hub, evalOnly: true })).toEqual([{ text_a: 'A', text_b: 'B', label: 2.5 }]);
  });
});

describe('Parquet of the hub', () => {
  it('has its classes by name, in an order of its own too', async () => {
    const rte = async (names: readonly string[], labels: readonly number[]): Promise<Rows> => {
      const features = { label: { _type: 'ClassLabel', names } };
      await mkdir(join(dir, 'parquet', 'rte'), { recursive: true });
      const columns = { sentence1: labels.map(() => 'A'), sentence2: labels.map(() => 'B'), label: [...labels] };
      parquetWriteFile({
        filename: join(dir, 'parquet', 'rte', 'test-00000-of-00001.parquet'),
        columnData: [
          { name: 'sentence1', data: columns.sentence1, type: 'STRING' },
          { name: 'sentence2', data: columns.sentence2, type: 'STRING' },
          { name: 'label', data: columns.label.map(BigInt), type: 'INT64' },
        ],
        kvMetadata: [{ key: 'huggingface', value: JSON.stringify({ info: { features } }) }],
      });
      return read('glue/rte', { dataDir: join(dir, 'parquet'), evalOnly: true }, 'test', false);
    };
    const labels = (rows: Rows): unknown[] => rows.map(({ label }) => label);
    expect(labels(await rte(['entailment', 'not_entailment'], [0, 1, -1]))).toEqual([
      'entailment',
      'not_entailment',
      undefined,
    ]);
    expect(labels(await rte(['not_entailment', 'entailment'], [0, 1]))).toEqual(['not_entailment', 'entailment']);
    expect(labels(await rte(['0', '1'], [0, 1]))).toEqual(['entailment', 'not_entailment']);
  });
});

describe('malformed tables', () => {
  it.each([
    [
      'a line of other columns',
      ['sentence\tlabel', 'fine\t1', 'broken'],
      '3: found 1 field, expected 2 (sentence, label)',
    ],
    [
      'another class',
      ['sentence\tlabel', 'fine\tgood'],
      '2: "label" is "good", expected one of negative (0), positive (1)',
    ],
    [
      'a number beyond them',
      ['sentence\tlabel', 'fine\t2'],
      '2: "label" is "2", expected one of negative (0), positive (1)',
    ],
    ['another column', ['text\tlabel', 'fine\t1'], '2: found the columns text, label; expected "sentence" with a text'],
    [
      'a row without a label',
      ['sentence\tlabel', 'fine\t'],
      '2: no label, expected one of negative, positive; test splits',
    ],
    ['no rows', ['sentence\tlabel'], ' empty, expected at least one example'],
    ['a column twice', ['sentence\tsentence', 'a\tb'], '1: two columns are named "sentence"'],
  ])('%s', async (_, lines, message) => {
    await write({ 'bad/train.tsv': lines });
    expect(await fault(read('glue/sst2', { train: join(dir, 'bad', 'train.tsv') }))).toContain(
      `/bad/train.tsv:${message}`,
    );
  });

  it('a folder that is not there', async () => {
    expect(await fault(read('glue/rte', { dataDir: join(dir, 'none') }))).toBe('/none: no such file or folder');
  });

  it('unknown tasks list near names', async () => {
    expect(await fault(Promise.resolve().then(() => taskNamed('glue/cloa')))).toContain('did you mean glue/cola');
    expect(await fault(Promise.resolve().then(() => taskNamed('sst2')))).toContain('did you mean glue/sst2');
    expect(await fault(Promise.resolve().then(() => taskNamed('arc')))).toContain('arc_easy or arc_challenge?');
  });
});

describe('any texts', () => {
  it('come out of a table as they went in', async () => {
    const cell = fc.string({ unit: 'grapheme' }).map((text) => text.replace(/[\t\r\n\uFEFF]/g, ' '));
    const row = fc.record({ a: cell, b: cell, label: fc.constantFrom('0', '1', 'equivalent', 'not_equivalent') });
    await fc.assert(
      fc.asyncProperty(fc.array(row, { minLength: 1, maxLength: 8 }), fc.boolean(), async (rows, crlf) => {
        const lines = rows.map(({ a, b, label }, i) => [label, i, i, a, b].join('\t'));
        const text = ['Quality\t#1 ID\t#2 ID\t#1 String\t#2 String', ...lines].join(crlf ? '\r\n' : '\n');
        await write({ 'any/train.tsv': text });
        const found = await read('glue/mrpc', { train: join(dir, 'any', 'train.tsv') });
        const names = (label: string): string => (/^(1|equivalent)$/.test(label) ? 'equivalent' : 'not_equivalent');
        expect(found).toEqual(rows.map(({ a, b, label }) => ({ text_a: a, text_b: b, label: names(label) })));
      }),
      { numRuns: 60 },
    );
  });
});
