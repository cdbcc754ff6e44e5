/** Room: experiments. The gradients of several tasks over a run: logged step by step beside it, and told in windows of steps. */
import { readFile } from 'node:fs/promises';
import { z } from 'zod';
import { exists, fileError, parseJson, validate } from '../engine/io/files.ts';
import { JsonlLog } from '../train/logs/index.ts';

/** Windows that a run is told in, at most. */
const WINDOWS = 60;

const layers = z.array(z.number());
const cosines = z.array(z.number().nullable());
const lineSchema = z.looseObject({
  step: z.int(),
  loss: z.record(z.string(), z.number()),
  magnitude: z.record(z.string(), layers),
  cosine: z.union([cosines, z.record(z.string(), cosines)]),
  weight: layers.optional(),
});

type Line = z.output<typeof lineSchema>;

/** Means over windows of steps. Rows are [windows][layers], the output layer last. */
export interface GradientWindows {
  /** The first step of each, from 0. */
  readonly step: number[];
  /** By task, a value a window. */
  readonly loss: Record<string, number[]>;
  readonly magnitude: Record<string, number[][]>;
  /** By pair of tasks, `a/b`; null where a gradient was 0 in all steps. */
  readonly cosine: Record<string, (number | null)[][]>;
  /** Of CLNorm. */
  readonly weight?: number[][];
}

export class GradientRecord {
  readonly log: JsonlLog;
  readonly #path: string;

  /** @param path of the log, which is replaced unless a run goes on */
  constructor(path: string) {
    this.#path = path;
    this.log = new JsonlLog(path, { overwrite: true });
  }

  /** What the log has; undefined where the run had no tasks of its own. */
  async read(): Promise<GradientWindows | undefined> {
    if (!(await exists(this.#path))) return undefined;
    const text = await readFile(this.#path, 'utf8').catch((error: unknown) => {
      throw fileError(this.#path, error);
    });
    const lines = text
      .split('\n')
      .slice(0, -1)
      .flatMap((line, i) => {
        const where = `${this.#path}: line ${i + 1}`;
        const found = parseJson(line, where);
        const isOfTasks = typeof found === 'object' && found !== null && 'magnitude' in found;
        return isOfTasks ? [validate(found, lineSchema, where)] : [];
      });
    return lines.length === 0 ? undefined : inWindows(lines);
  }
}

function inWindows(lines: readonly Line[]): GradientWindows {
  const [first] = lines as [Line];
  const size = Math.ceil(lines.length / WINDOWS);
  const windows = Array.from({ length: Math.ceil(lines.length / size) }, (_, i) =>
    lines.slice(i * size, (i + 1) * size),
  );
  const means = (of: (line: Line) => readonly (number | null)[]): (number | null)[][] =>
    windows.map((window) => of(first).map((_, layer) => meanOf(window.map((line) => of(line)[layer]!))));
  // What is never null has a mean in every window.
  const known = (of: (line: Line) => readonly number[]): number[][] => means(of) as number[][];
  const tasks = Object.keys(first.magnitude);
  return {
    step: windows.map((window) => window[0]!.step),
    loss: Object.fromEntries(tasks.map((task) => [task, known((line) => [line.loss[task]!]).flat()])),
    magnitude: Object.fromEntries(tasks.map((task) => [task, known((line) => line.magnitude[task]!)])),
    cosine: Object.fromEntries(
      Object.keys(cosinesOf(first)).map((pair) => [pair, means((line) => cosinesOf(line)[pair]!)]),
    ),
    ...(first.weight && { weight: known((line) => line.weight!) }),
  };
}

/** By pair of tasks. */
function cosinesOf({ cosine, magnitude }: Line): Readonly<Record<string, readonly (number | null)[]>> {
  return Array.isArray(cosine) ? { [Object.keys(magnitude).join('/')]: cosine } : cosine;
}

/** Of those that are known; null where none is. */
function meanOf(values: readonly (number | null)[]): number | null {
  const known = values.filter((value) => value !== null);
  return known.length === 0 ? null : known.reduce((a, b) => a + b, 0) / known.length;
}
