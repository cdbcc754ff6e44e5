/**
 * Room: experiments. The teacher of a run's distillation: an adapter's folder, the run's own or another, by what it is told from others, and its
 * scores.
 */
import { assertDistillable } from '../data/distillation.ts';
import type { Engine } from '../engine/engine.ts';
import { option, UserError } from '../engine/errors.ts';
import { exists } from '../engine/io/files.ts';
import { fingerprintAdapter } from '../engine/io/fingerprint.ts';
import type { Checkpoint } from '../models/checkpoint.ts';
import { PeftModel } from '../peft-model/peft-model.ts';
import { readState } from '../peft-model/pretrained.ts';
import type { Run } from '../report/schema.ts';
import { assertSameHead, oneSet, teacherLogits } from '../train/distillation.ts';
import type { InferenceCost } from '../train/evaluate.ts';
import { contentKey, type RunIdentity } from '../train/identity.ts';
import type { TeacherLogits, TrainerCallbacks } from '../train/options.ts';
import { distillationOf, OWN_TEACHERS, type RunOptions } from './options.ts';
import type { RunData } from './task-data.ts';

/** A model that a run learns from. */
export interface Teacher {
  /** Of its adapter. */
  readonly folder: string;
  /** Seconds of its fine-tuning, where the run needed it. */
  readonly trainSeconds?: number;
}

/** The folder that is named in place of a teacher of the run's own. */
export function teacherFolder({ distill: { distill } }: Pick<RunOptions, 'distill'>): string | undefined {
  return OWN_TEACHERS.some((own) => own === distill) ? undefined : distill;
}

/** A hash of the adapter that is named, under the name of the option that names it. @throws UserError where there is no such folder */
export async function teacherContent(options: Pick<RunOptions, 'distill'>): Promise<RunIdentity> {
  const folder = teacherFolder(options);
  if (folder === undefined) return {};
  if (await exists(folder)) return { [contentKey('distill')]: await fingerprintAdapter(folder) };
  throw new UserError(
    `${option('distill')}: found "${folder}", expected the folder of an adapter; run has ${OWN_TEACHERS.join(' and ')} too`,
  );
}

/** @throws UserError where a teacher is asked for that the data has no use for, or a folder that has none of its classes on this base */
export async function assertTeachable(checkpoint: Checkpoint, data: RunData, options: RunOptions): Promise<void> {
  if (options.distill.distill === undefined) return;
  assertDistillable(data.head, oneSet(data.training), options.train);
  await teacherContent(options);
  const folder = teacherFolder(options);
  if (folder !== undefined) assertSameHead(await readState(folder, checkpoint), data.head);
}

/**
 * A teacher's scores of the examples that the run sees; the teacher is on the device as long as this takes.
 * @param options of the run, with its steps
 * @throws UserError where the adapter is of another base, or has other classes
 */
export async function scoresOfTeacher(
  engine: Engine,
  checkpoint: Checkpoint,
  folder: string,
  { data, options: { load, train } }: { readonly data: RunData; readonly options: RunOptions },
  { onBytes, signal }: TrainerCallbacks,
): Promise<TeacherLogits & InferenceCost> {
  const { head } = data.head;
  const { weights, embeddings } = load;
  using teacher = await PeftModel.fromPretrained(engine, checkpoint, folder, { weights, embeddings, head, onBytes });
  assertSameHead(teacher, data.head);
  return await teacherLogits(teacher, oneSet(data.training), { ...train, signal });
}

/** What `run.json` says of the teacher. */
export function distillationRecord(options: RunOptions): Pick<Run, 'distillation'> {
  const found = distillationOf(options);
  if (!found) return {};
  const { distill: teacher, distillWeight: weight, distillTemperature: temperature } = found;
  return { distillation: { teacher, weight, temperature } };
}
