/** Room: audit. Losses and gradients of clean and planted texts over the steps of planting, in windows of steps. */
import { z } from 'zod';
import { exists, readJson, writeJson } from '../engine/io/files.ts';
import type { Planted } from '../report/audit/schema.ts';
import type { StepRecord, TrainerCallback } from '../train/callbacks.ts';

/** Windows, at most. */
const WINDOWS = 40;

const row = z.array(z.number());
const recordSchema = z.strictObject({
  step: z.int(),
  loss: z.strictObject({ clean: z.number(), planted: z.number() }),
  clean: row,
  planted: row,
  cosine: z.array(z.number().nullable()),
  weight: row.optional(),
});

type TraceRecord = z.infer<typeof recordSchema>;

/** Keeps what every step tells; in a file beside the checkpoint, so that a run that goes on has all of it. */
export class TaskTrace implements TrainerCallback {
  readonly #path: string;
  #records: TraceRecord[] = [];

  constructor(path: string) {
    this.#path = path;
  }

  async onTrainBegin(step: number): Promise<void> {
    if (step === 0 || !(await exists(this.#path))) return;
    const before = await readJson(this.#path, z.array(recordSchema));
    this.#records = before.filter((record) => record.step <= step);
  }

  onStep({ step, tasks }: StepRecord): void {
    if (!tasks) return;
    const { loss, magnitude, cosine, weight } = tasks;
    this.#records.push({
      step,
      loss: { clean: loss.clean!, planted: loss.planted! },
      clean: [...magnitude.clean!],
      planted: [...magnitude.planted!],
      cosine: [...(cosine as readonly (number | null)[])],
      ...(weight && { weight: [...weight] }),
    });
  }

  async onSave(): Promise<void> {
    await writeJson(this.#path, this.#records);
  }

  /** Means of windows of steps. */
  summary(): Pick<Planted, 'loss' | 'gradients'> {
    const windows = inWindows(this.#records);
    const [first] = windows;
    if (!first) return {};
    const steps = windows.map((records) => mean(records.map(({ step }) => step)));
    const rows = (of: (record: TraceRecord) => readonly (number | null)[]): (number | null)[][] =>
      windows.map((records) => of(records[0]!).map((_, layer) => mean(records.map((record) => of(record)[layer]!))));
    const numbers = (of: (record: TraceRecord) => readonly number[]): number[][] => rows(of) as number[][];
    return {
      loss: {
        step: steps as number[],
        clean: windows.map((records) => mean(records.map(({ loss }) => loss.clean))) as number[],
        planted: windows.map((records) => mean(records.map(({ loss }) => loss.planted))) as number[],
      },
      gradients: {
        step: steps as number[],
        clean: numbers(({ clean }) => clean),
        planted: numbers(({ planted }) => planted),
        cosine: rows(({ cosine }) => cosine),
        ...(first[0]!.weight && { weight: numbers(({ weight }) => weight!) }),
      },
    };
  }
}

function inWindows<T>(records: readonly T[]): T[][] {
  const size = Math.max(1, Math.ceil(records.length / WINDOWS));
  return Array.from({ length: Math.ceil(records.length / size) }, (_, i) => records.slice(i * size, (i + 1) * size));
}

/** Of what is known; null where nothing is. */
function mean(values: readonly (number | null)[]): number | null {
  const known = values.filter((value) => value !== null);
  return known.length === 0 ? null : known.reduce((sum, value) => sum + value, 0) / known.length;
}
