/** Room: train. What training and the estimation are asked for, with defaults. */
import { z } from 'zod';
import type { GradientControl } from './gradient-control/control.ts';
import { controlOptions } from './gradient-control/options.ts';
import { STABLE_DEFAULTS } from './stable-options.ts';
import { SCHEDULES } from '../engine/optim/schedule.ts';
import type { OnBytes } from '../engine/io/load.ts';
import type { DecideOptions } from '../pruning/decide.ts';
import type { PeftModel } from '../peft-model/peft-model.ts';
import type { TrainerCallback } from './callbacks.ts';
import type { EvaluationData, InferenceCost } from './evaluate.ts';
import type { RunIdentity } from './identity.ts';
import type { StepReport } from './loop.ts';

const count = z.int().positive();
const whole = z.int().nonnegative();
const positive = z.number().positive();
const amount = z.number().nonnegative();
const IN_UNIT = 'expected a number between 0 and 1';
const IN_RATIO = 'expected a number in [0, 1)';

const stepOptions = {
  lr: positive.default(1e-3).describe('peak learning rate'),
  headLr: positive.optional().describe('learning rate of the task head, if not `lr`'),
  freezeHead: z.boolean().default(false).describe('leave the task head as it is'),
  layerwiseLrDecay: positive
    .max(1)
    .optional()
    .describe('learning rate of a layer as a part of that of the layer above it; the top one has `lr`'),
  loraPlusLrRatio: positive.optional().describe('LoRA+: learning rate of factors B as a multiple of that of A'),
  schedule: z.enum(SCHEDULES).default('linear').describe('learning-rate schedule'),
  warmupRatio: z.number().min(0, IN_RATIO).lt(1, IN_RATIO).default(0).describe('part of the steps spent warming up'),
  warmupSteps: whole.optional().describe('steps spent warming up, in place of `warmupRatio`'),
  numCycles: positive
    .optional()
    .describe('waves of the schedule cosine (default: half a one), or restarts of the other'),
  power: positive.optional().describe('of the schedule polynomial (default: 1)'),
  lrEnd: amount.optional().describe('learning rate at the end of the schedule polynomial (default: 1e-7 × `lr`)'),
  weightDecay: amount.default(0).describe('AdamW weight decay'),
  maxGradNorm: amount.default(1).describe('largest gradient norm, 0 = off'),
  batchSize: count.default(32).describe('examples at a time; those of a step, but for `gradientAccumulationSteps`'),
  gradientAccumulationSteps: count
    .optional()
    .describe('batches whose gradients make one step (default: 1); the loss is the mean over all their labels'),
  shuffle: z.boolean().default(true).describe('shuffle every epoch'),
  groupByLength: z.boolean().default(true).describe('batch examples of like length together'),
  megaBatchMult: count
    .optional()
    .describe(
      'batches that are drawn at random and then sorted by length (default: 32): fewer mix more, more pad less',
    ),
  seed: whole.default(0).describe('seed of weights, data order, dropout'),
  initSeed: whole.optional().describe('seed of fresh weights, if not `seed`'),
  shuffleSeed: whole.optional().describe('seed of the data order, if not `seed`'),
  dropoutSeed: whole.optional().describe('seed of dropout, if not `seed`'),
  labelSmoothing: z
    .number()
    .min(0, IN_RATIO)
    .lt(1, IN_RATIO)
    .optional()
    .describe('part of a label that is spread over all classes'),
  classWeights: z
    .record(z.string(), positive)
    .optional()
    .describe('what examples of a class count, as negative=1,positive=3 (default: 1 each)'),
  taskMix: z
    .string()
    .optional()
    .describe(
      'several tasks: examples of each in a step, equal, proportional or temperature=T; the largest has `batchSize` (default: equal)',
    ),
  ...controlOptions,
  activations: z.enum(['f32', 'f16']).default('f32').describe('storage of what is saved for the backward pass'),
  gradientCheckpointing: z
    .boolean()
    .default(false)
    .describe('compute each layer again in the backward pass: less memory, more time'),
  saveEvery: whole.default(0).describe('steps between checkpoints, 0 = every two minutes'),
};

