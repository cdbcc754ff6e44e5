/** Protects: data files are read as written, and every fault is named with file and line. */
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import fc from 'fast-check';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { UserError } from '../../engine/errors.ts';
import { readExamples, type ExampleFile, type RawExample } from '../../data/examples.ts';

let folder: string;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'examples-'));
});
afterAll(() => rm(folder, { recursive: true }));

async function read(
  name: string,
  content: string | Uint8Array,
  needLabel = true,
  choices = false,
): Promise<readonly RawExample[]> {
  const path = join(folder, name);
  await writeFile(path, content);
  return collect(readExamples(path, { needLabel, choices }));
}

async function collect({ rows }: ExampleFile): Promise<RawExample[]> {
  const collected: RawExample[] = [];
  for await (const row of rows) collected.push(row);
  return collected;
}

async function fault(name: string, content: string | Uint8Array, needLabel = true): Promise<string> {
  const error: unknown = await read(name, content, needLabel).catch((reason: unknown) => reason);
  expect(error).toBeInstanceOf(UserError);
  const { message } = error as UserError;
  expect(message).not.toContain('\n');
  return message.replace(folder, '').slice(1);
}

describe('JSON lines', () => {
  it('reads texts, pairs and tokens; blank lines and other columns are skipped', async () => {
    expect(await read('a.jsonl', '{"text":"x\\u2028y","label":1,"id":7}\r\n\n{"text":"","label":"pos"}')).toEqual([
      { line: 1, text: 'x\u2028y', label: 1 },
      { line: 3, text: '', label: 'pos' },
    ]);
    expect(await read('b.json', '{"text_a":"x","text_b":"y","label":0}')).toEqual([
      { line: 1, text: 'x', textPair: 'y', label: 0 },
    ]);
    const tokens = '{"input_ids":[0,5,2,1],"attention_mask":[1,1,1,0],"label":2}\n{"input_ids":[0,2],"label":0}\n';
    expect(await read('c.ndjson', tokens)).toEqual([
      { line: 1, inputIds: [0, 5, 2, 1], attentionMask: [1, 1, 1, 0], label: 2 },
      { line: 2, inputIds: [0, 2], attentionMask: [1, 1], label: 0 },
    ]);
  });

  it.each([
    ['', 'a.jsonl: empty, expected at least one example'],
    ['\n \n', 'a.jsonl: empty, expected at least one example'],
    ['{"text":"x","label":0}\n{"text":"x', 'a.jsonl:2: not JSON, expected one object per line'],
    ['[{"text":"x"}]', 'a.jsonl:1: found [{"text":"x"}], expected one object per line'],
    ['{"sentence":"x","label":0}', 'a.jsonl:1: found sentence, label, expected "text"'],
    ['{"text":"x","label":0}\n{"label":0}', 'a.jsonl:2: "text" is nothing, expected a string'],
    ['{"text":5,"label":0}', 'a.jsonl:1: "text" is 5, expected a string'],
    ['{"text_a":"x","label":0}', 'a.jsonl:1: "text_b" is nothing, expected a string'],
    ['{"text":"x","label":0}\n{"text":"y"}', 'a.jsonl:2: "label" is missing'],
    ['{"text":"x","label":null}', 'a.jsonl:1: "label" is missing'],
    ['{"text":"x","label":[0,2]}', 'a.jsonl:1: "label" is [0,2], expected a class index'],
    ['{"text":"x","label":1e999}', 'a.jsonl:1: "label" is null, expected a class index'],
    ['{"text":"x","label":[1]}', 'a.jsonl:1: "label" is [1], expected a class index'],
    ['{"input_ids":[],"label":0}', 'a.jsonl:1: "input_ids" is [], expected a list'],
    ['{"input_ids":"0 1","label":0}', 'a.jsonl:1: "input_ids" is "0 1", expected a list'],
    ['{"input_ids":[0,1.5],"label":0}', 'a.jsonl:1: "input_ids" entry 1 is 1.5, expected a token id'],
    ['{"input_ids":[0,-1],"label":0}', 'a.jsonl:1: "input_ids" entry 1 is -1, expected a token id'],
    ['{"input_ids":[0,1],"attention_mask":[1],"label":0}', 'a.jsonl:1: "attention_mask" has 1 entries, "input_ids" 2'],
    [
      '{"input_ids":[0,1],"attention_mask":[1,2],"label":0}',
      'a.jsonl:1: "attention_mask" entry 1 is 2, expected 0 or 1',
    ],
    ['{"input_ids":[0,1],"attention_mask":[0,0],"label":0}', 'a.jsonl:1: "attention_mask" is 0 everywhere'],
    ['{"input_ids":[0],"label":0}\n{"text":"x","label":0}', 'a.jsonl:2: "input_ids" is nothing, expected a list'],
  ])('names what is wrong with %j', async (content, message) => {
    expect(await fault('a.jsonl', content)).toContain(message);
  });

  it('needs no labels for prediction, but checks those there are', async () => {
    expect(await read('a.jsonl', '{"text":"x"}\n{"text":"y","label":1}', false)).toEqual([
      { line: 1, text: 'x' },
      { line: 2, text: 'y', label: 1 },
    ]);
    expect(await fault('a.jsonl', '{"text":"x","label":[1.5]}', false)).toContain('"label" is [1.5]');
  });
});

