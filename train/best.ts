/** Room: train. The evaluations of a run: which is the best by a metric, and when there is no more to hope for. Pure. */
import type { EvaluationRecord } from './callbacks.ts';

/** By what evaluations are compared. */
export interface BestBy {
  /** One of the figures. */
  readonly metric: string;
  /** Evaluations without improvement after which the run ends; undefined: it never does. */
  readonly patience?: number | undefined;
  /** By how much more than this an evaluation must be better to count as improvement; 0 unless given. */
  readonly threshold?: number | undefined;
}

/** Figures of which less is better. */
const LOWER_IS_BETTER: ReadonlySet<string> = new Set(['loss', 'perplexity', 'mse']);

/** Figures that say nothing of how good a model is. */
const NO_QUALITY = /^(count|hasAnsTotal|noAnsTotal|best\w+Threshold)$/;

/** The figures among metrics by which models can be compared, in their order. */
export function comparable(metrics: object): readonly string[] {
  return Object.entries(metrics).flatMap(([name, value]) =>
    typeof value === 'number' && !NO_QUALITY.test(name) ? [name] : [],
  );
}

/** The first figure, but for language models, which are judged by the loss. @param names by `comparable` */
export function mainMetric(names: readonly string[]): string {
  const main = names.find((name) => name !== 'loss' && name !== 'perplexity');
  return main ?? 'loss';
}

/** All evaluations of a run, in order. */
export class Evaluations {
  readonly #by: BestBy;
  readonly #records: EvaluationRecord[] = [];
  #best: { readonly step: number; readonly value: number } | undefined;
  #waited = 0;

  constructor(by: BestBy) {
    this.#by = by;
  }

  get records(): readonly EvaluationRecord[] {
    return this.#records;
  }

  /** The best so far, the first of equal ones. */
  get best(): { readonly step: number; readonly value: number } | undefined {
    return this.#best;
  }

  /** Whether as many as the patience allows were no improvement. */
  get isOver(): boolean {
    return this.#waited >= (this.#by.patience ?? Infinity);
  }

  /** Adds one. As transformers' early stopping: a better one is the best, however small the difference, but only one above the threshold is awaited. */
  add({ step, epoch, metrics }: Omit<EvaluationRecord, 'isBest'>): EvaluationRecord {
    const { metric, threshold = 0 } = this.#by;
    const value = metrics[metric];
    if (value === undefined) throw new Error(`evaluations: there is no ${metric}`);
    const gain = this.#gain(value);
    const isBest = gain > 0;
    this.#waited = gain > threshold ? 0 : this.#waited + 1;
    if (isBest) this.#best = { step, value };
    const record = { step, epoch, metrics, isBest };
    this.#records.push(record);
    return record;
  }

  /** How much better a value is than the best. */
  #gain(value: number): number {
    if (!this.#best) return Number.isNaN(value) ? 0 : Infinity;
    const more = value - this.#best.value;
    return LOWER_IS_BETTER.has(this.#by.metric.replace(/^.*_/s, '')) ? -more : more;
  }
}
