/** Protects: the published splits are those of the installed data, disjoint, stratified and free of near-duplicates. */
import { readFile } from 'node:fs/promises';
import { describe, expect, it } from 'vitest';
import { UserError } from '../../../engine/errors.ts';
import { contentHash, formatSplits, makeSplits, pick } from '../../../data/tasks/splits.ts';
import { fromWindows1252 } from '../../../data/tasks/windows-1252.ts';
import { loadTask, rawItems, BUILT_IN_NAMES, type TaskData } from '../../../data/tasks/built-in.ts';

const tasks = new Map(BUILT_IN_NAMES.map((name) => [name, loadTask(name)]));

async function task(name: string): Promise<TaskData> {
  return (await tasks.get(name))!;
}

describe.each(BUILT_IN_NAMES)('the task %s', (name) => {
  it('has the splits that the installed data give', async () => {
    const committed = await readFile(new URL(`../../../data/tasks/splits/${name}.json`, import.meta.url), 'utf8');
    expect(formatSplits(makeSplits(await rawItems(name)))).toBe(committed);
  });

  it('has disjoint splits of the published sizes with the same share of each class', async () => {
    const { train, validation, test, labels } = await task(name);
    const splits = [train, validation, test];
    const sizes = { spam: [3349, 373, 932], sentiment: [2127, 237, 591] }[name];
    expect(splits.map((split) => split.length)).toEqual(sizes);
    const texts = splits.flat().map(({ text }) => text);
    expect(new Set(texts.map(contentHash)).size).toBe(texts.length);
    const positives = splits.map((split) => split.filter(({ label }) => label === 1).length / split.length);
    for (const share of positives) expect(share).toBeCloseTo(positives[0]!, 2);
    expect(labels).toHaveLength(2);
  });

  it('mixes the classes, so that file order can be trained on', async () => {
    const { train } = await task(name);
    const half = Math.floor(train.length / 2);
    const positives = (part: typeof train): number => part.filter(({ label }) => label === 1).length / part.length;
    expect(Math.abs(positives(train.slice(0, half)) - positives(train.slice(half)))).toBeLessThan(0.06);
  });
});

describe('contentHash', () => {
  it('does not depend on how typographic marks were decoded', () => {
    const raw = 'don\x92t \x93stop\x94 \x96 \x80 5';
    const decoded = fromWindows1252(raw);
    expect(decoded).toBe('don’t “stop” – € 5');
    expect(contentHash(decoded)).toBe(contentHash('don t stop 5'));
    expect(contentHash('café')).not.toBe(contentHash('caf'));
  });
});

describe('loadTask', () => {
  it('knows which messages are spam', async () => {
    const { test } = await task('spam');
    const unsubscribe = test.filter(({ text }) => /mortgage|viagra|make money/i.test(text));
    expect(unsubscribe.length).toBeGreaterThan(10);
    expect(unsubscribe.filter(({ label }) => label === 1).length / unsubscribe.length).toBeGreaterThan(0.7);
  });

  it('refuses names it does not know, also those every object has', async () => {
    for (const name of ['glue', 'toString']) {
      await expect(loadTask(name)).rejects.toThrow(new UserError(
        `task: found "${name}", expected one of spam, sentiment; for your own data give files`,
      )); // prettier-ignore
    }
  });

  it('refuses data that lack a published text', () => {
    const items = [{ text: 'here', label: 0, stratum: '' }];
    expect(pick(items, [contentHash('here')], 'sentiment')).toEqual(items);
    expect(() => pick(items, [contentHash('gone')], 'sentiment')).toThrow(
      /^sentiment: 1 of 1 texts .*npm install sentiment@5/,
    );
  });
});
