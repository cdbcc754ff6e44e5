/** Room: train. A teacher for fine-tuning: which examples it is asked for, its scores of them, and what a run learns from. */
import { assertDistillable, isLabelled, type Distillation } from '../data/distillation.ts';
import type { Examples } from '../data/example-store.ts';
import { SomeExamples } from '../data/some-examples.ts';
import { option, UserError } from '../engine/errors.ts';
import { parseOptions } from '../engine/options.ts';
import { PeftModel } from '../peft-model/peft-model.ts';
import type { TaskHead } from '../peft-model/task-heads.ts';
import { infer, type InferenceCost } from './evaluate.ts';
import { trainingBatches } from './model-loss.ts';
import { stepsOf, type TrainingData } from './on-data.ts';
import {
  splitOptions,
  taughtOptionsSchema,
  type StepOptions,
  type TeacherLogits,
  type TrainOptions,
} from './options.ts';

/** Part of the teacher in the loss unless said otherwise, and what scores are divided by. */
export const DISTILLATION_DEFAULTS = { weight: 0.5, temperature: 2 } as const;

/**
 * A teacher's scores of those labelled examples that `train` sees with the same options: give them to it as `distill`, once the teacher
 * is disposed of. They are on the host; the model itself as `distill` would stay on the device all the time.
 * @param teacher for classification, of the classes that the student has, or for a number
 * @returns with the wall time of its passes in seconds, compilation included, and the most bytes on the device in them
 * @throws UserError for an option out of range, and for heads and data that cannot be distilled; the signal's reason, once it is aborted
 */
export async function teacherLogits(
  teacher: PeftModel,
  examples: Examples,
  options: TrainOptions = {},
): Promise<TeacherLogits & InferenceCost> {
  const { evaluation: _, gradientControl: __, distill: ___, ...given } = options;
  const { numbers, callbacks } = splitOptions(given);
  const parsed = parseOptions(taughtOptionsSchema, numbers);
  return logitsOf(teacher, examples, parsed, stepsOf([examples.length], parsed), callbacks.signal);
}

async function logitsOf(
  teacher: PeftModel,
  examples: Examples,
  options: StepOptions,
  steps: number,
  signal: AbortSignal | undefined,
): Promise<TeacherLogits & InferenceCost> {
  assertDistillable(teacher, examples, options);
  const seen = seenExamples(teacher, examples, options, steps);
  const width = teacher.labels.length;
  const logits = new Float32Array(examples.length * width).fill(NaN);
  if (seen.length === 0) return { logits, seconds: 0, examples: 0, peakBytes: 0 };
  const started = performance.now();
  const found = await infer(teacher, new SomeExamples(examples, seen), {}, { signal });
  const seconds = (performance.now() - started) / 1000;
  seen.forEach((index, i) => logits.set(found.logits.subarray(i * width, (i + 1) * width), index * width));
  return { logits, seconds, examples: seen.length, peakBytes: found.peakBytes };
}

/** Places of the labelled examples in the first batches, in ascending order. */
function seenExamples(model: PeftModel, examples: Examples, options: StepOptions, steps: number): Int32Array {
  const batches = trainingBatches(model, examples, options);
  const isSeen = new Uint8Array(examples.length).fill(Number(steps >= batches.perEpoch));
  for (let i = 0; i < steps && steps < batches.perEpoch; i++)
    for (const index of batches.at(0, i).indices) isSeen[index] = 1;
  return Int32Array.from(isSeen.keys()).filter((i) => isSeen[i] === 1 && isLabelled(examples.at(i)!));
}

/** What is learned from a teacher, and what it took. */
export interface Taught {
  readonly distillation: Distillation;
  /** Of its passes; absent where the scores came without. */
  readonly cost: InferenceCost | undefined;
}

/** What `train` is told of a teacher. */
export interface DistillRequest extends Pick<TrainOptions, 'distill' | 'distillWeight' | 'distillTemperature'> {
  readonly options: StepOptions;
  readonly steps: number;
  readonly signal?: AbortSignal | undefined;
}

/** Asks the teacher, if there is one. @throws UserError where its scores, the head or the data do not fit */
export async function taughtBy(
  student: PeftModel,
  data: TrainingData,
  { distill, distillWeight, distillTemperature, options, steps, signal }: DistillRequest,
): Promise<Taught | undefined> {
  const { weight, temperature } = DISTILLATION_DEFAULTS;
  assertTeacherGiven(distill, distillWeight, distillTemperature);
  if (!distill) return undefined;
  const examples = oneSet(data);
  assertDistillable(student, examples, options);
  const isModel = distill instanceof PeftModel;
  if (isModel) assertSameHead(distill, student);
  const found = isModel ? await logitsOf(distill, examples, options, steps, signal) : distill;
  assertScored(found.logits, student, examples, seenExamples(student, examples, options, steps));
  const terms = { weight: distillWeight ?? weight, temperature: distillTemperature ?? temperature };
  return { distillation: { ...terms, logits: found.logits }, cost: costOf(found) };
}

/** @throws UserError for options of a teacher without one */
export function assertTeacherGiven(
  distill: unknown,
  distillWeight: number | undefined,
  distillTemperature: number | undefined,
): void {
  if (distill !== undefined) return;
  const given = Object.entries({ distillWeight, distillTemperature }).find(([, value]) => value !== undefined);
  if (!given) return;
  const [name, value] = given;
  throw new UserError(`${option(name)}: found ${value} without a teacher, expected ${option('distill')} too`);
}

/** @throws UserError for several tasks */
export function oneSet(data: TrainingData): Examples {
  if (!(data instanceof Map)) return data as Examples;
  const [only] = (data as ReadonlyMap<string, Examples>).values();
  if (only && data.size === 1) return only;
  throw new UserError(`${option('distill')}: found ${data.size} tasks, expected one`);
}

/** @throws UserError where teacher and student have other heads or classes, or their order is another */
export function assertSameHead(teacher: TaskHead, { head, labels }: TaskHead): void {
  if (teacher.head !== head)
    throw new UserError(`${option('distill')}: found a teacher with a head for ${teacher.head}, expected ${head}`);
  const isSame = teacher.labels.length === labels.length && teacher.labels.every((name, i) => name === labels[i]);
  if (isSame) return;
  const [found, expected] = [teacher.labels, labels].map((names) => names.join(', ') || 'none');
  throw new UserError(`${option('distill')}: found a teacher of the classes ${found}, expected ${expected}`);
}

function assertScored(logits: Float32Array, { labels }: PeftModel, examples: Examples, seen: Int32Array): void {
  const size = examples.length * labels.length;
  if (logits.length !== size)
    throw new UserError(`${option('distill')}: found ${logits.length} scores, expected ${size}, those of all examples`);
  const isScored = (i: number): boolean =>
    logits.subarray(i * labels.length, (i + 1) * labels.length).every(Number.isFinite);
  const missing = seen.find((i) => !isScored(i));
  if (missing !== undefined)
    throw new UserError(`${option('distill')}: example ${missing + 1} is trained on and has no finite scores`);
}

function costOf({ seconds, examples, peakBytes }: TeacherLogits): InferenceCost | undefined {
  if (seconds === undefined || examples === undefined || peakBytes === undefined) return undefined;
  return { seconds, examples, peakBytes };
}
