/**
 * Protects: figures of tasks that judge rows together are those of scikit-learn and lm-evaluation-harness on random predictions; questions are drawn
 * whole, passages set apart whole, and counts are of the benchmark's rows.
 */
import { readFileSync } from 'node:fs';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import fc from 'fast-check';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { taskMetrics, type MetricName } from '../../../data/metrics.ts';
import { itemsOf } from '../../../data/record-source.ts';
import { requestedTask } from '../../../data/request.ts';
import { drawn } from '../../../data/subsets.ts';
import { taskFigures } from '../../../data/tasks/figures.ts';
import { taskNamed } from '../../../data/tasks/registry.ts';
import type { TaskRow } from '../../../data/tasks/task.ts';

let dir: string;
beforeAll(async () => {
  dir = await mkdtemp(join(tmpdir(), 'grouped-'));
});
afterAll(() => rm(dir, { recursive: true }));

function goldens<T>(name: string): T[] {
  const path = join(import.meta.dirname, '../../goldens/metrics', `${name}.json`);
  return (JSON.parse(readFileSync(path, 'utf8')) as { readonly cases: T[] }).cases;
}

/** Scores of two classes by which `score` is the lead of the second. */
const lead = (score: number): Float32Array => Float32Array.of(1, 1 + score);

function figuresOf(
  name: string,
  rows: readonly TaskRow[],
  scores: readonly Float32Array[],
): Partial<Record<string, number>> {
  const task = taskNamed(name);
  const keys = rows.flatMap((row) => task.candidates?.(row) ?? [row]).map(task.key!);
  return taskFigures(task, keys, { eval: [], labels: task.labels, scores });
}

interface Case {
  readonly name: string;
  readonly expected: Readonly<Record<string, number>>;
  readonly groups: readonly string[];
}

describe('figures', () => {
  it.each(goldens<Case & { readonly labels: number[]; readonly predictions: number[] }>('multirc'))(
    'MultiRC: $name',
    ({ groups, labels, predictions, expected }) => {
      const rows = groups.map((group, i) => ({ paragraph: 'A', question: group, answer: `${i}`, label: labels[i] }));
      const found = figuresOf('superglue/multirc', rows, predictions.map((p) => lead(2 * p - 1)));
      expect(found.f1a).toBeCloseTo(expected.f1a!, 12);
      expect(found.exactMatch).toBeCloseTo(expected.exactMatch!, 12);
    },
  ); // prettier-ignore

  interface Queries extends Case {
    readonly scores: readonly number[];
    readonly entities: readonly string[];
    readonly answers: Readonly<Record<string, string[]>>;
  }
  it.each(goldens<Queries>('record'))('ReCoRD: $name', ({ groups, scores, entities, answers, expected }) => {
    const rows = [...new Set(groups)].map((group) => {
      const own = entities.filter((_, i) => groups[i] === group);
      return { passage: group, query: '@placeholder', entities: own, answers: answers[group] };
    });
    // The harness' rows may be mixed; ours are in the order of the queries.
    const inOrder = [...new Set(groups)].flatMap((group) => scores.filter((_, i) => groups[i] === group));
    const found = figuresOf('superglue/record', rows, inOrder.map(lead));
    for (const [name, value] of Object.entries(expected)) expect(found[name], name).toBeCloseTo(value, 12);
  });

  it('AX-g: the share of pairs that are told alike, by pair or by neighbours', () => {
    const predictions = [0, 0, 1, 0, 1, 1].map((p) => lead(2 * p - 1));
    const row = (label: number, more: TaskRow): TaskRow => ({ premise: 'A', hypothesis: 'B', label, ...more });
    const paired = [5, 5, 6, 6, 7, 7].map((pair_id, i) => row(i % 2, { pair_id, idx: 9 + i }));
    const numbered = [0, 1, 2, 3, 4, 5].map((idx) => row(idx % 2, { idx }));
    for (const rows of [paired, numbered])
      expect(figuresOf('superglue/axg', rows, predictions)).toEqual({ accuracy: 1 / 3, genderParity: 2 / 3 });
  });

  it('a query whose answers are not known counts in none', () => {
    const query = { passage: 'A', query: '@placeholder', entities: ['a', 'b'] };
    const rows = [{ ...query, answers: ['b'], idx: { passage: 0, query: 0 } }, { ...query, answers: [], idx: { passage: 0, query: 1 } }];
    expect(figuresOf('superglue/record', rows, [0, 1, 1, 0].map(lead))).toEqual({ f1: 1, exactMatch: 1 });
  }); // prettier-ignore

  it('CB: a class that no row has counts only where it is predicted', () => {
    const metrics: MetricName[] = ['f1Macro'];
    const labels = [0, 1, 1];
    expect(taskMetrics(metrics, { labels, predictions: [0, 1, 0], classes: 3 }).f1Macro).toBeCloseTo(2 / 3, 12);
    expect(taskMetrics(metrics, { labels, predictions: [0, 1, 2], classes: 3 }).f1Macro).toBeCloseTo(5 / 9, 12);
  });
});

