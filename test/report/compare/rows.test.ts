/** Protects: runs of any origin become rows with the figures that their files have; what is not known is null, nothing is counted twice. */
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { findRuns, type FoundRuns } from '../../../report/compare/folders.ts';
import { rowOfPart, rowsOfComparison } from '../../../report/compare/rows.ts';
import type { PaperPart } from '../../../report/paper/schema.ts';
import { sampleComparison } from '../sample.ts';
import { sampleFile, trial } from '../sweep/sample.ts';
import { samplePart } from './sample.ts';

const facts = {
  official: (task: string): string | undefined => (task === 'glue/mrpc' ? 'f1' : undefined),
  preset: (name: string) => (name === 'half' ? { 'heads-ratio': 0.9, 'module-ratio': 0.25, 'rank-ratio': 0.125 } : {}),
};

describe('rowsOfComparison', () => {
  const comparison = sampleComparison();
  const rows = rowsOfComparison(comparison, 'out/run', () => ({}), facts);

  it('has the figures of each run', () => {
    expect(rows).toHaveLength(comparison.runs.length);
    const run = comparison.runs[3]!;
    expect(rows[3]).toMatchObject({
      ...{ source: 'out/run', task: 'sentiment', peft: 'lora', method: 'light-peft', label: 'lora, Light-PEFT', seed: 1 },
      ...{ metric: 'accuracy', value: run.metrics.accuracy, f1: run.metrics.f1, loss: run.metrics.loss },
      ...{ blocksLeft: run.foundation.blockLeft, trainablesLeft: run.trainable.left, artefactBytes: run.artefactBytes },
      totalSeconds: run.speed.estimateSeconds + run.speed.pruneSeconds + run.speed.trainSeconds,
      ...{ trainPeakBytes: run.memory.trainPeakBytes, inferPeakBytes: run.memory.inferPeakBytes },
      ...{ adapter: comparison.meta.adapter, software: true, base: comparison.meta.fingerprint, commit: null, lr: null },
    }); // prettier-ignore
    expect(rows[3]!.trainMeanBytes).toBeLessThan(run.memory.trainPeakBytes);
  });

  it('calls methods as the command does, whatever they prune', () => {
    expect(new Set(rows.map(({ method }) => method))).toEqual(
      new Set(['reference', 'light-peft', 'random', 'foundation-only', 'peft-only', 'random-init']),
    );
    const of = (method: string) => rows.find((row) => row.method === method)!;
    expect(of('reference')).toMatchObject({ headsRatio: 0, neuronsRatio: 0, moduleRatio: 0, rankRatio: 0 });
    expect(of('light-peft').headsRatio).toBeCloseTo(1 - 21 / 32);
    expect(of('peft-only').neuronsRatio).toBe(0);
    expect(of('foundation-only').moduleRatio).toBe(0);
  });

  it('prefers options to what a plan came to, and leaves out what has a column', () => {
    const options = { heads: 0.25, neurons: 0.5, modules: 0.75, ranks: 0.5, lr: 0.01, loraR: 8, seed: 1, selectionSplit: 0.1 }; // prettier-ignore
    const [row] = rowsOfComparison({ ...comparison, runs: [comparison.runs[3]!] }, 'x', () => options, facts);
    expect(row).toMatchObject({ headsRatio: 0.25, rankRatio: 0.5, lr: 0.01, split: 'selection' });
    expect(JSON.parse(row!.options)).toEqual({ loraR: 8, selectionSplit: 0.1 });
  });
});

describe('rowOfPart', () => {
  it('has the official score of the task as it is called elsewhere', () => {
    expect(rowOfPart(samplePart(), facts)).toMatchObject({
      ...{ source: 'mrpc/lora/light-peft/0.5/seed-0', task: 'glue/mrpc', metric: 'f1', value: 0.87, accuracy: 0.8 },
      ...{
        headsRatio: 0.5,
        neuronsRatio: 0.5,
        moduleRatio: 0.75,
        rankRatio: 0.5,
        lr: 0.003,
        steps: 400,
        split: 'evaluation',
      },
      ...{ totalSeconds: 130.5, trainTokensPerSecond: null, blocksLeft: null, blocksShare: 0.5, commit: 'abc' },
      options: '{}',
    });
  });

  it('has the ratios of a preset where none are given', () => {
    const row = rowOfPart(samplePart({ config: { preset: 'half', 'rank-ratio': 0 } }), facts);
    expect(row).toMatchObject({ headsRatio: 0.5, moduleRatio: 0.25, rankRatio: 0 });
  });

  it('takes the first score where the official one is not there', () => {
    expect(rowOfPart(samplePart({ metrics: { spearman: 0.8 } }), facts)).toMatchObject({ metric: 'spearman', value: 0.8 }); // prettier-ignore
  });
});

