/** Room: train. What there is to tell of each step on several tasks: losses, and gradients layer by layer before any control. */
import { UserError } from '../engine/errors.ts';
import type { Tensor } from '../engine/graph/tensor.ts';
import { constant, div, mul, where } from '../engine/ops/elementwise.ts';
import type { TaskGradients } from './gradient-control/task-gradients.ts';
import type { LossBuffer } from './loss-buffer.ts';

/** Of a step, by task. Lists are layer by layer, the output layer last. */
export interface TaskRecord {
  /** Each task's mean loss. */
  readonly loss: Readonly<Record<string, number>>;
  /** ‖g‖₂ of each task's gradient. */
  readonly magnitude: Readonly<Record<string, readonly number[]>>;
  /** Cosines of two tasks' gradients; null where one of them is 0. With more than two tasks by pair, as `a/b`. */
  readonly cosine: readonly (number | null)[] | Readonly<Record<string, readonly (number | null)[]>>;
  /** Part of the layers in which a pair of gradients points apart. */
  readonly conflicting: number;
  /** w_l of CLNorm. */
  readonly weight?: readonly number[] | undefined;
  /** Layers whose weight is 0, because it would be negative. */
  readonly clamped?: number | undefined;
}

/** No cosine is 2: it stands for that of a gradient which is 0. */
const NO_COSINE = 2;

/** What stands for weights that a strategy does not have. */
const NO_WEIGHT = -1;

/** Steps in which a task must have a gradient. */
const PROBED = 10;

export class TaskHistory {
  readonly #tasks: readonly string[];
  readonly #layers: number;
  readonly #pairs: readonly (readonly [a: number, b: number])[];
  /** Tasks whose gradients were all 0 so far. */
  readonly #silent: Set<string>;
  #isBegun = false;

  constructor(tasks: readonly string[], layers: number) {
    this.#tasks = tasks;
    this.#layers = layers;
    this.#pairs = tasks.flatMap((_, a) => tasks.slice(a + 1).map((_, i) => [a, a + 1 + i] as const));
    this.#silent = new Set(tasks);
  }

  /** Series by their width, as `LossBuffer` keeps them. */
  get series(): Readonly<Record<string, number>> {
    const layers = this.#layers;
    return Object.fromEntries([
      ...this.#tasks.flatMap((_, t) => [
        [`loss.${t}`, 1],
        [`magnitude.${t}`, layers],
      ]),
      ...this.#pairs.map(([a, b]) => [`cosine.${a}.${b}`, layers]),
      ['weight', layers],
    ]) as Record<string, number>;
  }

  /** Values of a step. */
  values(
    losses: readonly Tensor[],
    gradients: TaskGradients,
    weight: Tensor = constant(NO_WEIGHT, [this.#layers]),
  ): Readonly<Record<string, Tensor>> {
    const cosine = (a: number, b: number): Tensor => {
      const norms = mul(gradients.norm(a), gradients.norm(b));
      return where(norms, div(gradients.dot(gradients.of(a), gradients.of(b)), norms), NO_COSINE);
    };
    return Object.fromEntries([
      ...losses.map((loss, t) => [`loss.${t}`, loss] as const),
      ...losses.map((_, t) => [`magnitude.${t}`, gradients.norm(t)] as const),
      ...this.#pairs.map(([a, b]) => [`cosine.${a}.${b}`, cosine(a, b)] as const),
      ['weight', weight] as const,
    ]);
  }

  /** Of steps from … to − 1, the latest. */
  async read(buffer: LossBuffer, from: number, to: number): Promise<TaskRecord[]> {
    const rows = async (name: string): Promise<number[][]> => buffer.readRows(name, from, to);
    const losses = await Promise.all(this.#tasks.map((_, t) => rows(`loss.${t}`)));
    const magnitudes = await Promise.all(this.#tasks.map((_, t) => rows(`magnitude.${t}`)));
    const cosines = await Promise.all(this.#pairs.map(([a, b]) => rows(`cosine.${a}.${b}`)));
    const weights = await rows('weight');
    return weights.map((weight, i) => {
      const found = cosines.map((series) => series[i]!.map((value) => (value === NO_COSINE ? null : value)));
      const all = found.flat().filter((value) => value !== null);
      return {
        loss: this.#byTask((t) => losses[t]![i]![0]!),
        magnitude: this.#byTask((t) => magnitudes[t]![i]!),
        cosine: found.length === 1 ? found[0]! : this.#byPair(found),
        conflicting: all.filter((value) => value < 0).length / Math.max(1, all.length),
        ...(weight[0] !== NO_WEIGHT && { weight, clamped: weight.filter((value) => value === 0).length }),
      };
    });
  }

  /** @throws UserError for a task whose gradients were 0 in each of the first steps */
  async check(buffer: LossBuffer, from: number, to: number): Promise<void> {
    // Of a run that was resumed, the first steps were seen before.
    if (from > 0 && !this.#isBegun) this.#silent.clear();
    this.#isBegun = true;
    for (const task of this.#silent) {
      const magnitudes = await buffer.readRows(`magnitude.${this.#tasks.indexOf(task)}`, from, to);
      if (magnitudes.flat().some((value) => value > 0)) this.#silent.delete(task);
      else if (to >= PROBED)
        throw new UserError(
          `task ${task}: its gradients were 0 in each of the first ${PROBED} steps; nothing that trains depends on it, or its loss is 0`,
        );
    }
  }

  #byTask<T>(value: (task: number) => T): Record<string, T> {
    return Object.fromEntries(this.#tasks.map((name, t) => [name, value(t)]));
  }

  #byPair<T>(values: readonly T[]): Record<string, T> {
    return Object.fromEntries(this.#pairs.map(([a, b], i) => [`${this.#tasks[a]!}/${this.#tasks[b]!}`, values[i]!]));
  }
}
