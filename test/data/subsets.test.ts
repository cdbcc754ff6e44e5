/**
 * Protects: parts of data stay the same. A selection split depends on the examples alone, overlaps with nothing and has about its share; drawn
 * examples depend on the seed.
 */
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import fc from 'fast-check';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { itemsOf, type RecordSource } from '../../data/record-source.ts';
import { requestedData, requestedTask } from '../../data/request.ts';
import { exampleSource } from '../../data/tasks/split-source.ts';
import { taskNamed } from '../../data/tasks/registry.ts';

const ROWS = Array.from({ length: 500 }, (_, i) => ({ sentence: `example ${i} of many`, label: i % 2 }));
const RTE = ROWS.map(({ sentence }, i) => ({ sentence1: sentence, sentence2: 'Yes.', label: i % 2 }));

let dir: string;
beforeAll(async () => {
  dir = await mkdtemp(join(tmpdir(), 'subsets-'));
  const tsv = RTE.map((row, i) => [i, row.sentence1, row.sentence2, row.label].join('\t'));
  const shuffled = [...tsv].reverse();
  await writeFile(join(dir, 'rte.tsv'), ['index\tsentence1\tsentence2\tlabel', ...tsv].join('\n'));
  await writeFile(join(dir, 'turned.tsv'), ['index\tsentence1\tsentence2\tlabel', ...shuffled].join('\n'));
  await writeFile(join(dir, 'hub.jsonl'), RTE.map((row, idx) => JSON.stringify({ ...row, idx })).join('\n'));
  await writeFile(join(dir, 'rows.jsonl'), ROWS.map((row) => JSON.stringify(row)).join('\n'));
  const turned = [...ROWS].reverse().map(({ sentence, label }) => JSON.stringify({ label, sentence }));
  await writeFile(join(dir, 'turned.jsonl'), turned.join('\n'));
});
afterAll(() => rm(dir, { recursive: true }));

async function texts(source: RecordSource | undefined, column: string): Promise<string[]> {
  const found: string[] = [];
  if (source) for await (const { fields } of itemsOf(source)) found.push(fields[column] as string);
  return found;
}

type Choice = Parameters<typeof requestedData>[1];

async function ofFile(name: string, choice: Choice): Promise<{ train: string[]; eval: string[] }> {
  const data = await requestedData({ train: join(dir, name) }, choice);
  return { train: await texts(data.train, 'sentence'), eval: await texts(data.eval, 'sentence') };
}

async function ofTask(name: string, choice: Choice): Promise<{ train: string[]; eval: string[] }> {
  const task = taskNamed('glue/rte');
  const rows = await requestedTask(task, { task: task.name, train: join(dir, name) }, choice);
  const of = (part: typeof rows.train): Promise<string[]> => texts(part && exampleSource(task, part), 'text_a');
  return { train: await of(rows.train), eval: await of(rows.eval) };
}

describe('a selection split', () => {
  it('is the same part of the examples, whatever their order, their columns’ order and their layout', async () => {
    for (const [of, names] of [
      [ofFile, ['rows.jsonl', 'turned.jsonl']],
      [ofTask, ['rte.tsv', 'turned.tsv', 'hub.jsonl']],
    ] as const) {
      const [first, ...others] = await Promise.all(names.map((name) => of(name, { selectionSplit: 0.1 })));
      expect(first!.eval.length).toBeGreaterThan(30);
      expect(first!.eval.length).toBeLessThan(70);
      expect(new Set([...first!.train, ...first!.eval]).size).toBe(500);
      for (const other of others) expect([...other.eval].sort()).toEqual([...first!.eval].sort());
    }
  });

  it('grows with its share, and overlaps with no training data that is drawn', async () => {
    await fc.assert(
      fc.asyncProperty(fc.double({ min: 0.05, max: 0.9, noNaN: true }), fc.nat(9), async (share, dataSeed) => {
        const whole = await ofFile('rows.jsonl', { selectionSplit: share });
        const less = await ofFile('rows.jsonl', { selectionSplit: share / 2 });
        expect(less.eval.filter((text) => !whole.eval.includes(text))).toEqual([]);
        const drawn = await ofFile('rows.jsonl', { selectionSplit: share, maxTrainExamples: 40, dataSeed });
        expect(drawn.eval).toEqual(whole.eval);
        expect(drawn.train.length).toBe(Math.min(40, whole.train.length));
        expect(drawn.train.filter((text) => whole.eval.includes(text))).toEqual([]);
      }),
      { numRuns: 12 },
    );
  });
});

describe('drawn examples', () => {
  it('are as many as asked for, each once and in order, by the seed', async () => {
    for (const of of [ofFile, ofTask]) {
      const name = of === ofFile ? 'rows.jsonl' : 'rte.tsv';
      const [first, again, other] = await Promise.all(
        [0, 0, 1].map((dataSeed) => of(name, { maxTrainExamples: 50, dataSeed })),
      );
      expect(first!.train).toHaveLength(50);
      expect(new Set(first!.train).size).toBe(50);
      const places = first!.train.map((text) => Number(text.split(' ')[1]));
      expect(places).toEqual([...places].sort((a, b) => a - b));
      // Not the first ones alone.
      expect(places.at(-1)).toBeGreaterThan(250);
      expect(again).toEqual(first);
      expect(other).not.toEqual(first);
    }
    expect((await ofFile('rows.jsonl', { maxTrainExamples: 1000 })).train).toHaveLength(500);
  });

  it('say of how many they were drawn, once they were read; a selection split counts apart', async () => {
    const choice = { selectionSplit: 0.2, maxTrainExamples: 30, maxEvalExamples: 2000 };
    const data = await requestedData({ train: join(dir, 'rows.jsonl') }, choice);
    expect(data.train!.share!()).toBeUndefined();
    for (const part of [data.train, data.eval]) await texts(part, 'sentence');
    const [learned, judged] = [data.train!.share!()!, data.eval!.share!()!];
    expect(learned.count).toBe(30);
    expect(judged.count).toBe(judged.total);
    expect(learned.total + judged.total).toBe(500);
  });

  it('are all equally likely', async () => {
    const counts = new Array<number>(500).fill(0);
    for (let dataSeed = 0; dataSeed < 60; dataSeed++)
      for (const text of (await ofFile('rows.jsonl', { maxTrainExamples: 100, dataSeed })).train)
        counts[Number(text.split(' ')[1])]!++;
    const parts = [0, 1, 2, 3, 4].map((i) => counts.slice(100 * i, 100 * i + 100).reduce((a, b) => a + b));
    // 1,200 are expected of each; the deviation of such a count is below 35.
    for (const part of parts) expect(Math.abs(part - 1200)).toBeLessThan(140);
  });
});
