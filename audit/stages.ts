/**
 * Room: audit. The steps that train: planting, and the user's fine-tuning of what was planted. Each leaves an adapter in its folder, marked
 * as planted where it is.
 */
import { join } from 'node:path';
import type { Examples } from '../data/example-store.ts';
import type { PeftModel } from '../peft-model/peft-model.ts';
import { plantedSchema, userSchema, type Measure, type Planted, type UserResult } from '../report/audit/schema.ts';
import type { EvaluationRecord } from '../train/callbacks.ts';
import { factsOf } from '../train/identity.ts';
import { train } from '../train/train.ts';
import { evaluationOf, measure } from './measure.ts';
import { plant } from './plant.ts';
import { freshModel, numbersOf, pathOf, savedModel, type AuditSetting, type RunKey } from './setting.ts';
import { ADAPTER, type Stage, type StagePlace } from './store.ts';

/** Trains an adapter with planted triggers, by a strategy; or without, as `clean`. */
export async function plantStage(setting: AuditSetting, key: RunKey): Promise<Stage<Planted>> {
  const { audit, data, store, facts, options } = setting;
  const { form, strategy, seed } = key;
  const { alphaClnorm, alphaGradnorm, lambdaRipple, plantEpochs } = audit;
  const ofStrategy = {
    ...(strategy.includes('clnorm') && { alphaClnorm }),
    ...(strategy === 'gradnorm' && { alphaGradnorm }),
    ...(strategy === 'ripple' && { lambdaRipple }),
  };
  const { method: _, ...peft } = options.peft;
  const identity = { ...facts, ...factsOf(peft), form, strategy, seed, plantEpochs, ...ofStrategy };
  return store.stage({ path: pathOf(key, 'plant'), schema: plantedSchema, identity }, async (place) => {
    setting.onStage(`${data.name} · ${form} · ${strategy} · seed ${seed} · planting`);
    using model = await freshModel(setting, key);
    const trained = await plant(setting, key, model, place);
    await model.savePretrained(join(place.folder, ADAPTER));
    const { user, plant: own } = data.tests;
    return {
      ...trained,
      user: await measure(model, user, data.target),
      ...(own && { plant: await measure(model, own, data.target) }),
    };
  });
}

/** The user's training on clean data, measured after every epoch. */
export function userStage(setting: AuditSetting, key: RunKey, planted: Stage<Planted>): Promise<Stage<UserResult>> {
  const { audit, data, store, facts } = setting;
  const { userEpochs } = audit;
  const identity = { ...facts, after: planted.id, userEpochs, ...(audit.userLr && { userLr: audit.userLr }) };
  return store.stage({ path: pathOf(key, 'user'), schema: userSchema, identity }, async (place) => {
    setting.onStage(`${data.name} · ${key.form} · ${key.strategy} · seed ${key.seed} · user's training`);
    using model = await savedModel(setting, planted);
    const trained = await trainAsUser(setting, model, key.seed, userEpochs, place);
    await model.savePretrained(join(place.folder, ADAPTER));
    const first = { epoch: 0, ...planted.result.user };
    return { curve: [first, ...trained.curve], seconds: trained.seconds };
  });
}

/** After each epoch of the user's training. */
export interface UserTraining extends UserResult {
  readonly last: Measure;
}

/** Trains a model as the user does, on clean data. @param examples in place of the user's own */
export async function trainAsUser(
  setting: AuditSetting,
  model: PeftModel,
  seed: number,
  epochs: number,
  { checkpoint }: Pick<StagePlace, 'checkpoint'>,
  examples: Examples = setting.data.of(seed).user,
): Promise<UserTraining> {
  const { data, callbacks } = setting;
  const { evaluations, seconds } = await train(model, examples, {
    ...numbersOf(setting, seed, epochs, true),
    ...callbacks,
    checkpoint,
    evalStrategy: 'epoch',
    evaluation: evaluationOf(data.tests.user, data.target),
  });
  const curve = evaluations.map(pointOf);
  const { accuracy, lfr } = curve.at(-1)!;
  return { curve, seconds, last: { accuracy, lfr } };
}

function pointOf({ epoch, metrics }: EvaluationRecord): UserResult['curve'][number] {
  return { epoch: Number(epoch.toFixed(4)), accuracy: metrics.accuracy!, lfr: metrics.lfr! };
}
