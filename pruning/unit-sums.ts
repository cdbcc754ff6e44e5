/**
 * Room: pruning. What the estimation sums up of single heads and neurons for scores other than their masks (docs/method.md §4), on the
 * device: of the gradients of all masks in a kernel or two, of activations in one reduction for each output projection.
 */
import type { Update } from '../engine/compile/graph.ts';
import type { Engine } from '../engine/engine.ts';
import type { Tensor } from '../engine/graph/tensor.ts';
import type { ParameterGroup } from '../engine/nn/parameters.ts';
import { abs, add, div, finiteOrZero, mul, sign, square, sub } from '../engine/ops/elementwise.ts';
import { reshape } from '../engine/ops/leaf.ts';
import { pack } from '../engine/ops/pack.ts';
import { sumCols } from '../engine/ops/reduce.ts';
import type { PackedGradient } from '../engine/optim/packed-gradients.ts';
import type { Variable } from '../engine/variable.ts';
import type { LayerShape } from '../models/architecture.ts';
import type { ForwardHooks } from '../models/forward-hooks.ts';
import { ffnMaskName, headMaskName, type MaskOptions } from './masks.ts';
import type { UnitMeans } from './unit-scores.ts';

/** Elements to which each layer's activations are aligned. */
const ALIGN = 64;

/** Squares of activations by the name of the mask that multiplies them. */
export type ActivationSquares = Map<string, Tensor>;

/** What a step, or one of its programs, says of heads and neurons. */
export interface UnitSamples {
  readonly activations?: ActivationSquares | undefined;
  /** Of everything that trains, the penalty of the masks included, before clipping. */
  readonly gradients?: readonly PackedGradient[] | undefined;
}

/** What there are masks for. */
export interface MaskedUnits {
  readonly layers: readonly LayerShape[];
  readonly headDim: number;
  /** All parameters, the masks among them. */
  readonly groups: readonly ParameterGroup[];
  readonly l1: Pick<MaskOptions, 'headsL1' | 'ffnL1'>;
}

/**
 * Squares of what the output projections read, summed up over real tokens: to be called after the masks, which it divides by.
 * @param mask i32 [batch, seq], 1 for real tokens
 */
export function activationHooks(
  parameter: (name: string) => Tensor,
  mask: Tensor,
  found: ActivationSquares,
): ForwardHooks {
  const see = (name: string, masked: Tensor): Tensor => {
    const m = parameter(name);
    const grouped = reshape(masked, [mask.size, m.size, masked.size / mask.size / m.size]);
    const real = mul(square(div(grouped, reshape(m, [m.size, 1]))), reshape(mask, [mask.size, 1, 1]));
    found.set(name, sumCols(real, mask.size, masked.size / mask.size));
    return masked;
  };
  return {
    context: (layer, context) => see(headMaskName(layer), context),
    intermediate: (layer, activated) => see(ffnMaskName(layer), activated),
  };
}

/** Sums over the parameters of a group that has masks; those of other parameters are not read. */
interface GroupSums {
  readonly group: ParameterGroup;
  /** The weight of each mask's penalty. */
  readonly l1: Variable;
  readonly taylor: Variable;
  readonly fisher: Variable;
}

/** Where the values of a mask's units lie. */
interface Place {
  readonly mask: string;
  readonly size: number;
  readonly sums: GroupSums;
  /** Of the mask in its group. */
  readonly offset: number;
  /** Features that the mask multiplies, and their place among all activations. */
  readonly features: number;
  readonly start: number;
}

export class UnitSums {
  readonly #engine: Engine;
  readonly #groups: readonly GroupSums[];
  readonly #heads: readonly Place[];
  readonly #neurons: readonly Place[];
  readonly #squares: Variable;
  readonly #step: Variable;
  /** Steps that were summed up: fewer than were counted where a checkpoint of an earlier version had no sums. */
  readonly #steps: Variable;

  constructor(engine: Engine, units: MaskedUnits) {
    this.#engine = engine;
    const { layers, headDim } = units;
    const state = (name: string, size: number): Variable => engine.variable(name, [size], { kind: 'state' });
    const isMask = new Set(layers.flatMap((_, layer) => [headMaskName(layer), ffnMaskName(layer)]));
    this.#groups = units.groups
      .filter(({ parameters }) => parameters.some(({ name }) => isMask.has(name)))
      .map((group) => ({
        group,
        l1: engine.variable('importance.l1', group.flat.shape, { kind: 'state', data: penaltiesOf(group, units) }),
        taylor: state('importance.taylor', group.flat.size),
        fisher: state('importance.fisher', group.flat.size),
      }));
    let end = 0;
    const place = (mask: string, size: number, features: number): Place => {
      const sums = this.#groups.find(({ group }) => group.parameters.some(({ name }) => name === mask))!;
      const offset = sums.group.offsets[sums.group.parameters.findIndex(({ name }) => name === mask)]!;
      const start = end;
      end += Math.ceil(features / ALIGN) * ALIGN;
      return { mask, size, sums, offset, features, start };
    };
    this.#heads = layers.map(({ heads }, layer) => place(headMaskName(layer), heads, heads * headDim));
    this.#neurons = layers.map(({ neurons }, layer) => place(ffnMaskName(layer), neurons, neurons));
    this.#squares = state('importance.squares', end);
    this.#step = state('importance.squares.step', end);
    this.#steps = state('importance.units.steps', 1);
  }

