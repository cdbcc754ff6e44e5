/** Room: train/logs. A run as two tables: its steps, and its evaluations. Written as RFC 4180 has it, but for lines that end with \n. */
import { format, parse as pathParts } from 'node:path';
import { parse } from 'csv-parse/sync';
import { preview } from '../../engine/io/files.ts';
import { UserError } from '../../engine/errors.ts';
import type { EvaluationRecord, StepRecord } from '../callbacks.ts';
import { evaluationFields } from './jsonl.ts';
import { LineFile } from './line-file.ts';
import type { LogOptions, RunLabel, TrainingLog } from './log.ts';

type Value = string | number | boolean;

/**
 * Writes a run as CSV, steps and evaluations in a table each, so that no cell is empty: `log.csv` has the columns step, epoch, loss, taskLoss,
 * lr and gradNorm; `log.eval.csv`, where there are evaluations, step, epoch, the figures with `eval_` before their names, and isBest. With the
 * label of a run, method and seed come first. A run that was interrupted and resumed leaves the same lines as one that was not.
 */
export class CsvLog implements TrainingLog {
  readonly #steps: Table;
  readonly #evaluations: Table;

  /** @param path of the table of steps; its folder is made if it is missing */
  constructor(path: string, options: LogOptions = {}) {
    this.#steps = new Table(path, options, ['step', 'epoch', 'loss', 'taskLoss', 'lr', 'gradNorm']);
    this.#evaluations = new Table(evaluationsPath(path), options, ['step', 'epoch']);
  }

  async check(): Promise<void> {
    await this.#check(0);
  }

  async onTrainBegin(step: number): Promise<void> {
    await this.#check(step);
    await this.#steps.begin(step);
    await this.#evaluations.begin(step);
  }

  onStep({ step, epoch, loss, taskLoss, lr, gradNorm, tasks }: StepRecord): void {
    const byTask = Object.entries(tasks?.loss ?? {}).map(([task, value]) => [`loss_${task}`, value] as const);
    this.#steps.write({ step, epoch, loss, taskLoss, lr, gradNorm, ...Object.fromEntries(byTask) });
  }

  onEvaluate({ step, epoch, metrics, isBest }: EvaluationRecord): void {
    this.#evaluations.write({ step, epoch, ...evaluationFields(metrics), isBest });
  }

  onSave(): void {
    this.#steps.file.sync();
    this.#evaluations.file.sync();
  }

  onTrainEnd(): void {
    this.#steps.file.close();
    this.#evaluations.file.close();
  }

  /** Of both before either is changed. */
  async #check(from: number): Promise<void> {
    await this.#steps.file.check(from);
    await this.#evaluations.file.check(from);
  }
}

/** `log.csv` → `log.eval.csv` */
function evaluationsPath(path: string): string {
  const { dir, name, ext } = pathParts(path);
  return format({ dir, name: `${name}.eval`, ext });
}

/** A file whose columns its first row gives, or the file that is gone on with. */
class Table {
  readonly file: LineFile;
  readonly #run: RunLabel | undefined;
  #columns: readonly string[] | undefined;

  /** @param first columns that it begins with, after those of a label */
  constructor(path: string, options: LogOptions, first: readonly string[]) {
    const { run } = options;
    const columns = [...Object.keys({ ...run }), ...first];
    this.#run = run;
    this.file = new LineFile(path, options, (text, from) => rowsLeft(path, text, from, columns, run));
  }

  async begin(step: number): Promise<void> {
    [this.#columns] = rowsOf(this.file.path, await this.file.begin(step));
  }

  write(values: Readonly<Record<string, Value>>): void {
    const row: Readonly<Record<string, Value>> = { ...this.#run, ...values };
    if (!this.#columns) {
      this.#columns = Object.keys(row);
      this.file.append(line(this.#columns));
    }
    this.file.append(line(this.#columns.map((column) => row[column] ?? '')));
  }
}

/** @param expected columns that it begins with */
function rowsLeft(
  path: string,
  text: string,
  from: number,
  expected: readonly string[],
  run: RunLabel | undefined,
): string {
  const [columns, ...rows] = rowsOf(path, text);
  if (!columns) return '';
  if (expected.some((name, i) => columns[i] !== name))
    throw new UserError(`${path}: line 1: found columns ${preview(columns.join(','))}, expected ${expected.join(',')}`);
  const left = rows.filter((row) => {
    const cell = (column: string): string | undefined => row[columns.indexOf(column)];
    const isOwn = !run || (cell('method') === run.method && cell('seed') === String(run.seed));
    return !(isOwn && Number(cell('step')) > from);
  });
  return [columns, ...left].map(line).join('');
}

function rowsOf(path: string, text: string): string[][] {
  try {
    return parse(text, { relax_column_count: true });
  } catch (error) {
    throw new UserError(`${path}: cannot be read as CSV: ${(error as Error).message.split('\n')[0]}`);
  }
}

function line(cells: readonly Value[]): string {
  return `${cells.map(quoted).join(',')}\n`;
}

function quoted(value: Value): string {
  const text = String(value);
  return /[",\r\n]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text;
}