describe('findRuns', () => {
  let dir: string;
  beforeEach(async () => {
    dir = await mkdtemp(join(tmpdir(), 'compare-'));
  });
  afterEach(() => rm(dir, { recursive: true }));

  async function write(name: string, value: object | string): Promise<void> {
    await mkdir(dirname(join(dir, name)), { recursive: true });
    await writeFile(join(dir, name), typeof value === 'string' ? value : JSON.stringify(value));
  }
  const writePart = (part: PaperPart): Promise<void> => write(`parts/${part.name}.json`, part);
  const find = (...names: string[]): Promise<FoundRuns> =>
    findRuns(names.map((name) => join(dir, name)), { ...facts, optionsIn: () => Promise.resolve({}) }); // prettier-ignore

  it('finds runs of all kinds within a folder, sorted, each once', async () => {
    await writePart(samplePart({ seed: 10 }));
    await writePart(samplePart({ seed: 2 }));
    await writePart(samplePart({ name: 'mrpc/lora/light-peft/0.5/lr-0.001' }));
    await write('parts/other.json', { format: 'another' });
    await write('runs/comparison.json', sampleComparison());
    const { rows, leftOut } = await find('', 'parts');
    expect(rows.filter(({ task }) => task === 'glue/mrpc').map(({ seed }) => seed)).toEqual([2, 10]);
    expect(rows).toHaveLength(2 + sampleComparison().runs.length);
    expect(leftOut).toEqual(['runs that a learning rate was chosen by: 1']);
  });

  it('reads the trials of a sweep that are done, their comparisons where they are there', async () => {
    const config = { task: 'sentiment', peft: 'lora', methods: 'light-peft', lr: 0.01, 'selection-split': 0.1 };
    const [first, second, third] = ['a', 'b', 'c'].map((id, seed) =>
      trial(id, { ...config, seed, 'heads-ratio': 0.5 }, { metrics: { accuracy: 0.8, trainSeconds: 3 } }),
    );
    const comparison = sampleComparison();
    await write('sweep.json', sampleFile());
    await write('trials.jsonl', [first, second, { ...third, state: 'failed' }].map((one) => `${JSON.stringify(one)}\n`).join('')); // prettier-ignore
    await write('trials/b/comparison.json', { ...comparison, runs: [comparison.runs[3]!] });
    const { rows, leftOut } = await find('');
    expect(leftOut).toEqual(['trials that failed: 1']);
    expect(rows).toMatchObject([
      { value: 0.8, trainSeconds: 3, totalSeconds: null, seed: 0, lr: 0.01, headsRatio: 0.5, split: 'selection' },
      { value: comparison.runs[3]!.metrics.accuracy, seed: 1, lr: 0.01, headsRatio: 0.5, split: 'selection' },
    ]);
  });

  it.each([
    ['no runs', {}, /found no runs, expected a folder of `run` \(comparison\.json\)/],
    ['a part of another version', { 'x.json': { ...samplePart(), version: 9 } }, /x\.json: key "version"/],
    ['a part that is broken', { 'x.json': { ...samplePart(), seed: 'one' } }, /x\.json: key "seed": found "one"/],
    ['a comparison that is none', { 'comparison.json': { format: 'x' } }, /comparison\.json: key "format"/],
    ['choices alone', { 'x.json': samplePart({ name: 'a/lr-0.1' }) }, /found no finished runs: runs that a learning rate/],
  ])('refuses %s', async (_, files: Record<string, object>, message) => {
    for (const [name, value] of Object.entries(files)) await write(name, value);
    await expect(find('')).rejects.toThrow(message);
  }); // prettier-ignore

  it('refuses a folder that is not there', async () => {
    await expect(find('none')).rejects.toThrow(/none: no such file or folder/);
  });
});
