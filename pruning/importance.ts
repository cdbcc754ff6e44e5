/**
 * Room: pruning. Importance of PEFT modules and of their ranks (docs/method.md §3), accumulated on the device over the counted
 * steps of the estimation, and what is summed up of heads and neurons beside them.
 */
import type { Update } from '../engine/compile/graph.ts';
import type { Engine } from '../engine/engine.ts';
import type { Tensor } from '../engine/graph/tensor.ts';
import {
  abs,
  add,
  constant,
  div,
  finiteOrZero,
  isNonFinite,
  maximum,
  mul,
  sqrt,
  square,
} from '../engine/ops/elementwise.ts';
import { reshape } from '../engine/ops/leaf.ts';
import { pack } from '../engine/ops/pack.ts';
import { sum, sumCols, sumLast } from '../engine/ops/reduce.ts';
import type { Variable } from '../engine/variable.ts';
import { isRankMatrix, type Factor, type PeftMethod, type PeftModule } from '../peft/module.ts';
import type { UnitMeans } from './unit-scores.ts';
import { UnitSums, type MaskedUnits, type UnitSamples } from './unit-sums.ts';

/** 1 in counted steps, else 0: f32 [1]. */
export const COUNTED_INPUT = { shape: [1], dtype: 'f32' } as const;

/** Elements to which each module's scores are aligned in the accumulators. */
const ALIGN = 64;

/** What the estimation found, per module name and of heads and neurons. */
export interface Importance {
  readonly modules: Record<string, number>;
  readonly ranks: Record<string, number[]>;
  /** Undefined where not all counted steps were summed up. */
  readonly units: UnitMeans | undefined;
  /** NaN or infinite samples of modules and ranks, counted as 0. */
  readonly nonFinite: number;
}

/** ‖Δ_t‖₂ / ‖h_t‖₂ of one module, shape [tokens]. */
export interface ModuleRatio {
  readonly module: PeftModule;
  readonly ratio: Tensor;
}

/** What the forward pass of a batch says of modules. */
export interface ModuleSamples {
  /** One per module. */
  readonly ratios: readonly ModuleRatio[];
  /** i32 [batch, seq], 1 for tokens of S_pad. */
  readonly mask: Tensor;
  /** The micro-batch's part of the step's tokens, f32 [1]; absent: all of them. */
  readonly share?: Tensor | undefined;
}

/** What a step's gradients say of ranks. */
export interface RankSamples {
  /** Factors by name. */
  readonly parameter: (name: string) => Tensor;
  /** By parameter name, before clipping. */
  readonly gradients: ReadonlyMap<string, Tensor>;
}

/** Samples of a step, or of one of its programs. */
export interface StepSamples {
  readonly modules?: ModuleSamples | undefined;
  readonly ranks?: RankSamples | undefined;
  readonly units: UnitSamples;
}

/** Values to add to totals, and how many were not finite. */
interface Samples {
  readonly samples: readonly { readonly total: Variable; readonly sample: Tensor }[];
  readonly bad: readonly Tensor[];
}

/** ‖Δ_t‖₂ / ‖h_t‖₂ per token. @param delta and @param base f32 [tokens, features] */
export function normRatio(delta: Tensor, base: Tensor): Tensor {
  return div(sqrt(sumLast(square(delta))), sqrt(sumLast(square(base))));
}

export class ImportanceAccumulators {
  readonly #engine: Engine;
  readonly #method: PeftMethod;
  readonly #offsets: readonly number[];
  readonly #scores: Variable;
  readonly #step: Variable;
  readonly #ratios: Variable;
  readonly #stepRatios: Variable;
  readonly #nonFinite: Variable;
  readonly #units: UnitSums;

  constructor(engine: Engine, method: PeftMethod, units: MaskedUnits) {
    this.#engine = engine;
    this.#method = method;
    const offsets: number[] = [];
    let end = 0;
    for (const module of method.modules) {
      offsets.push(end);
      end += Math.ceil(module.ranks / ALIGN) * ALIGN;
    }
    this.#offsets = offsets;
    end = Math.max(end, ALIGN);
    const state = (name: string, size: number): Variable => engine.variable(name, [size], { kind: 'state' });
    this.#scores = state('importance.ranks', end);
    this.#step = state('importance.ranks.step', end);
    this.#ratios = state('importance.modules', method.modules.length * ALIGN);
    this.#stepRatios = state('importance.modules.step', method.modules.length * ALIGN);
    this.#nonFinite = state('importance.non_finite', 1);
    this.#units = new UnitSums(engine, units);
  }

