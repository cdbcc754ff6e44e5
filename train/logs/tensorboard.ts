/** Room: train/logs. A run as TensorBoard shows it: a folder of event files, each written by one process. */
import { readdir, rm, stat } from 'node:fs/promises';
import { hostname } from 'node:os';
import { join } from 'node:path';
import { UserError } from '../../engine/errors.ts';
import { assertWritable, fileError } from '../../engine/io/files.ts';
import { makeFolder } from '../../engine/io/make-folder.ts';
import type { EvaluationRecord, StepRecord } from '../callbacks.ts';
import { AppendFile } from './append-file.ts';
import { eventRecord, type EventContent } from './event.ts';
import { assertMayReplace, type LogOptions, type TrainingLog } from './log.ts';

/** TensorBoard takes every file with `tfevents` in its name, and reads them in the order of their names. */
const EVENT_FILE = /^events\.out\.tfevents\.(\d+)\./;

/** What TensorBoard knows the format by. */
const FILE_VERSION = 'brain.Event:2';

/**
 * Writes a run's scalars for TensorBoard, under the tags of transformers' `Trainer`: `train/loss`, `train/learning_rate`, `train/grad_norm` and
 * `train/epoch`, and `eval/` with the name of each figure. `train/task_loss` is there where it is not the loss. With the label of a run they go
 * to `method/seed-N` in the folder. A run that was resumed has a file more, which takes back what others say of the steps after the checkpoint.
 */
export class TensorBoardLog implements TrainingLog {
  readonly #root: string;
  /** The root, or the run's own in it. */
  readonly #dir: string;
  readonly #options: LogOptions;
  #file: AppendFile | undefined;

  /** @param dir folder, made if it is missing */
  constructor(dir: string, options: LogOptions = {}) {
    const { run } = options;
    this.#root = dir;
    this.#dir = run ? join(dir, run.method, `seed-${run.seed}`) : dir;
    this.#options = options;
  }

  async check(): Promise<void> {
    await this.#take(this.#options);
  }

  async onTrainBegin(step: number): Promise<void> {
    const { resume, overwrite } = this.#options;
    const present = await this.#take({ resume: resume === true || step > 0, overwrite });
    // Of a run from its first step on, nothing before counts.
    if (step === 0) for (const name of present) await rm(join(this.#dir, name));
    await makeFolder(this.#dir);
    this.#file = new AppendFile(join(this.#dir, nextName(present)));
    this.#write({ fileVersion: FILE_VERSION });
    this.#write({ restartsAt: step + 1 });
  }

  onStep({ step, epoch, loss, taskLoss, lr, gradNorm, tasks }: StepRecord): void {
    const byTask = Object.entries(tasks?.loss ?? {}).map(([task, value]) => [`train/loss/${task}`, value] as const);
    const scalars = {
      'train/loss': loss,
      ...(taskLoss !== loss && { 'train/task_loss': taskLoss }),
      'train/learning_rate': lr,
      'train/grad_norm': gradNorm,
      'train/epoch': epoch,
      ...Object.fromEntries(byTask),
    };
    this.#write({ step, scalars });
  }

  onEvaluate({ step, metrics }: EvaluationRecord): void {
    const scalars = Object.fromEntries(Object.entries(metrics).map(([name, value]) => [`eval/${name}`, value]));
    this.#write({ step, scalars });
  }

  onSave(): void {
    this.#file?.sync();
  }

  onTrainEnd(): void {
    this.#file?.close();
  }

  #write(content: EventContent): void {
    this.#file?.append(eventRecord(Date.now() / 1000, content));
  }

  /** @returns names of the event files that are there */
  async #take(options: LogOptions): Promise<string[]> {
    const found = await stat(this.#root).catch(() => undefined);
    if (found && !found.isDirectory()) throw new UserError(`${this.#root}: is a file, expected a folder`);
    const names = await readdir(this.#dir).catch((error: unknown) => noneOr(this.#dir, error));
    const present = names.filter((name) => EVENT_FILE.test(name)).sort();
    const [first] = present;
    if (first !== undefined) assertMayReplace(this.#dir, `holds event files (${first})`, options);
    await assertWritable(join(this.#dir, nextName(present)));
    return present;
  }
}

/** @throws UserError unless the folder is only not there yet */
function noneOr(path: string, error: unknown): string[] {
  if ((error as NodeJS.ErrnoException).code === 'ENOENT') return [];
  throw fileError(path, error);
}

/** A name after all others. */
function nextName(present: readonly string[]): string {
  const last = Math.max(0, ...present.map((name) => Number(EVENT_FILE.exec(name)?.[1])));
  const seconds = Math.max(Math.floor(Date.now() / 1000), last + 1);
  return `events.out.tfevents.${String(seconds).padStart(10, '0')}.${hostname()}.${process.pid}`;
}
