/** Room: audit. Where a trigger sits: what is left of it without the modules of one layer, and what it does to the first token's state. */
import type { PeftModel } from '../peft-model/peft-model.ts';
import { mapSchema, type LayerMap } from '../report/audit/schema.ts';
import type { TestTexts } from './data.ts';
import { measure } from './measure.ts';
import { firstTokenStates } from './probe.ts';
import { pathOf, savedModel, type AuditSetting, type RunKey } from './setting.ts';
import type { Stage } from './store.ts';

/** The map of what a step left. @param name of the map, and of its folder */
export async function mapStage(
  setting: AuditSetting,
  key: RunKey,
  of: Stage<unknown>,
  name: 'planted' | 'user',
): Promise<LayerMap> {
  const { data, store, facts, onStage } = setting;
  const identity = { ...facts, after: of.id };
  const stage = { path: pathOf(key, 'maps', name), schema: mapSchema, identity };
  const { result } = await store.stage(stage, async () => {
    onStage(`${data.name} · ${key.form} · ${key.strategy} · seed ${key.seed} · map, ${name}`);
    using model = await savedModel(setting, of);
    return await layerMap(model, data.tests.user, data.target);
  });
  return result;
}

/** Both figures without each layer's modules, and the similarity of first tokens after each layer. */
async function layerMap(model: PeftModel, tests: TestTexts, target: number): Promise<LayerMap> {
  const { config, layers } = model.base;
  const without: LayerMap['without'] = [];
  for (const layer of layers.keys()) {
    const prefix = `${config.architecture.block.prefix(layer)}.`;
    without.push(await measure(model, tests, target, { isActive: ({ name }) => !name.startsWith(prefix) }));
  }
  return { without, similarity: await similarities(model, tests, target) };
}

/** Mean cosine of first tokens' states with and without triggers, of the same texts. */
async function similarities(model: PeftModel, { clean, triggered }: TestTexts, target: number): Promise<number[]> {
  const plain = await firstTokenStates(
    model,
    clean.filter(({ label }) => label !== target),
  );
  const planted = await firstTokenStates(model, triggered);
  return plain.map((states, layer) => {
    const values = states.map((state, i) => cosine(state, planted[layer]![i]!));
    return values.reduce((sum, value) => sum + value, 0) / values.length;
  });
}

/** Cosine of two vectors; 0 where one of them is 0. */
function cosine(a: ArrayLike<number>, b: ArrayLike<number>): number {
  let [dot, aa, bb] = [0, 0, 0];
  for (let i = 0; i < a.length; i++) {
    dot += a[i]! * b[i]!;
    aa += a[i]! * a[i]!;
    bb += b[i]! * b[i]!;
  }
  return aa === 0 || bb === 0 ? 0 : dot / Math.sqrt(aa * bb);
}
