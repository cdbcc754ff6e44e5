/** Room: experiments. The gradients of several tasks over a run: logged step by step beside it, and told in windows of steps. */
import { readFile } from 'node:fs/promises';
import { z } from 'zod';
import { fileError, parseJson, validate } from '../engine/io/files.ts';
import type { Run } from '../report/schema.ts';
import { JsonlLog } from '../train/logs/index.ts';

/** Windows that a run is told in, at most. */
const WINDOWS = 60;

const layers = z.array(z.number());
const cosines = z.array(z.number().nullable());
const lineSchema = z.looseObject({
  step: z.int(),
  magnitude: z.record(z.string(), layers),
  cosine: z.union([cosines, z.record(z.string(), cosines)]),
  weight: layers.optional(),
});

type Line = z.output<typeof lineSchema>;

export class GradientRecord {
  readonly log: JsonlLog;
  readonly #path: string;

  constructor(path: string) {
    this.#path = path;
    this.log = new JsonlLog(path, { overwrite: true });
  }

  /** @param names of the layers, the output layer last */
  async read(names: readonly string[]): Promise<NonNullable<Run['gradients']>> {
    const text = await readFile(this.#path, 'utf8').catch((error: unknown) => {
      throw fileError(this.#path, error);
    });
    const found = text
      .split('\n')
      .slice(0, -1)
      .map((line, i) => parseJson(line, `${this.#path}: line ${i + 1}`));
    const lines = found.flatMap((line, i) =>
      typeof line === 'object' && line !== null && 'magnitude' in line
        ? [validate(line, lineSchema, `${this.#path}: line ${i + 1}`)]
        : [],
    );
    return inWindows(lines, names);
  }
}

/** Means over windows of steps. */
function inWindows(lines: readonly Line[], names: readonly string[]): NonNullable<Run['gradients']> {
  const size = Math.max(1, Math.ceil(lines.length / WINDOWS));
  const windows = Array.from({ length: Math.ceil(lines.length / size) }, (_, i) =>
    lines.slice(i * size, (i + 1) * size),
  );
  const tasks = Object.keys(lines[0]?.magnitude ?? {});
  const pairs = Object.keys(cosinesOf(lines[0]));
  const means = (of: (line: Line) => readonly (number | null)[]): (number | null)[][] =>
    windows.map((window) => names.map((_, layer) => meanOf(window.map((line) => of(line)[layer] ?? null))));
  const hasWeights = lines.some(({ weight }) => weight !== undefined);
  return {
    layers: [...names],
    step: windows.map((window) => window[0]!.step),
    magnitude: Object.fromEntries(tasks.map((task) => [task, means((line) => line.magnitude[task] ?? [])])),
    cosine: Object.fromEntries(pairs.map((pair) => [pair, means((line) => cosinesOf(line)[pair] ?? [])])),
    ...(hasWeights && { weight: means((line) => line.weight ?? []) }),
  };
}

/** By pair of tasks. */
function cosinesOf(line: Line | undefined): Readonly<Record<string, readonly (number | null)[]>> {
  if (!line) return {};
  return Array.isArray(line.cosine) ? { [Object.keys(line.magnitude).join('/')]: line.cosine } : line.cosine;
}

/** Of those that are known; null where none is. */
function meanOf(values: readonly (number | null)[]): number | null {
  const known = values.filter((value) => value !== null);
  return known.length === 0 ? null : known.reduce((a, b) => a + b, 0) / known.length;
}