describe('choices', () => {
  it('are rows of the same line, as texts or as tokens', async () => {
    expect(
      await read('a.jsonl', '{"text":"q","choices":["x","y"],"label":1}\n{"text":"r","choices":["z"]}', false, true),
    ).toEqual([
      { line: 1, label: 1, text: 'q', textPair: 'x', choice: 0 },
      { line: 1, label: 1, text: 'q', textPair: 'y', choice: 1 },
      { line: 2, text: 'r', textPair: 'z', choice: 0 },
    ]);
    const tokens = '{"input_ids":[[5,6],[7]],"attention_mask":[[1,0],[1]],"token_type_ids":[[0,1],[0]]}';
    expect(await read('a.jsonl', tokens, false, true)).toEqual([
      { line: 1, inputIds: [5, 6], attentionMask: [1, 0], typeIds: [0, 1], choice: 0 },
      { line: 1, inputIds: [7], attentionMask: [1], typeIds: [0], choice: 1 },
    ]);
  });

  it('may be columns, beside text or text_a', async () => {
    const names = Array.from({ length: 11 }, (_, i) => `choice_${i}`);
    const csv = `text_a,${[...names].reverse().join(',')},label\nq,${[...names].reverse().join(',')},3\n`;
    expect(await read('a.csv', csv, true, true)).toEqual(
      names.map((name, choice) => ({ line: 2, label: 3, text: 'q', textPair: name, choice })),
    );
  });

  it('are asked for, and no row without them is one', async () => {
    const message = (content: string): Promise<string> =>
      read('a.jsonl', content, false, true).then(String, (error: unknown) => (error as Error).message);
    expect(await message('{"text":"q"}')).toContain(
      'a.jsonl:1: "choices" is nothing, expected a list of texts beside "text"',
    );
    expect(await message('{"input_ids":[5,6]}')).toContain('a.jsonl:1: "input_ids" is 5, expected a list');
  });
});

