/** Protects: tables in every layout that benchmarks and tools write are read record by record, and a fault names its line. */
import { gzipSync } from 'node:zlib';
import fc from 'fast-check';
import { afterAll, describe, expect, it } from 'vitest';
import { readRecords } from '../../../data/records.ts';
import { DataFiles } from './files.ts';

const files = new DataFiles();
afterAll(() => files.remove());

describe('TSV', () => {
  it('takes marks for text where they do not close, as in MRPC, behind a byte-order mark', async () => {
    const tsv = '\ufeffQuality\t#1 String\t#2 String\n1\tHe said so .\t" We agree .\n0\t"Yes" , he said .\t5 " wide\n';
    expect(await files.read('a.tsv', tsv)).toEqual([
      { line: 2, fields: { Quality: '1', '#1 String': 'He said so .', '#2 String': '" We agree .' } },
      { line: 3, fields: { Quality: '0', '#1 String': '"Yes" , he said .', '#2 String': '5 " wide' } },
    ]);
  });

  it('takes marks for quoting where all close: tabs and line breaks within are text', async () => {
    const tsv = 'sentence\tlabel\r\n"Dull,\n\n\tvery ""dull"".\n"\tneg\r\nplain\tpos\r\n"fine"\tpos\r\n';
    expect(await files.read('a.tsv', tsv)).toEqual([
      { line: 2, fields: { sentence: 'Dull,\n\n\tvery "dull".\n', label: 'neg' } },
      { line: 6, fields: { sentence: 'plain', label: 'pos' } },
      { line: 7, fields: { sentence: 'fine', label: 'pos' } },
    ]);
  });

  it('counts columns where both readings could be', async () => {
    // Marks close in either reading; as quoting they join lines into one of a wrong number of columns.
    const text = 'a\tb\n" x\t1\ny\t2 "\n';
    expect(await files.rows('a.tsv', text)).toEqual([
      ['" x', '1'],
      ['y', '2 "'],
    ]);
    const quoted = '"a"\t"b"\n"x\n"\t"1"\n';
    expect(await files.read('a.tsv', quoted)).toEqual([{ line: 2, fields: { a: 'x\n', b: '1' } }]);
  });

  it('decides by the first field with a mark, however far down it is', async () => {
    const lines = Array.from({ length: 60_000 }, (_, i) => `a sentence of some length, number ${i}\t${i % 2}\n`).join(
      '',
    );
    const quoted = await files.rows('a.tsv', `text\tlabel\n${lines}"two\nlines"\t1\n`);
    expect(quoted).toHaveLength(60_001);
    expect(quoted.at(-1)).toEqual(['two\nlines', '1']);
    const bare = await files.rows('a.tsv', `text\tlabel\n${lines}" open\t1\nlast\t0\n`);
    expect(bare.slice(-2)).toEqual([
      ['" open', '1'],
      ['last', '0'],
    ]);
  });

  it('obeys a task that says what marks are', async () => {
    const tsv = 'text\tlabel\n"whole"\t1\n';
    expect(await files.rows('a.tsv', tsv)).toEqual([['whole', '1']]);
    expect(await files.rows('a.tsv', tsv, { quote: 'none' })).toEqual([['"whole"', '1']]);
    expect(await files.rows('a.tsv', 'text\tlabel\n"a\nb"\t1\n', { quote: 'csv' })).toEqual([['a\nb', '1']]);
  });

  it('reads files without a header line, as CoLA', async () => {
    const dialect = { header: ['source', 'label', 'mark', 'sentence'] };
    expect(await files.read('a.tsv', 'gj04\t1\t\tBirds sing.\ngj04\t0\t*\tBirds "sings.\n', dialect)).toEqual([
      { line: 1, fields: { source: 'gj04', label: '1', mark: '', sentence: 'Birds sing.' } },
      { line: 2, fields: { source: 'gj04', label: '0', mark: '*', sentence: 'Birds "sings.' } },
    ]);
  });

  it('leaves out broken lines where a task counts them, as QQP', async () => {
    const bad: [number, number][] = [];
    const tsv = 'id\tq\tlabel\n1\tx\t0\n2\tcut\n3\ty\t1\ttoo many\n\n4\tz\t1\n';
    const rows = await files.rows('a.tsv', tsv, { onBadLine: (line, found) => bad.push([line, found]) });
    expect(rows).toEqual([
      ['1', 'x', '0'],
      ['4', 'z', '1'],
    ]);
    expect(bad).toEqual([
      [3, 2],
      [4, 4],
    ]);
  });
});

