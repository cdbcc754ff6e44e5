/** Room: train/logs. A run as JSON Lines: a line a step, and a line an evaluation. */
import { z } from 'zod';
import { parseJson, validate } from '../../engine/io/files.ts';
import type { EvaluationRecord, StepRecord } from '../callbacks.ts';
import { LineFile } from './line-file.ts';
import type { LogOptions, RunLabel, TrainingLog } from './log.ts';

/** What every line has. */
const lineSchema = z.looseObject({
  method: z.string().optional(),
  seed: z.int().optional(),
  step: z.int().nonnegative(),
  epoch: z.number(),
  loss: z.unknown().optional(),
});

/**
 * Writes a run as JSON Lines. A step: `{"step","epoch","loss","taskLoss","lr","gradNorm"}`. An evaluation: `{"step","epoch"}`, its figures with
 * `eval_` before their names, and `"isBest"`. With the label of a run, `"method"` and `"seed"` come first. A figure that is not finite is null.
 * A run that was interrupted and resumed leaves the same lines as one that was not.
 *
 * With several tasks a step is `{"step","epoch","loss":{TASK:…},"magnitude":{TASK:[…]},"cosine":[…],"conflicting","weight":[…],"clamped","lr","gradNorm"}`:
 * steps are counted from 0, lists are layer by layer with the output layer last, a cosine is null where a gradient is 0, and by pair of tasks
 * (`TASK/TASK`) where there are more than two; `weight` is there with CLNorm.
 */
export class JsonlLog implements TrainingLog {
  readonly #run: RunLabel | undefined;
  readonly #file: LineFile;

  /** @param path of the file; its folder is made if it is missing */
  constructor(path: string, options: LogOptions = {}) {
    this.#run = options.run;
    this.#file = new LineFile(path, options, (text, from) => linesLeft(path, text, from, options.run));
  }

  check(): Promise<void> {
    return this.#file.check();
  }

  async onTrainBegin(step: number): Promise<void> {
    await this.#file.begin(step);
  }

  onStep({ step, epoch, loss, taskLoss, lr, gradNorm, tasks }: StepRecord): void {
    if (!tasks) this.#write({ step, epoch, loss, taskLoss, lr, gradNorm });
    else this.#write({ step: step - 1, epoch, ...tasks, lr, gradNorm });
  }

  onEvaluate({ step, epoch, metrics, isBest }: EvaluationRecord): void {
    this.#write({ step, epoch, ...evaluationFields(metrics), isBest });
  }

  onSave(): void {
    this.#file.sync();
  }

  onTrainEnd(): void {
    this.#file.close();
  }

  #write(fields: Readonly<Record<string, unknown>>): void {
    this.#file.append(`${JSON.stringify({ ...this.#run, ...fields })}\n`);
  }
}

/** Figures under the names that they have beside those of steps. */
export function evaluationFields(metrics: EvaluationRecord['metrics']): Record<string, number> {
  return Object.fromEntries(Object.entries(metrics).map(([name, value]) => [`eval_${name}`, value]));
}

function linesLeft(path: string, text: string, from: number, run: RunLabel | undefined): string {
  const lines = text.split('\n').slice(0, -1);
  const isLeft = (line: string, i: number): boolean => {
    const where = `${path}: line ${i + 1}`;
    const { method, seed, step, loss } = validate(parseJson(line, where), lineSchema, where);
    const made = typeof loss === 'object' && loss !== null ? step + 1 : step;
    return method !== run?.method || seed !== run?.seed || made <= from;
  };
  return lines
    .filter(isLeft)
    .map((line) => `${line}\n`)
    .join('');
}
