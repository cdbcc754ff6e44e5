/** Protects: .json files in every layout that is met give the same records, in pieces, and a fault names its line. */
import { gzipSync } from 'node:zlib';
import fc from 'fast-check';
import { afterAll, describe, expect, it } from 'vitest';
import type { Fields } from '../../../data/records.ts';
import { LONGEST_LINE } from '../../../engine/io/text.ts';
import { DataFiles, pythonJson } from './files.ts';

const files = new DataFiles();
afterAll(() => files.remove());

const TWO = [
  ['x', 0],
  ['y', 1],
];

describe('layouts', () => {
  it.each([
    ['a list', '[{"text": "x", "label": 0},\n {"text": "y", "label": 1}]\n', [1, 2]],
    ['a list behind a byte-order mark', '\ufeff\n[\n{"text":"x","label":0}\n,{"text":"y","label":1}]', [3, 4]],
    ['an object a line', '{"text":"x","label":0}\r\n{"text":"y","label":1}', [1, 2]],
    ['a list under data', '{"version":"1","data":[{"text":"x","label":0},{"text":"y","label":1}],"n":[2]}', [1, 1]],
    ['columns', '{\n"text":["x",\n"y"],\n"label":[0,1]}', [2, 3]],
    ['columns as pandas writes them', '{"text":{"0":"x","1":"y"},\n"label":{"0":0,"1":1}}', [1, 1]],
  ])('%s', async (_, json, lines) => {
    expect(await files.rows('a.json', json)).toEqual(TWO);
    expect((await files.read('a.json', json)).map(({ line }) => line)).toEqual(lines);
    expect(await files.rows('a.json.gz', gzipSync(json))).toEqual(TWO);
  });

  it.each([
    ['an object alone', '{\n  "text": "x",\n  "label": 0\n}\n'],
    ['a tokenised row', '{"input_ids":[5,6],"attention_mask":[1,1]}'],
    ['a conversation', '{"messages":[{"role":"user","content":"hi"}]}'],
    ['lists of different lengths', '{"choices":["x","y"],"answers":["x"]}'],
  ])('%s is one record', async (_, json) => {
    expect(await files.read('a.json', json)).toEqual([{ line: 1, fields: JSON.parse(json) as unknown }]);
  });

  it('tokenised rows in columns', async () => {
    expect(await files.rows('a.json', '{"input_ids":[[5,6],[7]],"label":[0,1]}')).toEqual([
      [[5, 6], 0],
      [[7], 1],
    ]);
  });

  it.each([
    ['a list', '[{"v": {"a": [1.0, 1, 2e3, 0.5], "b": -0.0}}]'],
    ['an object alone', '{"v": {"a": [1.0, 1, 2e3, 0.5], "b": -0.0}}'],
    ['columns', '{"v": [{"a": [1.0, 1, 2e3, 0.5], "b": -0.0}], "label": [1]}'],
    ['an object a line', '{"v": {"a": [1.0, 1, 2e3, 0.5], "b": -0.0}}\n{"v": 1}'],
  ])('%s keeps floats that are whole', async (_, json) => {
    const [{ fields }] = (await files.read('a.json', json)) as [Fields];
    expect(fields.v).toEqual({ a: [1, 1, 2000, 0.5], b: -0 });
    expect(pythonJson(fields.v)).toBe('{"a": [1.0, 1, 2000.0, 0.5], "b": -0.0}');
  });

  it('a list under the key that a task names', async () => {
    const json = '{"data":[{"text":"no"}],"rows":[{"text":"x"}],"more":[{"text":"no"}]}';
    expect(await files.rows('a.json', json, { rows: 'rows' })).toEqual([['x']]);
  });
});

describe('bad files', () => {
  it.each([
    ['', 'a.json: empty, expected at least one example'],
    ['[]', 'a.json: empty, expected at least one example'],
    ['[{"text":"x"},\n{"text":', 'a.json:2: the file ends amid its JSON, expected all of it; is it cut short?'],
    ['[{"text":"x"},\n\n{"text":"y', 'a.json:3: the file ends amid its JSON'],
    ['{"data":[{"text":"x"}', 'a.json:1: the file ends amid its JSON'],
    ['{"text":["x","y"],\n"label":[0,', 'a.json:2: the file ends amid its JSON'],
    ['[{"text":"x"},\n{"text":y}]', 'a.json:2: not JSON: unexpected "y"'],
    ['[{"text":"x"}\n{"text":"y"}]', 'a.json:2: not JSON: unexpected "{"'],
    ['[{"text":"x"},\n5]', 'a.json:2: found 5, expected an object such as {"text": "…", "label": 0} in the list'],
    ['[{"text":"x"}]\n[1]', 'a.json:2: not JSON: unexpected "["'],
    ['{"text":"x"}\n{"text":y}', 'a.json:2: not JSON, expected one object per line'],
    ['5', 'a.json:1: found 5, expected one object per line'],
  ])('%j', async (json, message) => {
    expect(await files.fault('a.json', json)).toContain(message);
  });

  it('have no list under the key that a task names', async () => {
    const message = 'a.json: has no records under "data", expected a list of objects';
    expect(await files.fault('a.json', '{"rows":[{"text":"x"}]}', { rows: 'data' })).toBe(message);
  });

  it('have a record over the bound', async () => {
    const json = `[{"text":"x"},\n{"text":"${'y'.repeat(LONGEST_LINE + 2 ** 20)}"}]`;
    expect(await files.fault('a.json', json)).toMatch(/^a\.json:2: a record of more than 16777216 characters/);
  });

  it('are damaged gzip files', async () => {
    const whole = gzipSync(JSON.stringify(Array.from({ length: 100 }, (_, i) => ({ text: `row ${i}` }))));
    expect(await files.fault('a.json.gz', whole.subarray(0, whole.length / 2))).toBe(
      'a.json.gz: cannot be unzipped (unexpected end of file); is the file whole?',
    );
    const broken = Uint8Array.from(whole).fill(255, 20, 40);
    expect(await files.fault('a.jsonl.gz', broken)).toMatch(
      /^a\.jsonl\.gz: cannot be unzipped \(.+\); is the file whole\?$/,
    );
  });
});

it('gives back what was written, in all layouts', async () => {
  const key = fc.constantFrom('a', 'b', 'ä"\n', 'constructor');
  const row = fc.dictionary(key, fc.jsonValue({ maxDepth: 2, noNegativeZero: true } as object), { minKeys: 1 });
  await fc.assert(
    fc.asyncProperty(fc.array(row, { minLength: 1, maxLength: 6 }), fc.constantFrom(0, 1), async (rows, indent) => {
      const fields = async (name: string, json: string): Promise<unknown[]> =>
        (await files.read(name, json)).map((record) => ({ ...record.fields }));
      const expected = JSON.parse(JSON.stringify(rows)) as unknown[];
      expect(await fields('p.json', JSON.stringify(rows, null, indent))).toEqual(expected);
      expect(await fields('p.json', JSON.stringify({ version: 1, data: rows }, null, indent))).toEqual(expected);
      expect(await fields('p.jsonl', rows.map((record) => JSON.stringify(record)).join('\n'))).toEqual(expected);
    }),
    { numRuns: 60 },
  );
});
