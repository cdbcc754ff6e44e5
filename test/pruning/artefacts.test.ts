/** Protects: records.json and plan.json. What is written is read; a file for another base, another version, or a damaged one is refused. */
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { UserError } from '../../engine/errors.ts';
import { fingerprintCheckpoint } from '../../engine/io/fingerprint.ts';
import { loadConfig } from '../../models/config.ts';
import { assertPlanFits, readPlan, writePlan, type Plan } from '../../pruning/plan.ts';
import { readEstimate, scoresOf, writeEstimate, type EstimateResult } from '../../pruning/scores-file.ts';
import { SAMPLE_PLAN } from './sample-plan.ts';

const MODEL = join(import.meta.dirname, '../goldens/roberta/model');
let dir: string;
beforeAll(async () => {
  dir = await mkdtemp(join(tmpdir(), 'artefacts-'));
});
afterAll(() => rm(dir, { recursive: true }));

type Json = Record<string, unknown>;

async function rewritten(path: string, edit: (json: Json) => Json): Promise<void> {
  const json = JSON.parse(await readFile(path, 'utf8')) as Json;
  await writeFile(path, JSON.stringify(edit(json)));
}

const query = 'roberta.encoder.layer.0.attention.self.query';

describe('records.json', () => {
  const records: Omit<EstimateResult, 'format' | 'version'> = {
    base: 'sha256:00',
    steps: 2,
    counted_steps: 1,
    seed: 3,
    non_finite_samples: 0,
    loss: [1.5, 1.25],
    task_loss: [1.4, 1.2],
    head_masks: [[1, 0.5]],
    ffn_masks: [[1, 1, 0.25]],
    module_importance: { [query]: 0.5 },
    rank_importance: { [query]: [0.1, 0.2] },
  };

  test('written and read, with the scores for the decision', async () => {
    const path = join(dir, 'records.json');
    await writeEstimate(path, records);
    const back = await readEstimate(path);
    expect(back).toEqual({ format: 'light-peft/records', version: 1, ...records });
    const table = { heads: [[0.5, 0.1]], neurons: [[1, 2, 3]] };
    const units = { taylor: table, fisher: table, magnitude: table, activation: table };
    await writeEstimate(path, { ...records, unit_importance: units });
    const full = await readEstimate(path);
    expect(full.unit_importance).toEqual(units);
    expect(scoresOf(full, await loadConfig(MODEL)).units).toEqual(units);
    await writeEstimate(path, { ...records, unit_importance: { magnitude: table } });
    expect((await readEstimate(path)).unit_importance).toEqual({ magnitude: table });
    const distances = [{ step: 8, heads: 0, neurons: 0.25, modules: 0, ranks: 1 }];
    const numbers = { window: 4, threshold: 0.1, queue: 4, min_steps: 1, max_steps: 8 };
    const stability = { ...numbers, reached: false, distances };
    await writeEstimate(path, { ...records, stability });
    expect((await readEstimate(path)).stability).toEqual(stability);
    expect(scoresOf(back, await loadConfig(MODEL))).toEqual({
      heads: records.head_masks,
      neurons: records.ffn_masks,
      modules: records.module_importance,
      ranks: records.rank_importance,
      headsPerGroup: 1,
      steps: 2,
      seed: 3,
    });
  });

  test.each<[Json, string]>([
    [{ version: 2 }, 'key "version": found 2, this program reads version 1'],
    [{ format: 'light-peft/plan' }, 'key "format": found "light-peft/plan", expected "light-peft/records"'],
    [{ loss: undefined }, 'key "loss": found nothing, expected a list of numbers'],
    [{ loss: [1, null] }, 'key "loss[1]": found null, expected a number'],
    [{ task_loss: [1] }, 'key "task_loss": found 1, expected 2 steps, as in "loss"'],
    [{ ffn_masks: [] }, 'key "ffn_masks": found 0, expected 1 layers, as in "head_masks"'],
    [
      { unit_importance: { fisher: { heads: [[1]], neurons: [[1, 2, 3]] } } },
      'key "unit_importance": found other rows of "heads" in "fisher", expected those of "head_masks"',
    ],
    [
      { unit_importance: { taylor: { heads: [[1, 2]], neurons: [] } } },
      'key "unit_importance": found other rows of "neurons" in "taylor", expected those of "ffn_masks"',
    ],
    [{ unit_importance: { hessian: { heads: [], neurons: [] } } }, 'key "unit_importance": unknown key "hessian"'],
    [{ rank_importance: {} }, `key "rank_importance": found nothing, expected ranks of "${query}"`],
    [{ module_importance: {} }, `key "module_importance": found nothing, expected "${query}"`],
  ])('%j is refused', async (change, message) => {
    const path = join(dir, 'records.json');
    await writeEstimate(path, records);
    await rewritten(path, (json) => ({ ...json, ...change }));
    const error: unknown = await readEstimate(path).catch((e: unknown) => e);
    expect(error).toBeInstanceOf(UserError);
    expect((error as UserError).message).toContain(`${path}: ${message}`);
  });
});

