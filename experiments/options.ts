/** Room: experiments. Every option of a run: each room declares its own, here they are put together and told apart by the stages. */
import { z } from 'zod';
import { dataOptionsSchema, MAX_LENGTH } from '../data/options.ts';
import { loadOptionsSchema } from '../models/options.ts';
import { sliceOptionsSchema } from '../peft-model/slice-state.ts';
import { peftOptionsSchema } from '../peft/options.ts';
import { decideOptionsSchema } from '../pruning/decide.ts';
import { assertTeacherGiven, DISTILLATION_DEFAULTS } from '../train/distillation.ts';
import {
  distillOptionsSchema,
  TRAIN_ONLY_OPTIONS,
  estimateOptionsSchema,
  trainOptionsSchema,
  untilOptions,
  type EstimateOptions,
  type TrainOnlyOptions,
} from '../train/options.ts';
import { assertCompatible } from '../train/exclusive-options.ts';
import { stableOptions } from '../train/stable-options.ts';
import { factsOf, type RunIdentity } from '../train/identity.ts';
import { PRESETS, type PresetName } from './presets.ts';

/** Options of the estimation alone; the others of its steps are those of training. */
const estimateSchema = estimateOptionsSchema
  .pick({ l1: true, headsL1: true, ffnL1: true, headsMaskLr: true, ffnMaskLr: true })
  .extend({ estimateSteps: estimateOptionsSchema.shape.steps, ...untilOptions });

/** By the rooms that they are of, in the order in which `--help` shows them. */
export const runOptionsSchema = z.strictObject({
  preset: z.strictObject({
    preset: z
      .enum(Object.keys(PRESETS) as [PresetName, ...PresetName[]])
      .optional()
      .describe('options to start from; those given win'),
  }),
  peft: peftOptionsSchema,
  data: dataOptionsSchema,
  train: trainOptionsSchema,
  distill: distillOptionsSchema,
  load: loadOptionsSchema,
  engine: z.strictObject({
    compute: z
      .enum(['f32', 'f16'])
      .default('f32')
      .describe('products in f32, or with operands rounded to f16 for matrix units'),
  }),
  estimate: estimateSchema,
  decide: decideOptionsSchema,
  slice: sliceOptionsSchema.omit({ seed: true, newHead: true }),
});

export type RunOptions = z.output<typeof runOptionsSchema>;

/** What stage one is given. */
export function estimateOptionsOf({
  train,
  estimate,
  decide,
}: RunOptions): z.output<typeof estimateOptionsSchema> & Pick<EstimateOptions, 'decide'> {
  const { epochs: _, steps: __, ...steps } = train;
  const { estimateSteps, ...masks } = estimate;
  const own = withoutTrainOnly(steps);
  return { ...own, ...masks, steps: estimateSteps, ...(estimate.estimateUntil === 'stable' && { decide }) };
}

/** @throws UserError for options that do not fit each other */
export function assertOptionsFit({ train, distill, estimate }: RunOptions): void {
  assertCompatible(train);
  assertTeacherGiven(distill.distill, distill.distillWeight, distill.distillTemperature);
  stableOptions(estimate, estimate.estimateSteps, 'estimateSteps');
}

/** What the estimation does not have. */
function withoutTrainOnly<O extends Partial<TrainOnlyOptions>>(options: O): Omit<O, keyof TrainOnlyOptions> {
  const others = Object.entries(options).filter(([name]) => !TRAIN_ONLY_OPTIONS.some((own) => own === name));
  return Object.fromEntries(others) as Omit<O, keyof TrainOnlyOptions>;
}

/** Teachers that `run` has of its own; another one is named by its folder. */
export const OWN_TEACHERS = ['reference', 'estimate'] as const;

/** Options of a teacher as they tell runs apart: a folder's path does not, the hash of its content does. */
interface TeacherFacts {
  readonly distill: (typeof OWN_TEACHERS)[number] | 'adapter';
  readonly distillWeight: number;
  readonly distillTemperature: number;
}

