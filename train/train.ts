/** Room: train. Stage three, or plain PEFT: a model's modules and head learn from examples. */
import { dirname } from 'node:path';
import { option, UserError } from '../engine/errors.ts';
import { parseOptions } from '../engine/options.ts';
import type { PeftModel } from '../peft-model/peft-model.ts';
import { taughtBy } from './distillation.ts';
import { assertCompatible } from './exclusive-options.ts';
import type { InferenceCost } from './evaluate.ts';
import { evaluationPlan } from './evaluation-plan.ts';
import { KeptAdapters } from './kept-adapters.ts';
import { learningRates } from './learning-rates.ts';
import { optimizationOf } from './model-loss.ts';
import { runOnData, sizesOf, stepsOf, type TrainingData } from './on-data.ts';
import {
  splitOptions,
  taughtOptionsSchema,
  type EvaluationOptions,
  type TrainerCallbacks,
  type TrainOptions,
} from './options.ts';
import type { TrainResult } from './trainer.ts';

/**
 * Trains a model in place. A teacher given as `distill` is asked once, before the first step, and again when a run is resumed.
 * @param data examples encoded for the model, none longer than it takes; or several tasks' by name: a step then takes a batch of each
 * @throws UserError for an option out of range, or a teacher that does not fit; NonFiniteLossError, InterruptedError, DeviceLostError
 */
export async function train(model: PeftModel, data: TrainingData, options: TrainOptions = {}): Promise<TrainResult> {
  const { evaluation: evaluated, gradientControl: controls, distill, ...given } = options;
  const { numbers, callbacks } = splitOptions(given);
  const named = typeof controls === 'string' ? { gradientControl: controls } : {};
  const { distillWeight, distillTemperature, ...parsed } = parseOptions(taughtOptionsSchema, { ...numbers, ...named });
  assertCompatible(parsed);
  using evaluation = evaluationPlan(model, evaluated, parsed);
  const kept = keptAdapters(model, parsed, callbacks);
  const steps = stepsOf(sizesOf(data), parsed);
  const how = { ...optimizationOf(model, parsed, steps), evaluation, kept };
  const control = typeof controls === 'string' ? undefined : controls;
  const request = { distill, distillWeight, distillTemperature, options: parsed, steps, signal: callbacks.signal };
  const taught = await taughtBy(model, data, request);
  const { distillation } = taught ?? {};
  const run = (): Promise<TrainResult> =>
    runOnData(model, data, { options: parsed, control, how, callbacks, distillation });
  const rates = learningRates(model, parsed);
  const result = await (rates ? model.withParameters([], run, rates) : run());
  return withTeacher(result, taught?.cost);
}

function withTeacher(result: TrainResult, teacher: InferenceCost | undefined): TrainResult {
  return teacher ? { ...result, teacher, peakBytes: Math.max(result.peakBytes, teacher.peakBytes) } : result;
}

/** @throws UserError where there is no place for them */
function keptAdapters(
  model: PeftModel,
  { saveTotalLimit }: EvaluationOptions,
  { checkpoint }: TrainerCallbacks,
): KeptAdapters | undefined {
  if (saveTotalLimit === undefined) return undefined;
  if (!checkpoint)
    throw new UserError(`${option('saveTotalLimit')}: needs ${option('checkpoint')}, whose folder it is for`);
  return new KeptAdapters(dirname(checkpoint.path), saveTotalLimit, (dir) => model.savePretrained(dir));
}