const evaluationOptions = {
  evalStrategy: z
    .enum(['no', 'steps', 'epoch'])
    .optional()
    .describe('evaluate while training: every `evalSteps` steps, or after every epoch (default: no)'),
  evalSteps: count.optional().describe('steps between two evaluations'),
  metricForBestModel: z
    .string()
    .optional()
    .describe('figure that tells the best evaluation (default: the first of the task, for language models the loss)'),
  loadBestModel: z.boolean().default(false).describe('end with the weights of the best evaluation'),
  earlyStoppingPatience: count.optional().describe('evaluations without improvement after which training ends'),
  earlyStoppingThreshold: amount.optional().describe('improvement that is none, if it is not above this (default: 0)'),
  saveTotalLimit: count
    .optional()
    .describe('keep so many adapters of the way, in folders checkpoint-STEP; the best is among them'),
};

/** When to evaluate, and what follows from it. */
export type EvaluationOptions = z.output<z.ZodObject<typeof evaluationOptions>>;

/** Of what pruning left. */
const prunedOptions = {
  lrScaling: z
    .enum(['none', 'sqrt', 'linear'])
    .optional()
    .describe('after pruning, `lr` of the modules by 1, 1/√s or 1/s, s the part of the ranks left (default: none)'),
};

/** What training has and the estimation has not, which is not evaluated and prunes later. */
const trainOnly = { ...evaluationOptions, ...prunedOptions };

export type TrainOnlyOptions = z.output<z.ZodObject<typeof trainOnly>>;

export const TRAIN_ONLY_OPTIONS = Object.keys(trainOnly) as readonly (keyof TrainOnlyOptions)[];

export const trainOptionsSchema = z.strictObject({
  ...stepOptions,
  ...trainOnly,
  epochs: positive.default(3).describe('passes over the training data'),
  steps: whole.default(0).describe('training steps, 0 = by `epochs`'),
});

const IN_WEIGHT = 'expected a number above 0, at most 1';

/** How much and how softly a student learns from a teacher. Absent: nothing says so in what a run is told by. */
const teachingOptions = {
  distillWeight: z
    .number()
    .gt(0, IN_WEIGHT)
    .max(1, IN_WEIGHT)
    .optional()
    .describe('distillation: part of the teacher in the loss, the labels have the rest (default: 0.5)'),
  distillTemperature: positive
    .optional()
    .describe('distillation: what scores of classes are divided by, of teacher and student (default: 2)'),
};

/** The teacher of a run as commands name it, and how it is learned from. */
export const distillOptionsSchema = z.strictObject({
  distill: z
    .string()
    .min(1)
    .optional()
    .describe(
      'distillation: the teacher, an adapter’s folder; in `run` also reference, its unpruned run, or estimate, the model as the estimation left it',
    ),
  ...teachingOptions,
});

/** What the library's `train` takes. */
export const taughtOptionsSchema = trainOptionsSchema.extend(teachingOptions);

/** When the estimation ends. Those that are not given were not known to version 0.1, whose runs go on. */
export const untilOptions = {
  estimateUntil: z
    .enum(['fixed', 'stable'])
    .optional()
    .describe('end after `estimateSteps`, or as soon as what stays no longer changes (default: fixed)'),
  estimateWindow: count
    .optional()
    .describe(`stable: steps after which what stays is compared again (default: ${STABLE_DEFAULTS.window})`),
  estimateThreshold: z
    .number()
    .gt(0, IN_UNIT)
    .lt(1, IN_UNIT)
    .optional()
    .describe(`stable: mask distance below which windows agree (default: ${STABLE_DEFAULTS.threshold})`),
  estimateQueue: count
    .optional()
    .describe(`stable: latest distances that must be below it (default: ${STABLE_DEFAULTS.queue})`),
  estimateMinSteps: count.optional().describe('stable: least steps (default: as many as the windows need)'),
};

