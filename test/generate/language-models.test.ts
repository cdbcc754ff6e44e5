/** Protects: adapters are switched on one base that is loaded once; one whose plan cuts the base has a base of its own. */
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, it } from 'vitest';
import { Engine } from '../../engine/engine.ts';
import { loadState, saveState } from '../../peft-model/pretrained.ts';
import { generateAll, type Answer, type GenerationRequest } from '../../generate/generate.ts';
import { LanguageModels } from '../../generate/language-models.ts';
import { makePlan, prune } from '../../train/stages.ts';
import { tinySettings } from '../train/tiny.ts';

const LLAMA = join(import.meta.dirname, '..', 'goldens', 'families', 'llama-lm');
const MODEL = join(LLAMA, 'model');
const SETTINGS = { weights: 'f32', embeddings: 'device', seed: 0 } as const;

/** Saves what is left of the golden LoRA with whole key/value groups cut. */
async function savePruned(engine: Engine, dir: string): Promise<void> {
  const whole = await loadState(engine, MODEL, join(LLAMA, 'adapters', 'lora'), SETTINGS);
  const settings = tinySettings({ headsRatio: 0.5, ffnRatio: 0.4, moduleRatio: 0, rankRatio: 0, headUnit: 'group' });
  const scores = {
    heads: whole.base.layers.map(({ heads }) => Array.from({ length: heads }, (_, i) => i)),
    neurons: whole.base.layers.map(({ neurons }) => Array.from({ length: neurons }, (_, i) => i)),
    modules: Object.fromEntries(whole.method!.modules.map((m) => [m.name, 1])),
    ranks: Object.fromEntries(whole.method!.modules.map((m) => [m.name, new Array<number>(m.ranks).fill(1)])),
  };
  const plan = makePlan(whole.base.config, whole.fingerprint, scores, settings);
  const left = await prune(engine, whole, plan, settings);
  await saveState(dir, left, { plan });
  left.base.free();
}

it('answers with the base, two adapters and a pruned one by turns as each alone does', async () => {
  const dir = await mkdtemp(join(tmpdir(), 'light-peft-'));
  const engine = await Engine.open();
  await savePruned(engine, join(dir, 'pruned'));
  const adapters = new Map([
    ['lora', join(LLAMA, 'adapters', 'lora')],
    ['patterns', join(LLAMA, 'adapters', 'lora-patterns')],
    ['pruned', join(dir, 'pruned')],
  ]);
  const answers = async (change: Partial<GenerationRequest>): Promise<Answer[]> => {
    const request = {
      modelDir: MODEL,
      adapters,
      maxNewTokens: 6,
      wanted: {},
      settings: SETTINGS,
      prompts: [],
      ...change,
    };
    const all: Answer[] = [];
    for await (const answer of generateAll(engine, request)) all.push(answer);
    return all;
  };
  const ids = [9, 4, 33, 18];
  const turns = [undefined, 'patterns', null, 'pruned', 'lora', 'patterns', null];
  const together = await answers({
    prompts: turns.map((adapter, i) => ({ at: `${i}`, ids, ...(adapter !== undefined && { adapter }) })),
  });
  expect(together.map(({ adapter }) => adapter)).toEqual([
    'lora',
    'patterns',
    null,
    'pruned',
    'lora',
    'patterns',
    null,
  ]);
  for (const name of ['lora', 'patterns', 'pruned', null]) {
    const only = new Map([...adapters].filter(([key]) => key === name));
    const [alone] = await answers({ adapters: only, prompts: [{ at: '', ids }] });
    const same = together.filter(({ adapter }) => adapter === name);
    expect(same.length).toBeGreaterThan(0);
    for (const { generated } of same) expect(generated.ids).toEqual(alone!.generated.ids);
  }
  expect(new Set(together.map(({ generated }) => generated.ids.join())).size).toBeGreaterThan(1);

  const before = engine.memory.byKind().weights ?? 0;
  const weights = (): number => (engine.memory.byKind().weights ?? 0) - before;
  const models = new LanguageModels(engine, { modelDir: MODEL, adapters, settings: SETTINGS, capacity: 10 });
  await models.get('lora');
  const one = weights();
  expect(one).toBeGreaterThan(0);
  await models.get('patterns');
  await models.get(undefined);
  expect(weights()).toBe(one);
  await models.get('pruned');
  expect(weights()).toBeGreaterThan(one);
  expect(weights()).toBeLessThan(2 * one);
  models.free();
  expect(weights()).toBe(0);
  engine.close();
  await rm(dir, { recursive: true });
});