describe('line breaks', () => {
  it.each([
    ['LF', 'a,b\n1,2\n3,4\n'],
    ['CRLF', 'a,b\r\n1,2\r\n3,4\r\n'],
    ['CR', 'a,b\r1,2\r3,4\r'],
    ['CRLF, then LF', 'a,b\r\n1,2\n3,4'],
  ])('are %s, in every table', async (_, csv) => {
    const expected = [
      { line: 2, fields: { a: '1', b: '2' } },
      { line: 3, fields: { a: '3', b: '4' } },
    ];
    expect(await files.read('a.csv', csv)).toEqual(expected);
    expect(await files.read('a.tsv', csv.replaceAll(',', '\t'))).toEqual(expected);
    expect(await files.read('a.csv', csv, { quote: 'none' })).toEqual(expected);
  });

  it('within quoted fields stay as they are', async () => {
    expect(await files.rows('a.csv', 'a,b\r\n"x\ny\r\nz\r",1\r\n')).toEqual([['x\ny\r\nz\r', '1']]);
  });
});

describe('CSV', () => {
  it('takes a mark within a field for text', async () => {
    expect(await files.rows('a.csv', 'a,b\n5" pipe,1\n"5"" pipe",2\n')).toEqual([
      ['5" pipe', '1'],
      ['5" pipe', '2'],
    ]);
  });

  it.each([
    ['a.csv', 'a,b\n1,2\n3\n', 'a.csv:3: found 1 field, expected 2 (a, b)'],
    ['a.csv', 'a,b\n"1\n",2\n3,4,5\n', 'a.csv:4: found 3 fields, expected 2 (a, b)'],
    ['a.csv', 'a,b\n"1\n2",3\n\n"x,4\n5,6\n', 'a.csv:5: a quotation mark is not closed, expected another one at'],
    ['a.tsv', 'a\tb\n"x\ty\n"z\t1\t2\n', 'a.tsv:3: found 3 fields, expected 2 (a, b)'],
    ['a.csv', '"a\nb",b\n1\n', 'a.csv:3: found 1 field, expected 2 ("a\\nb", b)'],
    ['a.csv', '"a\nb","a\nb"\n1,2\n', 'a.csv:1: two columns are named "a\\nb", expected every name once'],
    ['a.tsv', 'a\tb\n', 'a.tsv: empty, expected at least one example'],
    ['a.csv.gz', gzipSync('a,b\n1\n'), 'a.csv.gz:2: found 1 field, expected 2 (a, b)'],
  ])('%s: says what is wrong with %j', async (name, content, message) => {
    expect(await files.fault(name, content)).toContain(message);
  });
});

/** Text as writers of RFC 4180 quote it. */
const quoted = (text: string): string => `"${text.replaceAll('"', '""')}"`;
const cell = fc.string({ unit: fc.constantFrom('a', 'ä', ' ', ',', '\t', '"', '\n', '\r\n', '😀'), maxLength: 8 });

describe('what was written is read', () => {
  const table = fc.array(fc.tuple(cell, cell), { minLength: 1, maxLength: 8 });

  it.each([
    ['csv', ','],
    ['tsv', '\t'],
    ['csv.gz', ','],
  ])('from .%s, quoted', async (ending, delimiter) => {
    await fc.assert(
      fc.asyncProperty(table, fc.constantFrom('\n', '\r\n'), async (rows, end) => {
        const text = [['a', 'b'], ...rows].map((row) => row.map(quoted).join(delimiter) + end).join('');
        const content = ending.endsWith('gz') ? gzipSync(text) : text;
        expect(await files.rows(`p.${ending}`, content)).toEqual(rows);
      }),
      { numRuns: 60 },
    );
  });

  it('from .tsv with marks as text', async () => {
    const plain = fc.string({ unit: fc.constantFrom('a', 'ä', ' ', ',', '"'), maxLength: 6 });
    await fc.assert(
      fc.asyncProperty(fc.array(fc.tuple(plain, plain), { minLength: 1, maxLength: 8 }), async (rows) => {
        const text = `a\tb\n${rows.map((row) => `${row.join('\t')}\n`).join('')}`;
        expect(await files.rows('p.tsv', text, { quote: 'none' })).toEqual(rows);
        // Without a word of the task: unless all marks could be quoting.
        const found = await files.rows('p.tsv', `${text}" open\tx\n`);
        expect(found).toEqual([...rows, ['" open', 'x']]);
      }),
      { numRuns: 60 },
    );
  });
});

it('tells how much of a compressed file is read', async () => {
  const path = files.write('a.csv.gz', gzipSync(`a,b\n${'1,2\n'.repeat(1000)}`));
  const seen: [number, number][] = [];
  const records = readRecords(path, { onBytes: (done, total) => seen.push([done, total]) });
  let last = 0;
  for await (const { line } of records) last = line;
  expect(last).toBe(1001);
  expect(seen.at(-1)![0]).toBe(seen.at(-1)![1]);
});