describe('plan.json', () => {
  const plan: Plan = {
    ...SAMPLE_PLAN,
    layers: [
      { heads: [0, 3], neurons: [0, 1, 63] },
      { heads: [2], neurons: [5], fold: { heads: [0.5], neurons: [0.9] } },
    ],
    modules: { [query]: { ranks: 4, kept: [1, 3] } },
  };

  test('written and read, and fits the base it was made for', async () => {
    const path = join(dir, 'plan.json');
    const fingerprint = await fingerprintCheckpoint(MODEL);
    const made = { ...plan, base: { ...plan.base, fingerprint } };
    await writePlan(path, made);
    const back = await readPlan(path);
    expect(back).toEqual(made);
    const scored = { ...made, origin: { ...made.origin, importance: 'fisher' as const } };
    await writePlan(path, scored);
    expect(await readPlan(path)).toEqual(scored);
    await writePlan(path, made);
    expect(JSON.parse(await readFile(path, 'utf8'))).toMatchObject({ format: 'light-peft/plan', version: 2 });
    assertPlanFits(back, path, fingerprint, await loadConfig(MODEL));
  });

  test.each<[Json, string]>([
    [{ version: 7 }, 'key "version": found 7, this program reads version 2'],
    [{ format: 'x' }, 'key "format": found "x", expected "light-peft/plan"'],
    [{ layers: [{ heads: [1, 0], neurons: [] }] }, 'key "layers[0].heads": expected ascending indices, each once'],
    [{ layers: [{ heads: [0], neurons: [4, 4] }] }, 'key "layers[0].neurons": expected ascending indices'],
    [{ layers: [{ heads: [-1], neurons: [] }] }, 'key "layers[0].heads[0]": found -1, expected an integer from 0'],
    [{ layers: [{ heads: [0.5], neurons: [] }] }, 'key "layers[0].heads[0]": found 0.5, expected an integer from 0'],
    [{ extra: 1 }, 'unknown key "extra"'],
    [{ origin: { ...plan.origin, importance: 'mask' } }, 'key "origin.importance": expected taylor'],
    [{ origin: { ...plan.origin, ffn_ratio: 1 } }, 'key "origin.ffn_ratio": found 1, expected a number in [0, 1)'],
  ])('%j is refused', async (change, message) => {
    const path = join(dir, 'plan.json');
    await writePlan(path, plan);
    await rewritten(path, (json) => ({ ...json, ...change }));
    const error: unknown = await readPlan(path).catch((e: unknown) => e);
    expect(error).toBeInstanceOf(UserError);
    expect((error as UserError).message).toContain(`${path}: ${message}`);
  });

  test.each<[string, Partial<Plan>, RegExp]>([
    [
      'another base',
      { base: { ...plan.base, fingerprint: 'sha256:11' } },
      /made for base sha256:11, this base is sha256:00/,
    ],
    ['layers', { layers: plan.layers.slice(1) }, /key "layers": found 1, expected 2/],
    [
      'head',
      { layers: [{ heads: [4], neurons: [0] }, plan.layers[1]!] },
      /"layers\[0\]\.heads": found 4, expected indices below 4/,
    ],
    [
      'neuron',
      { layers: [{ heads: [0], neurons: [64] }, plan.layers[1]!] },
      /neurons": found 64, expected indices below 64/,
    ],
    [
      'fold',
      { layers: [plan.layers[0]!, { heads: [0], neurons: [0], fold: { heads: [], neurons: [1] } }] },
      /layers\[1\]\.fold/,
    ],
    ['rank', { modules: { [query]: { ranks: 4, kept: [4] } } }, /query\.kept": found 4, expected indices below 4/],
    ['no rank', { modules: { [query]: { ranks: 4, kept: [] } } }, /query\.kept": found undefined, expected/],
  ])('a plan that does not fit is refused: %s', async (_, change, message) => {
    const config = await loadConfig(MODEL);
    const check = (): void => assertPlanFits({ ...plan, ...change }, 'plan.json', 'sha256:00', config);
    expect(check).toThrow(UserError);
    expect(check).toThrow(message);
  });
});