describe('parts', () => {
  const ANSWERS = 3;
  const rows = Array.from({ length: 60 }, (_, i) => ({
    paragraph: `P${Math.floor(i / 12)}`,
    question: `Q${Math.floor(i / ANSWERS)}`,
    answer: `${i % ANSWERS}`,
    label: i % 2,
    idx: { paragraph: Math.floor(i / 12), question: Math.floor(i / ANSWERS), answer: i },
  }));

  async function read(options: Parameters<typeof requestedTask>[2]): Promise<Record<'train' | 'eval', TaskRow[]>> {
    const text = rows.map((row) => `${JSON.stringify(row)}\n`).join('');
    for (const split of ['train', 'val']) await writeFile(join(dir, `${split}.jsonl`), text);
    const task = taskNamed('superglue/multirc');
    const { train, eval: test } = await requestedTask(task, { task: task.name, dataDir: dir }, options);
    const found: Record<'train' | 'eval', TaskRow[]> = { train: [], eval: [] };
    for await (const { row } of itemsOf(train!)) found.train.push(row);
    for await (const { row } of itemsOf(test!)) found.eval.push(row);
    return found;
  }

  it('so many questions are drawn, each with all its answers', async () => {
    const { eval: found } = await read({ maxEvalExamples: 7, dataSeed: 3 });
    expect(found).toHaveLength(7 * ANSWERS);
    expect(new Set(found.map(({ question }) => question)).size).toBe(7);
    expect((await read({ maxEvalExamples: 7, dataSeed: 4 })).eval).not.toEqual(found);
  });

  it('a passage is learned or set apart, never both', async () => {
    const { train, eval: apart } = await read({ selectionSplit: 0.4 });
    expect(train.length + apart.length).toBe(rows.length);
    expect(apart.length).toBeGreaterThan(0);
    const learned = new Set(train.map(({ paragraph }) => paragraph));
    expect(apart.filter(({ paragraph }) => learned.has(paragraph))).toEqual([]);
  });

  it('groups of any sizes are drawn whole, in order', async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.array(fc.integer({ min: 1, max: 4 }), { minLength: 1, maxLength: 20 }),
        fc.integer({ min: 1, max: 25 }),
        fc.nat(9),
        async (sizes, count, seed) => {
          const items = sizes.flatMap((size, group) => Array.from({ length: size }, (_, i) => ({ group, i })));
          const source = {
            path: '',
            read: async function* () {
              for (let i = 0; i < items.length; i += 3) yield await Promise.resolve(items.slice(i, i + 3));
            },
          };
          const found: typeof items = [];
          for await (const item of itemsOf(drawn(source, count, seed, ({ group }) => String(group)))) found.push(item);
          const groups = new Set(found.map(({ group }) => group));
          expect(groups.size).toBe(Math.min(count, sizes.length));
          expect(found).toEqual(items.filter(({ group }) => groups.has(group)));
        },
      ),
      { numRuns: 60 },
    );
  });
});