/** The teacher and how it is learned from, defaults filled in; undefined without one. */
export function distillationOf({ distill: given }: Pick<RunOptions, 'distill'>): TeacherFacts | undefined {
  if (given.distill === undefined) return undefined;
  const { weight, temperature } = DISTILLATION_DEFAULTS;
  const { distillWeight = weight, distillTemperature = temperature } = given;
  return { distill: OWN_TEACHERS.find((own) => own === given.distill) ?? 'adapter', distillWeight, distillTemperature };
}

/** The options of what learns from labels alone. */
export function withoutTeacher(options: RunOptions): RunOptions {
  return { ...options, distill: {} };
}

/** All options in one record, by their names. */
export function flatOptions({ peft, data, train, distill, load, engine, estimate, decide, slice }: RunOptions) {
  // A run is the same whether these are said as they are anyway, or not.
  const { as, maxLength = as === 'text' ? undefined : MAX_LENGTH } = data;
  const numFewshot = data.numFewshot === 0 ? undefined : data.numFewshot;
  const taught = distillationOf({ distill });
  const steps = { ...train, ...taught };
  return { ...peft, ...data, maxLength, numFewshot, ...steps, ...load, ...engine, ...estimate, ...decide, ...slice };
}

/** What runs of version 0.1 had where there are options now. */
const BEFORE: Readonly<Record<string, unknown>> = {
  lossOn: 'assistant',
  estimateUntil: 'fixed',
  freezeHead: false,
  gradientAccumulationSteps: 1,
  importance: 'mask',
  labelSmoothing: 0,
  evalStrategy: 'no',
  loadBestModel: false,
};

/**
 * Options that tell runs apart. Those that version 0.1 had not are left out where they say what it did, so that its runs go on. Which split
 * was evaluated, a hash of the data tells.
 */
export function tellingOptions(options: RunOptions): Omit<ReturnType<typeof flatOptions>, 'evalSplit'> {
  const { evalSplit: _, ...flat } = flatOptions(options);
  return Object.fromEntries(Object.entries(flat).filter(([name, value]) => value !== BEFORE[name])) as typeof flat;
}

/** Options of what is evaluated on, and how: they change no number of training, but where the training is evaluated. */
const OF_EVALUATION = [
  'maxAnswerLength',
  'allowEmptyAnswer',
  'nullThreshold',
  'maxEvalExamples',
  'numFewshot',
] as const;

/**
 * The options that a checkpoint of a stage is only valid for: those that change a number. Where the word embedding lives changes none,
 * nor does gradient checkpointing in fine-tuning (in the estimation that moves the last digits of importances), nor how answers are
 * chosen, nor what is evaluated on where that is done at the end alone.
 */
export function numericOptions(options: RunOptions, stage: 'estimate' | 'train'): RunIdentity {
  const own = stage === 'estimate' ? withoutTeacher(options) : options;
  const { saveEvery: _, saveTotalLimit: __, embeddings: ___, ...numeric } = tellingOptions(own);
  const { gradientCheckpointing, ...rest } = numeric;
  if (stage === 'train' && isEvaluated(options)) return factsOf(rest);
  const ofEvaluation: readonly string[] = OF_EVALUATION;
  const others = Object.entries(stage === 'estimate' ? { ...withoutTrainOnly(rest), gradientCheckpointing } : rest);
  return factsOf(Object.fromEntries(others.filter(([name]) => !ofEvaluation.includes(name))));
}

/** Whether training is evaluated on the way. */
export function isEvaluated({ train: { evalStrategy = 'no' } }: Pick<RunOptions, 'train'>): boolean {
  return evalStrategy !== 'no';
}

/** Options of pruning: an estimation does not depend on them, unless its end is chosen by what they keep. */
const OF_PRUNING: readonly string[] = [
  ...Object.keys(decideOptionsSchema.shape),
  ...Object.keys(runOptionsSchema.shape.slice.shape),
];

/** Of the options that a checkpoint of an estimation is valid for, those that it depends on: one estimation serves many ways to prune. */
export function estimationOptions(options: RunOptions): RunIdentity {
  const isStable = options.estimate.estimateUntil === 'stable';
  const others = Object.entries(numericOptions(options, 'estimate')).filter(
    ([name]) => name !== 'steps' && name !== 'epochs' && (isStable || !OF_PRUNING.includes(name)),
  );
  return Object.fromEntries(others);
}
