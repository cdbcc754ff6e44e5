/** Room: experiments. How long methods × seeds will take, said after the first steps. */
import { join } from 'node:path';
import { exists } from '../engine/io/files.ts';
import type { StepReport } from '../train/loop.ts';
import { stepsOf } from '../train/on-data.ts';
import type { RunOptions } from './options.ts';
import { methodId, needsEstimate, prunes, type MethodName } from './runner.ts';

/** Pieces of work: runs and estimations, and the optimizer steps in them. */
export interface Work {
  readonly pieces: number;
  readonly steps: number;
}

/** What is left of methods × seeds in a folder, at most: a stable estimation may take fewer steps. @param sizes examples of each task */
export async function workLeft(
  out: string,
  methods: readonly MethodName[],
  seeds: readonly number[],
  options: RunOptions,
  sizes: readonly number[],
): Promise<Work> {
  const { peft, train, estimate } = options;
  const steps = stepsOf(sizes, train);
  const pieces: number[] = [];
  for (const seed of seeds) {
    const isLeft = async (method: MethodName): Promise<boolean> =>
      !(await exists(join(out, methodId(method, peft.method), `seed-${seed}`, 'run.json')));
    const isEachLeft = await Promise.all(methods.map(isLeft));
    const left = methods.filter((_, i) => isEachLeft[i]);
    const isTaught = options.distill.distill === 'reference' && left.some(prunes);
    if (isTaught && !methods.includes('reference') && (await isLeft('reference'))) left.push('reference');
    if (left.some((method) => needsEstimate(method, options))) pieces.push(estimate.estimateSteps);
    for (const method of left) pieces.push(prunes(method) ? steps : steps + estimate.estimateSteps);
  }
  return { pieces: pieces.length, steps: pieces.reduce((sum, n) => sum + n, 0) };
}

/** Hears how the first piece of work goes. */
export class Forecast {
  readonly #work: Work;
  readonly #onForecast: (seconds: number) => void;
  #begun = 0;
  #first: { readonly step: number; readonly at: number } | undefined;
  #isSaid = false;

  /** @param onForecast hears once, how many seconds all of the work will take */
  constructor(work: Work, onForecast: (seconds: number) => void) {
    this.#work = work;
    this.#onForecast = onForecast;
  }

  /** A piece of work begins. */
  begin(now = performance.now()): void {
    this.#begun = now;
    this.#first = undefined;
  }

  /**
   * Steps have been taken. The second report of a piece tells the time of a step, the first what comes before steps run at that speed:
   * loading and compilation, which every piece has. A piece with one report alone is taken as all alike.
   */
  report({ from, step, total }: StepReport, now = performance.now()): void {
    if (this.#isSaid) return;
    const first = this.#first;
    this.#first ??= { step, at: now };
    if (!first && step < total) return;
    this.#isSaid = true;
    const perStep = first ? (now - first.at) / (step - first.step) : (now - this.#begun) / (step - from);
    const before = first ? Math.max(0, first.at - this.#begun - (first.step - from) * perStep) : 0;
    this.#onForecast((this.#work.pieces * before + this.#work.steps * perStep) / 1000);
  }
}
