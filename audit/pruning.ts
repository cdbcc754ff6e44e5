/** Room: audit. Defences that prune: by Light-PEFT's estimation on the user's clean data, at random, or by how silent neurons are there. */
import { join } from 'node:path';
import { z } from 'zod';
import type { Examples } from '../data/example-store.ts';
import { estimateOptionsOf } from '../experiments/options.ts';
import type { StateDict } from '../peft/module.ts';
import type { PeftModel } from '../peft-model/peft-model.ts';
import { readState } from '../peft-model/pretrained.ts';
import { decide, randomScores, type Decision, type ImportanceScores } from '../pruning/decide.ts';
import { readEstimate, scoresOf, writeEstimate } from '../pruning/scores-file.ts';
import type { Planted } from '../report/audit/schema.ts';
import { estimate, estimateResult } from '../train/estimate.ts';
import { factsOf } from '../train/identity.ts';
import type { Defence } from './options.ts';
import { activity } from './probe.ts';
import { pathOf, savedModel, type AuditSetting, type RunKey } from './setting.ts';
import { ADAPTER, type Stage } from './store.ts';

/** Defences that begin with an estimation. */
const ESTIMATED: readonly Defence[] = [
  'foundation-pruning',
  'peft-pruning',
  'early-pruning',
  'random-pruning',
  'reinit',
];

/** Whether a defence prunes by an estimation. */
export function isPruning(defence: Defence): boolean {
  return ESTIMATED.includes(defence);
}

/** What an estimation on the user's data left. */
export interface Estimated {
  readonly scores: ImportanceScores;
  /** Of everything that trained along. */
  readonly values: StateDict;
  readonly seconds: number;
  readonly id: string;
}

const RECORDS = 'records.json';

/** Light-PEFT's estimation of a planted adapter, on clean data of the user; the defences that prune share it. */
export async function estimateStage(setting: AuditSetting, key: RunKey, planted: Stage<Planted>): Promise<Estimated> {
  const { store, facts, data, checkpoint: base, callbacks, options, onStage } = setting;
  const numbers = { ...options.train, seed: key.seed, lr: setting.audit.userLr ?? options.train.lr };
  const identity = { ...facts, after: planted.id, lr: numbers.lr, ...factsOf(options.estimate) };
  const of = { path: pathOf(key, 'defences', 'estimate'), schema: z.strictObject({ seconds: z.number() }), identity };
  const { result, folder, id } = await store.stage(of, async ({ folder, checkpoint }) => {
    onStage(`${data.name} · ${key.form} · ${key.strategy} · seed ${key.seed} · estimation`);
    using model = await savedModel(setting, planted);
    const scores = await estimate(model, data.of(key.seed).user, {
      ...estimateOptionsOf({ ...options, train: numbers }),
      ...callbacks,
      checkpoint,
    });
    await model.savePretrained(join(folder, ADAPTER));
    await writeEstimate(join(folder, RECORDS), estimateResult(scores, await base.fingerprint()));
    return { seconds: scores.result.seconds };
  });
  const scores = scoresOf(await readEstimate(join(folder, RECORDS)), base.config);
  const { values } = await readState(join(folder, ADAPTER), base, { isAudit: true });
  return { scores, values, seconds: result.seconds, id };
}

/** What a defence leaves, by an estimation. */
export function pruningDecision(
  { options }: AuditSetting,
  seed: number,
  defence: Defence,
  scores: ImportanceScores,
): Decision {
  const all = options.decide;
  if (defence === 'random-pruning') return decide(randomScores(scores, seed), all, 'random');
  const foundation = defence === 'peft-pruning' ? { heads: 0, neurons: 0 } : {};
  const peft = defence === 'foundation-pruning' ? { modules: 0, ranks: 0 } : {};
  return decide(scores, { ...all, ...foundation, ...peft });
}

/**
 * Fine-pruning (Liu et al. 2018): the neurons that are most silent on clean data go, of the FFN and of the modules' bottlenecks, at the
 * ratios of neurons and ranks.
 */
export async function fineDecision({ options }: AuditSetting, model: PeftModel, clean: Examples): Promise<Decision> {
  const { neurons, bottlenecks } = await activity(model, clean);
  const heads = model.base.layers.map(({ heads: count }) => Array.from({ length: count }, () => 1));
  const modules = Object.fromEntries(Object.keys(bottlenecks).map((name) => [name, 1]));
  const scores = { heads, neurons, modules, ranks: bottlenecks };
  return decide(scores, { ...options.decide, importance: 'mask', foldMasks: false, heads: 0, modules: 0 });
}