describe('tables', () => {
  it('reads quoted CSV with a byte-order mark, counting lines inside fields', async () => {
    const csv = '\ufefftext,label\r\n"one, ""two""\nthree",1\r\nfour,0\r\n';
    expect(await read('a.csv', csv)).toEqual([
      { line: 2, text: 'one, "two"\nthree', label: 1 },
      { line: 4, text: 'four', label: 0 },
    ]);
  });

  it('gives back what was written', async () => {
    const field = fc
      .string({ minLength: 1, unit: 'binary' })
      .filter((text) => text.isWellFormed() && text.trim() !== '');
    await fc.assert(
      fc.asyncProperty(fc.array(field, { minLength: 1, maxLength: 5 }), async (texts) => {
        const lines = texts.map((text) => `"${text.replaceAll('"', '""')}",1`);
        const rows = await read('p.csv', `text,label\n${lines.join('\n')}\n`);
        expect(rows.map((row) => 'text' in row && row.text)).toEqual(texts);
      }),
      { numRuns: 50 },
    );
  });

  it('reads fractions as numbers, and lists of 0 and 1 as they are', async () => {
    const rows = await read('a.csv', 'label,text\n0.25,x\n-1.5e-2,x\n');
    expect(rows.map(({ label }) => label)).toEqual([0.25, -0.015]);
    expect(await read('a.jsonl', '{"text":"x","label":0.5}\n{"text":"x","label":[0,1]}')).toEqual([
      { line: 1, text: 'x', label: 0.5 },
      { line: 2, text: 'x', label: [0, 1] },
    ]);
  });

  it('reads numbers in any usual spelling as class indices, everything else as names', async () => {
    const numbers = ['1', '1.0', ' 2 ', '01', '-1', '+1', '1e0', '-1.5E+2', '.5', '1.'];
    const names = ['true', '1 2', '0x10', '1_0', 'e5', 'none'];
    const rows = await read('a.csv', `label,text\n${[...numbers, ...names].map((label) => `${label},x\n`).join('')}`);
    expect(rows.map(({ label }) => label)).toEqual([1, 1, 2, 1, -1, 1, 1, -150, 0.5, 1, ...names]);
  });

  it.each([
    ['a.csv', 'text,label\nx,0\nx,0,1\n', 'a.csv:3: found 3 fields, expected 2 (text, label)'],
    ['a.csv', 'text,label\n"x,0\n', 'a.csv:2: a quotation mark is not closed'],
    ['a.csv', 'text,label\n', 'a.csv: empty, expected at least one example'],
    ['a.csv', '', 'a.csv: empty, expected at least one example'],
    ['a.csv', 'nice,zero\ny,1\n', '"input_ids"; `columns` text=… names another column'],
    ['a.csv', 'text,label\nx,\n', 'a.csv:2: "label" is missing'],
    ['a.csv', 'text,label\nx,  \n', 'a.csv:2: "label" is missing'],
    ['a.csv', 'text,label\nx,0\nx,nan\nx,1\n', 'a.csv:3: "label" is missing ("nan" is none)'],
    ['a.csv', 'text,label\nx,0\nx,-NaN\n', 'a.csv:3: "label" is missing'],
    ['a.csv', 'text,label\nx,0\nx,inf\n', 'a.csv:3: "label" is "inf", expected'],
    ['a.csv', 'text,label\nx,0.5\nx,-Infinity\n', 'a.csv:3: "label" is "-Infinity", expected'],
    ['a.csv', 'text,label\nx,1e999\n', 'a.csv:2: "label" is "1e999", expected'],
    ['a.csv', 'text,label,id, label\nx,0,3,1\n', 'a.csv:1: two columns are named "label"'],
    ['a.tsv', 'text\ttext\nx\ty\n', 'a.tsv:1: two columns are named "text"'],
  ])('%s: names what is wrong with %j', async (name, content, message) => {
    expect(await fault(name, content)).toContain(message);
  });
});

describe('long lines and fields', () => {
  const long = 'x'.repeat(2 ** 24 + 1);

  it('are refused', async () => {
    expect(await fault('a.csv', `text,label\nshort,0\n"${long}",1\n`)).toMatch(
      /^a\.csv:3: a field of more than 16777216/,
    );
    expect(await fault('a.jsonl', `{"text":"x","label":0}\n{"text":"${long}"`)).toMatch(
      /^a\.jsonl:2: a line of more than/,
    );
  });

  it('lines are whole where the file is read in pieces', async () => {
    const texts = Array.from({ length: 40 }, (_, i) => String.fromCodePoint(0x1f600 + i).repeat(30_000));
    const jsonl = texts.map((text) => JSON.stringify({ text, label: 0 })).join('\n');
    expect((await read('a.jsonl', jsonl)).map((row) => 'text' in row && row.text)).toEqual(texts);
    const csv = `text,label\n${texts.map((text) => `"${text}\n",0`).join('\n')}\n`;
    const rows = await read('a.csv', csv);
    expect(rows.map((row) => 'text' in row && row.text)).toEqual(texts.map((text) => `${text}\n`));
    expect(rows.map(({ line }) => line)).toEqual(texts.map((_, i) => 2 + 2 * i));
  });
});

describe('files', () => {
  it('refuses other endings, missing files and other encodings', async () => {
    expect(await fault('a.txt', 'x')).toBe(
      'a.txt: unknown ending, expected one of .jsonl, .ndjson, .json, .csv, .tsv, .parquet',
    );
    const missing = readExamples(join(folder, 'none.csv'), { needLabel: true });
    await expect(collect(missing)).rejects.toThrow(/none\.csv: no such file/);
    expect(await fault('a.csv', Buffer.from('text,label\ncaf\xe9,1\n', 'latin1'))).toContain('a.csv:2: not UTF-8');
    expect(await fault('a.csv', Buffer.from('\ufefftext,label\nx,1\n', 'utf16le'))).toContain('a.csv: found UTF-16');
  });
});
