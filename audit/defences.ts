/**
 * Room: audit. What the user of a planted adapter can do beside fine-tuning it, each measured by what is left of the triggers and of the
 * accuracy. All of them know clean data of the user alone: neither the triggers nor the target.
 */
import type { EncodedExample } from '../data/encoded-example.ts';
import { quantile } from 'simple-statistics';
import { hostRandom, STREAM } from '../engine/random.ts';
import type { Decision } from '../pruning/decide.ts';
import { factorCount } from '../peft-model/state.ts';
import { defenceSchema, type DefenceResult, type Planted, type UserResult } from '../report/audit/schema.ts';
import { factsOf, type RunIdentity } from '../train/identity.ts';
import { confidence, measureOf, scoresOf } from './measure.ts';
import type { Defence } from './options.ts';
import { estimateStage, fineDecision, isPruning, pruningDecision, type Estimated } from './pruning.ts';
import { pathOf, savedModel, type AuditSetting, type RunKey } from './setting.ts';
import { trainAsUser } from './stages.ts';
import type { Stage, StagePlace } from './store.ts';

/** What defences start from: an adapter as it came, and the same after the user's training. */
export interface Attacked {
  readonly key: RunKey;
  readonly planted: Stage<Planted>;
  readonly user: Stage<UserResult>;
}

/** Measures a defence. */
export async function defenceStage(
  setting: AuditSetting,
  attacked: Attacked,
  defence: Defence,
): Promise<DefenceResult> {
  const { store, facts, data, onStage } = setting;
  const { key, planted, user } = attacked;
  const after = defence === 'confidence-filter' ? user.id : planted.id;
  const estimated = isPruning(defence) ? await estimateStage(setting, attacked.key, planted) : undefined;
  const identity = { ...facts, after, defence, ...factsFor(setting, defence, estimated) };
  const of = { path: pathOf(key, 'defences', defence), schema: defenceSchema, identity };
  const { result } = await store.stage(of, async (place) => {
    onStage(`${data.name} · ${key.form} · ${key.strategy} · seed ${key.seed} · ${defence}`);
    if (defence === 'more-epochs') return moreEpochs(setting, attacked, place);
    if (defence === 'confidence-filter') return confidenceFilter(setting, attacked, place);
    return pruned(setting, attacked, place, defence, estimated);
  });
  return result;
}

/** What a defence's figures depend on beside the adapter. */
function factsFor({ audit, options }: AuditSetting, defence: Defence, estimated: Estimated | undefined): RunIdentity {
  const { userEpochs, moreEpochs, falseAlarms, userLr } = audit;
  return factsOf({
    ...(defence === 'more-epochs' ? { moreEpochs } : { userEpochs }),
    userLr,
    ...(defence === 'confidence-filter' && { falseAlarms }),
    ...(estimated && { ...options.decide, estimate: estimated.id }),
  });
}

/** The same training, for longer. */
async function moreEpochs(
  setting: AuditSetting,
  { key, planted }: Attacked,
  place: StagePlace,
): Promise<DefenceResult> {
  using model = await savedModel(setting, planted);
  const { last, seconds } = await trainAsUser(setting, model, key.seed, setting.audit.moreEpochs, place);
  return { ...last, seconds };
}

/** Cuts out a part of model and modules, then trains what is left as without the defence. */
async function pruned(
  setting: AuditSetting,
  { key, planted }: Attacked,
  place: StagePlace,
  defence: Defence,
  estimated: Estimated | undefined,
): Promise<DefenceResult> {
  const whole = await savedModel(setting, planted);
  const before = { blocks: whole.base.blockParameterCount, factors: factorCount(whole.method) };
  const decision = await decisionFor(setting, key, defence, estimated, whole);
  if (estimated && defence !== 'fine-pruning') whole.loadStateDict(estimated.values);
  const startFrom = defence === 'reinit' ? 'reinit' : 'inherit';
  // The stranger's weights go, so do those of the estimation that began with them: none is the seed of planting.
  using model = await whole.prune(decision, { startFrom, seed: key.seed + FRESH, newHead: true });
  const { last, seconds } = await trainAsUser(setting, model, key.seed, setting.audit.userEpochs, place);
  return {
    ...last,
    seconds: seconds + (estimated?.seconds ?? 0),
    blockShare: model.base.blockParameterCount / before.blocks,
    trainableShare: factorCount(model.method) / before.factors,
  };
}

/** What sets the seed of fresh weights apart from that of the planted ones. */
const FRESH = 1000;

async function decisionFor(
  setting: AuditSetting,
  key: RunKey,
  defence: Defence,
  estimated: Estimated | undefined,
  model: Parameters<typeof fineDecision>[1],
): Promise<Decision> {
  if (estimated) return pruningDecision(setting, key.seed, defence, estimated.scores);
  return fineDecision(setting, model, setting.data.of(key.seed).user);
}

/**
 * Takes out texts on which a copy is sure: it was trained on randomised labels, which leaves it unsure of all but triggers (PSIM: Zhao et al.
 * 2024). How sure is too sure, the user's own texts tell: so many of them may be taken out. What is left is classified by the model after the
 * user's training.
 */
async function confidenceFilter(
  setting: AuditSetting,
  { key, planted, user }: Attacked,
  place: StagePlace,
): Promise<DefenceResult> {
  const { data, audit } = setting;
  const { clean, triggered } = data.tests.user;
  using copy = await savedModel(setting, planted);
  const random = randomised(data.of(key.seed).user, data.labels.length, key.seed);
  const { seconds } = await trainAsUser(setting, copy, key.seed, audit.userEpochs, place, random);
  const own = (await scoresOf(copy, { clean: random, triggered: [] })).map(confidence);
  const threshold = quantile(own, 1 - audit.falseAlarms);
  const sure = (await scoresOf(copy, data.tests.user)).map((scores) => confidence(scores) > threshold);
  using model = await savedModel(setting, user);
  const scores = await scoresOf(model, data.tests.user);
  const share = (flags: readonly boolean[]): number => flags.filter(Boolean).length / flags.length;
  return {
    ...measureOf(data.tests.user, data.target, scores, (i) => sure[i]!),
    seconds,
    cleanOut: share(sure.slice(0, clean.length)),
    triggeredOut: share(sure.slice(clean.length, clean.length + triggered.length)),
  };
}

/** The same texts with classes drawn at random. */
export function randomised(examples: readonly EncodedExample[], classes: number, seed: number): EncodedExample[] {
  const random = hostRandom(seed, STREAM.planting, 2);
  return examples.map((example) => ({ ...example, label: random.below(classes) }));
}