  /**
   * Adds one step's samples; those of modules and those of ranks may come in programs of their own.
   * @param counted f32 [1]
   */
  accumulate({ units, ...others }: StepSamples, counted: Tensor): Update[] {
    return [...this.#accumulate(others, counted), ...this.#units.accumulate(units, counted)];
  }

  #accumulate({ modules, ranks }: Omit<StepSamples, 'units'>, counted: Tensor): Update[] {
    const samples = [modules && this.#moduleSamples(modules), ranks && this.#rankSamples(ranks)];
    const bad = samples.flatMap((found) => found?.bad ?? []);
    if (bad.length === 0) return [];
    const nonFinite = { total: this.#nonFinite, sample: bad.reduce((a, b) => add(a, b)) };
    const all = [...samples.flatMap((found) => found?.samples ?? []), nonFinite];
    return all.map(({ total, sample }) => ({ target: total, value: add(total.tensor, mul(sample, counted)) }));
  }

  #moduleSamples({ ratios, mask, share }: ModuleSamples): Samples {
    const weights = reshape(mask, [mask.size]);
    const tokens = maximum(sum(weights), constant(1));
    const ratioOf = new Map(ratios.map(({ module, ratio }) => [module.name, ratio]));
    const means = this.#method.modules.map(({ name }) => {
      const ratio = ratioOf.get(name);
      if (!ratio) throw new Error(`importance: the forward pass did not reach module ${name}`);
      const mean = div(sum(mul(finiteOrZero(ratio), weights)), tokens);
      return { mean: share ? mul(mean, share) : mean, bad: sum(mul(isNonFinite(ratio), weights)) };
    });
    const sample = pack(
      means.map((m) => m.mean),
      means.map((_, i) => i * ALIGN),
      this.#stepRatios,
      this.#stepRatios.size,
    );
    return { bad: means.map((m) => m.bad), samples: [{ total: this.#ratios, sample }] };
  }

  #rankSamples({ parameter, gradients }: RankSamples): Samples {
    const ranked = this.#method.modules.map((module, i) => ({ module, offset: this.#offsets[i]! }));
    const scored = ranked.filter(({ module }) => module.ranks > 0);
    const scores = scored.map(({ module }) => this.#rankScores(module, parameter, gradients));
    if (scored.length === 0) return { bad: [], samples: [] };
    const offsets = scored.map(({ offset }) => offset);
    const sample = pack(scores.map(finiteOrZero), offsets, this.#step, this.#step.size);
    return { bad: scores.map((s) => sum(isNonFinite(s))), samples: [{ total: this.#scores, sample }] };
  }

  /** |mean_j A[i,j]·∂L/∂A[i,j]| + |mean_j B[j,i]·∂L/∂B[j,i]| per rank i, shape [ranks]. */
  #rankScores(module: PeftModule, parameter: (name: string) => Tensor, gradients: ReadonlyMap<string, Tensor>): Tensor {
    const taylor = ({ name, axes }: Factor): Tensor => {
      const change = mul(parameter(name), gradients.get(name)!);
      const across = change.size / module.ranks;
      return abs(div(axes[0] === 'rank' ? sumLast(change) : sumCols(change, across, module.ranks), across));
    };
    return this.#method
      .factors(module)
      .filter(isRankMatrix)
      .map(taylor)
      .reduce((a, b) => add(a, b));
  }

  /** Sums over the steps so far: of the ranks of all modules, of modules, of samples that were not finite, of heads and neurons. */
  async sums(): Promise<Float32Array> {
    const variables = [this.#scores, this.#ratios, this.#nonFinite];
    const [scores, ratios, nonFinite] = await Promise.all(variables.map((variable) => this.#engine.read(variable)));
    const { modules } = this.#method;
    return joined([
      ...modules.map(({ ranks }, i) => scores!.subarray(this.#offsets[i], this.#offsets[i]! + ranks)),
      Float32Array.from(modules, (_, i) => ratios![i * ALIGN]!),
      nonFinite!,
      ...(await this.#units.sums()),
    ]);
  }

  /** Values of `sums`. */
  get size(): number {
    const ranks = this.#method.modules.reduce((sum, module) => sum + module.ranks, 0);
    return ranks + this.#method.modules.length + 1 + this.#units.size;
  }

  /** Begins anew with the next step. */
  clear(): void {
    for (const sums of [...this.state, ...this.newState]) this.#engine.write(sums, new Float32Array(sums.size));
  }

  /** Means over the counted steps. @param sums `sums` of stretches, which are together the counted steps */
  importance(sums: readonly Float32Array[], countedSteps: number): Importance {
    let at = 0;
    const next = (): number => {
      const total = sums.reduce((sum, stretch) => sum + stretch[at]!, 0);
      at++;
      return total;
    };
    const { modules } = this.#method;
    const mean = (): number => next() / countedSteps;
    const ranks = modules.map(({ name, ranks: n }) => [name, Array.from({ length: n }, mean)] as const);
    const ratios = modules.map(({ name }) => [name, mean()] as const);
    const nonFinite = next();
    const units = this.#units.means(next, countedSteps);
    return { ranks: Object.fromEntries(ranks), modules: Object.fromEntries(ratios), nonFinite, units };
  }

  /** What a checkpoint of the estimation must hold. */
  get state(): readonly Variable[] {
    return [this.#scores, this.#ratios, this.#nonFinite];
  }

  /** What it holds beside that; version 0.1 had none of it. */
  get newState(): readonly Variable[] {
    return this.#units.state;
  }

  free(): void {
    for (const v of [this.#scores, this.#step, this.#ratios, this.#stepRatios, this.#nonFinite]) this.#engine.free(v);
    this.#units.free();
  }
}

function joined(arrays: readonly Float32Array[]): Float32Array {
  const out = new Float32Array(arrays.reduce((sum, { length }) => sum + length, 0));
  let at = 0;
  for (const array of arrays) {
    out.set(array, at);
    at += array.length;
  }
  return out;
}