  /** Adds what a step, or one of its programs, says. @param counted f32 [1] */
  accumulate({ activations, gradients }: UnitSamples, counted: Tensor): Update[] {
    return [
      ...(activations ? [this.#addSquares(activations, counted)] : []),
      ...(gradients ? this.#addGradients(gradients, counted) : []),
    ];
  }

  #addSquares(activations: ActivationSquares, counted: Tensor): Update {
    const seen = [...this.#heads, ...this.#neurons].filter(({ mask }) => activations.has(mask));
    const parts = seen.map(({ mask }) => activations.get(mask)!);
    const starts = seen.map(({ start }) => start);
    const sample = finiteOrZero(pack(parts, starts, this.#step, this.#step.size));
    return { target: this.#squares, value: add(this.#squares.tensor, mul(sample, counted)) };
  }

  #addGradients(gradients: readonly PackedGradient[], counted: Tensor): Update[] {
    const updates = this.#groups.flatMap(({ group, l1, taylor, fisher }) => {
      const { gradient } = gradients.find((one) => one.group === group)!;
      const m = group.flat.tensor;
      const ofTask = sub(gradient, mul(l1.tensor, sign(m)));
      const added = (total: Variable, sample: Tensor): Update => ({
        target: total,
        value: add(total.tensor, mul(finiteOrZero(sample), counted)),
      });
      return [added(taylor, abs(mul(m, ofTask))), added(fisher, square(ofTask))];
    });
    return [...updates, { target: this.#steps, value: add(this.#steps.tensor, counted) }];
  }

  /** Sums over the steps so far, in the order in which `means` takes them. */
  async sums(): Promise<Float32Array[]> {
    const values = new Map<Variable, Float32Array>();
    for (const variable of this.state) values.set(variable, await this.#engine.read(variable));
    const slices = (variable: Variable, start: number, size: number): Float32Array =>
      values.get(variable)!.subarray(start, start + size);
    const places = [...this.#heads, ...this.#neurons];
    return [
      values.get(this.#steps)!,
      ...places.map(({ sums, offset, size }) => slices(sums.taylor, offset, size)),
      ...places.map(({ sums, offset, size }) => slices(sums.fisher, offset, size)),
      ...places.map(({ start, features }) => slices(this.#squares, start, features)),
    ];
  }

  /** How many values they are. */
  get size(): number {
    return [...this.#heads, ...this.#neurons].reduce((sum, place) => sum + 2 * place.size + place.features, 1);
  }

  /**
   * Means over the counted steps; undefined where not all of them were summed up.
   * @param next gives the values of `sums`, added up over stretches
   */
  means(next: () => number, countedSteps: number): UnitMeans | undefined {
    const isWhole = next() === countedSteps;
    const rows = (places: readonly Place[], size: (place: Place) => number): number[][] =>
      places.map((place) => Array.from({ length: size(place) }, () => next() / countedSteps));
    const table = (size: (place: Place) => number): { heads: number[][]; neurons: number[][] } => {
      const heads = rows(this.#heads, size);
      return { heads, neurons: rows(this.#neurons, size) };
    };
    const taylor = table(({ size }) => size);
    const fisher = table(({ size }) => size);
    const { heads: contexts, neurons } = table(({ features }) => features);
    return isWhole ? { taylor, fisher, squares: { contexts, neurons } } : undefined;
  }

  /** What a checkpoint of the estimation holds of it. */
  get state(): readonly Variable[] {
    return [this.#steps, ...this.#groups.flatMap(({ taylor, fisher }) => [taylor, fisher]), this.#squares];
  }

  free(): void {
    for (const variable of [...this.state, this.#step, ...this.#groups.map(({ l1 }) => l1)])
      this.#engine.free(variable);
  }
}

/** λ of each of a group's masks, 0 for other parameters. */
function penaltiesOf({ flat, parameters, offsets }: ParameterGroup, { layers, l1 }: MaskedUnits): Float32Array {
  const data = new Float32Array(flat.size);
  const isHeads = new Set(layers.map((_, layer) => headMaskName(layer)));
  const isFfn = new Set(layers.map((_, layer) => ffnMaskName(layer)));
  parameters.forEach(({ name, size }, i) => {
    const weight = isHeads.has(name) ? l1.headsL1 : isFfn.has(name) ? l1.ffnL1 : 0;
    data.fill(weight, offsets[i], offsets[i]! + size);
  });
  return data;
}
