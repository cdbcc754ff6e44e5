/**
 * Room: pruning. Scores of single heads and neurons other than their masks (docs/method.md §4): pure functions of what the estimation
 * summed up and of the weights.
 */
import { z } from 'zod';
import type { LayerSquares } from './weight-squares.ts';

/**
 * `taylor`: first-order Taylor (Michel et al. 2019; Molchanov et al. 2017); `fisher`: empirical Fisher information (Kwon et al. 2022);
 * `magnitude`: norm of the weights; `activation`: norms of activation and of the weights that read it (Wanda, Sun et al. 2023).
 */
export const UNIT_SCORES = ['taylor', 'fisher', 'magnitude', 'activation'] as const;

export type UnitScore = (typeof UNIT_SCORES)[number];

/** What heads and neurons may be ranked by: one score, or several joined by `+`. */
export type ImportanceScore = 'mask' | UnitScore | `${'mask' | UnitScore}+${string}`;

const SINGLE = ['mask', ...UNIT_SCORES] as const;

/** The scores that an importance is of. */
export function singleScores(importance: ImportanceScore): readonly (typeof SINGLE)[number][] {
  return importance.split('+') as (typeof SINGLE)[number][];
}

const ONE = `(${SINGLE.join('|')})`;
const EXPECTED = `expected ${SINGLE.join(', ')}, or several of them joined by +`;

export const importanceSchema = z
  .string()
  .regex(new RegExp(`^${ONE}(\\+${ONE})*$`), EXPECTED)
  .refine((text) => new Set(text.split('+')).size === text.split('+').length, EXPECTED) as z.ZodType<
  ImportanceScore,
  ImportanceScore
>;

/** A value for every head and every neuron, a row per layer. */
export interface UnitTable {
  readonly heads: readonly (readonly number[])[];
  readonly neurons: readonly (readonly number[])[];
}

/** By score; those that were not measured are missing. */
export type UnitScores = Partial<Readonly<Record<UnitScore, UnitTable>>>;

/** Means over the counted steps, a row per layer. */
export interface UnitMeans {
  /** |m · ∂L/∂m|, L the task's loss. */
  readonly taylor: UnitTable;
  /** (∂L/∂m)² */
  readonly fisher: UnitTable;
  /** Σ over real tokens of squares: of the features of all contexts, and of neurons. */
  readonly squares: { readonly contexts: readonly number[][]; readonly neurons: readonly number[][] };
}

/** @param means undefined where not all counted steps were summed up: then only the weights tell */
export function unitScores(weights: readonly LayerSquares[], means: UnitMeans | undefined): UnitScores {
  const magnitude = {
    heads: weights.map(({ heads }) => heads.map(Math.sqrt)),
    neurons: weights.map(({ neurons }) => neurons.map(Math.sqrt)),
  };
  if (!means) return { magnitude };
  const { taylor, fisher, squares } = means;
  const activation = {
    heads: weights.map((layer, l) => norms(layer.contextColumns, squares.contexts[l]!, layer.heads.length)),
    neurons: weights.map((layer, l) => norms(layer.neuronColumns, squares.neurons[l]!, layer.neurons.length)),
  };
  return { taylor, fisher, magnitude, activation };
}

/** √(Σ activation² · ‖column‖²) over the features of each of `units` neighbours. */
function norms(columns: readonly number[], squares: readonly number[], units: number): number[] {
  const each = columns.length / units;
  return Array.from({ length: units }, (_, unit) => {
    let sum = 0;
    for (let i = unit * each; i < (unit + 1) * each; i++) sum += columns[i]! * squares[i]!;
    return Math.sqrt(sum);
  });
}
