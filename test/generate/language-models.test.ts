/** Protects: adapters are switched on one base that is loaded once; one whose plan cuts the base has a base of its own. */
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, it } from 'vitest';
import { generateAll, type Answer, type GenerationRequest } from '../../generate/generate.ts';
import { LanguageModels } from '../../generate/language-models.ts';
import { loadModel, type Checkpoint } from '../../models/checkpoint.ts';
import { PeftModel } from '../../peft-model/peft-model.ts';
import { decide } from '../../pruning/decide.ts';
import { openTestEngine } from '../engine.ts';

const LLAMA = join(import.meta.dirname, '..', 'goldens', 'families', 'llama-lm');

const engine = await openTestEngine();

/** Saves what is left of the golden LoRA with whole key/value groups cut. */
async function savePruned(checkpoint: Checkpoint, dir: string): Promise<void> {
  const whole = await PeftModel.fromPretrained(engine, checkpoint, join(LLAMA, 'adapters', 'lora'));
  const { numHeads, kvHeads } = checkpoint.config;
  const scores = {
    heads: whole.base.layers.map(({ heads }) => Array.from({ length: heads }, (_, i) => i)),
    neurons: whole.base.layers.map(({ neurons }) => Array.from({ length: neurons }, (_, i) => i)),
    modules: Object.fromEntries(whole.method!.modules.map((m) => [m.name, 1])),
    ranks: Object.fromEntries(whole.method!.modules.map((m) => [m.name, new Array<number>(m.ranks).fill(1)])),
    headsPerGroup: numHeads / kvHeads,
  };
  using left = await whole.prune(decide(scores, { heads: 0.5, neurons: 0.4, modules: 0, ranks: 0, headUnit: 'group' }));
  await left.savePretrained(dir);
}

it('answers with the base, two adapters and a pruned one by turns as each alone does', async () => {
  const dir = await mkdtemp(join(tmpdir(), 'light-peft-'));
  const checkpoint = await loadModel(join(LLAMA, 'model'));
  await savePruned(checkpoint, join(dir, 'pruned'));
  const adapters = new Map([
    ['lora', join(LLAMA, 'adapters', 'lora')],
    ['patterns', join(LLAMA, 'adapters', 'lora-patterns')],
    ['pruned', join(dir, 'pruned')],
  ]);
  const answers = async (change: Partial<GenerationRequest>): Promise<Answer[]> => {
    const request = {
      checkpoint,
      adapters,
      maxNewTokens: 6,
      overrides: {},
      seed: 0,
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
  const models = new LanguageModels(engine, { checkpoint, adapters, load: {}, capacity: 10 });
  await models.get('lora');
  const one = weights();
  expect(one).toBeGreaterThan(0);
  await models.get('patterns');
  await models.get(undefined);
  expect(weights()).toBe(one);
  await models.get('pruned');
  expect(weights()).toBeGreaterThan(one);
  expect(weights()).toBeLessThan(2 * one);
  models.dispose();
  expect(weights()).toBe(0);
  await rm(dir, { recursive: true });
});