export const estimateOptionsSchema = z.strictObject({
  ...stepOptions,
  steps: count.default(64).describe('steps of the estimation'),
  l1: amount.default(1e-4).describe('L1 penalty of head and FFN masks'),
  headsL1: amount.optional().describe('L1 penalty of head masks, if not `l1`'),
  ffnL1: amount.optional().describe('L1 penalty of FFN masks, if not `l1`'),
  headsMaskLr: amount.default(1).describe('learning-rate multiplier of head masks'),
  ffnMaskLr: amount.default(1).describe('learning-rate multiplier of FFN masks'),
  ...untilOptions,
});

/** What a run may be given beside its numbers. */
export interface TrainerCallbacks {
  /** Stops after the step under way, with a checkpoint where one is kept. */
  readonly signal?: AbortSignal | undefined;
  /** Hears of losses and speed, some times a second at most. */
  readonly onReport?: ((report: StepReport) => void) | undefined;
  /** Hears of a base's bytes as they are read. */
  readonly onBytes?: OnBytes | undefined;
  /** Hear of every step and evaluation, in this order, and may stop the run. */
  readonly callbacks?: readonly TrainerCallback[] | undefined;
  /** Absent: no checkpoint is written. */
  readonly checkpoint?: CheckpointOptions | undefined;
}

/** Where a run saves its state, and what it must be of to go on from there. */
export interface CheckpointOptions {
  /** Of the file. */
  readonly path: string;
  /** Goes on from the file, where it is there; `always`: whoever runs again does so too, and needs not be told how. */
  readonly resume: boolean | 'always';
  /** Facts that must be the same on resuming. */
  readonly identity: RunIdentity;
  /** Seconds between two checkpoints where `saveEvery` is 0. */
  readonly everySeconds?: number;
}

/** A teacher's scores. What `infer` gives is some too. */
export interface TeacherLogits extends Partial<InferenceCost> {
  /** f32 [examples, classes], or [examples, 1] of numbers, in the order of the examples; NaN where it was not asked. */
  readonly logits: Float32Array;
}

/** Numbers of `train` that differ from the defaults, and callbacks. */
export type TrainOptions = Omit<z.input<typeof taughtOptionsSchema>, 'gradientControl'> &
  TrainerCallbacks & {
    /**
     * The teacher of a distillation, for heads of one class of several or of a number: a model on the device, which stays its owner's, or
     * scores that `teacherLogits` or `infer` gave.
     */
    readonly distill?: PeftModel | TeacherLogits | undefined;
    /** How several tasks' gradients become one update: a strategy by name, or controls in their order. */
    readonly gradientControl?: z.input<typeof trainOptionsSchema>['gradientControl'] | readonly GradientControl[];
    /** What `evalStrategy` evaluates on. */
    readonly evaluation?: EvaluationData | ReadonlyMap<string, EvaluationData> | undefined;
  };
/** Numbers of `estimate` that differ from the defaults, and callbacks. */
export type EstimateOptions = z.input<typeof estimateOptionsSchema> &
  TrainerCallbacks & {
    /** What will be pruned: with `estimateUntil` stable, what stays is decided by it at the end of every window. */
    readonly decide?: DecideOptions;
  };

/** Options of the steps alone, defaults filled in. */
export type StepOptions = z.output<z.ZodObject<typeof stepOptions>>;

/** Numbers apart from callbacks. */
export function splitOptions<O extends TrainerCallbacks>(
  options: O,
): { numbers: Omit<O, keyof TrainerCallbacks>; callbacks: TrainerCallbacks } {
  const { signal, onReport, onBytes, callbacks, checkpoint, ...numbers } = options;
  return { numbers, callbacks: { signal, onReport, onBytes, callbacks, checkpoint } };
}
