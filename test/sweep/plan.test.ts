/** Protects: what makes two trials the same, and what trials share. */
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { stringify } from 'yaml';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { planReader } from '../../cli/sweep-run.ts';
import { PRESETS } from '../../experiments/presets.ts';
import { planSweep, sharedEstimates, type SweepPlan } from '../../sweep/plan.ts';
import { readSpec } from '../../sweep/spec.ts';

let dir: string;
let files = 0;
beforeAll(async () => {
  dir = await mkdtemp(join(tmpdir(), 'light-peft-plan-'));
});
afterAll(() => rm(dir, { recursive: true, force: true }));

const BASE = { model: 'checkpoints/light-roberta', task: 'sentiment', steps: 20 };
const METRIC = { metric: 'accuracy', direction: 'maximize' };

async function plan(given: Record<string, unknown>): Promise<SweepPlan> {
  const file = join(dir, `${files++}.yaml`);
  await writeFile(file, stringify({ ...METRIC, ...given, base: { ...BASE, ...(given.base as object | undefined) } }));
  return planSweep(await readSpec(file), file, planReader(file));
}

const idOf = async (base: object): Promise<string> =>
  (await plan({ base: { methods: 'light-peft', ...base } })).trials[0]!.id;

describe('a trial’s identity', () => {
  it('is the same however an option is written', async () => {
    const id = await idOf({ lr: 0.001, 'lora-r': 8 });
    expect(await idOf({ lr: '1e-3', loraR: 8 })).toBe(id);
    expect(await idOf({ lr: 1e-3 })).toBe(id);
  });

  it('is that of the options that a preset stands for', async () => {
    const { 'light-peft+': plus } = PRESETS;
    expect(await idOf({ preset: 'light-peft+' })).toBe(await idOf(plus));
    expect(await idOf({ preset: 'light-peft+', 'rank-ratio': 0.9 })).toBe(await idOf({ ...plus, rankRatio: 0.9 }));
  });

  it('is another with another number, data or method', async () => {
    const ids = await Promise.all([
      idOf({}),
      idOf({ lr: 0.002 }),
      idOf({ seed: 1 }),
      idOf({ 'heads-ratio': 0.6 }),
      idOf({ 'max-train-examples': 10 }),
      idOf({ methods: 'random' }),
      idOf({ 'selection-split': 0.2 }),
    ]);
    expect(new Set(ids).size).toBe(ids.length);
  });
});

describe('sharing', () => {
  it('makes one trial of what a method does not read', async () => {
    const { trials, repeated } = await plan({
      grid: { methods: ['reference', 'light-peft', 'peft-only'], 'heads-ratio': [0.25, 0.5] },
    });
    expect(trials.map(({ config }) => [config.methods, config['heads-ratio']])).toEqual([
      ['reference', undefined],
      ['light-peft', 0.25],
      ['peft-only', undefined],
      ['light-peft', 0.5],
    ]);
    expect(repeated).toBe(2);
  });

  it('has one estimation for all ratios and pruning methods of a seed', async () => {
    const found = await plan({
      grid: { methods: ['reference', 'light-peft', 'random'], 'heads-ratio': [0.25, 0.5], 'rank-ratio': [0.1, 0.2] },
      seeds: [0, 1],
    });
    expect([...sharedEstimates(found).values()]).toEqual([8, 8]);
  });

  it('has another for other numbers of the estimation, data or seed, not for those of fine-tuning', async () => {
    const count = async (grid: object): Promise<number> =>
      sharedEstimates(await plan({ base: { methods: 'light-peft' }, grid })).size;
    expect(await count({ 'estimate-steps': [4, 8] })).toBe(2);
    expect(await count({ 'heads-l1': [1e-3, 1e-2] })).toBe(2);
    expect(await count({ 'max-train-examples': [8, 16] })).toBe(2);
    expect(await count({ lr: [1e-3, 1e-2] })).toBe(2);
    expect(await count({ steps: [10, 20] })).toBe(1);
    expect(await count({ 'max-eval-examples': [10, 20] })).toBe(1);
    expect(await count({ 'heads-ratio': [0.1, 0.2], 'estimate-until': ['stable'] })).toBe(2);
  });
});

it('gives an estimation the options of the preset that its trials have', async () => {
  const { trials } = await plan({ base: { methods: 'light-peft', preset: 'paper', 'lora-r': 4 } });
  const { options } = await planReader('the trial')('estimate', trials[0]!.estimate!.config);
  expect(options).toMatchObject({ train: { lr: PRESETS.paper.lr }, peft: { r: 4 } });
});

it('gives a shared estimation the data that its trials were planned with', async () => {
  const data = join(import.meta.dirname, '../../examples/data');
  const files = { task: null, train: join(data, 'reviews.jsonl'), eval: join(data, 'held-out.jsonl') };
  const { trials } = await plan({ metric: undefined, direction: undefined, base: { ...files, methods: 'light-peft' } });
  const [{ estimate, facts }] = trials as [SweepPlan['trials'][0]];
  // A worker compares what it reads with these facts.
  expect((await planReader('the trial')('estimate', estimate!.config)).facts).toEqual(facts);
});

describe('what trials are measured on', () => {
  const configOf = async (given: Record<string, unknown>) => (await plan(given)).trials[0]!.config;

  it('is the validation split of a task that has one besides its test split', async () => {
    expect(await configOf({})).toMatchObject({ 'eval-split': 'validation' });
  });

  it('is a part of the training data where there is no other', async () => {
    const train = join(import.meta.dirname, '../../examples/data/reviews.jsonl');
    const config = await configOf({ base: { task: null, train, eval: 'held-out.jsonl' } });
    expect(config).toMatchObject({ train, 'selection-split': 0.1 });
    expect(config).not.toHaveProperty('eval');
  });

  it('is what the file says, if it says something', async () => {
    expect(await configOf({ base: { 'selection-split': 0.3 } })).toMatchObject({ 'selection-split': 0.3 });
    expect(await configOf({ final: { 'eval-split': 'test' } })).not.toHaveProperty('eval-split');
  });

  it('is that of run where nothing is chosen', async () => {
    expect(await configOf({ metric: undefined, direction: undefined })).not.toHaveProperty('eval-split');
  });
});

describe('a file that is wrong', () => {
  const fails = async (given: Record<string, unknown>, message: string): Promise<void> => {
    await expect(plan(given)).rejects.toThrow(message);
  };

  it('is told by key, with what was expected', async () => {
    await fails({ grid: { 'head-ratio': [0.5] } }, 'option "head-ratio": not one that a trial of run may have, did you mean "heads-ratio"?'); // prettier-ignore
    await fails({ grid: { methods: ['lora'] } }, 'option "methods": found "lora", expected some of reference');
    await fails({ grid: { 'heads-ratio': [2] } }, 'heads-ratio');
    await fails({ grid: { lr: [] } }, 'grid.lr');
    await fails({ direction: undefined }, 'direction');
    await fails({ metric: undefined, scheduler: { name: 'asha', 'min-steps': 5 } }, 'metric');
    await fails({ zip: { lr: [1, 2], steps: [1] } }, 'zip');
    await fails({ sed: [0] }, 'sed');
    await fails({ exclude: [{ task: 'sentiment' }] }, 'no configuration is left');
    await fails({ base: { model: 'no/such/folder-anywhere' } }, 'folder-anywhere');
  });
});
