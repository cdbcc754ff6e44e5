/**
 * Room: pruning. From scores to what stays: pure functions on arrays (docs/method.md §4). Exactly round(ratio·n) entries of
 * each scope group are dropped, the lowest first, ties broken by (group, index), so that a plan is deterministic.
 */
import { z } from 'zod';
import { option, UserError } from '../engine/errors.ts';
import { parseOptions } from '../engine/options.ts';
import { hostRandom, STREAM } from '../engine/random.ts';
import type { Plan } from './plan.ts';
import { meanRanks, type Scope } from './mean-ranks.ts';
import {
  importanceSchema,
  singleScores,
  UNIT_SCORES,
  type UnitScore,
  type UnitScores,
  type UnitTable,
} from './unit-scores.ts';

/** What a mask's score is: its magnitude, or its value (what the paper's public code thresholds). */
export type MaskScore = 'abs' | 'signed';

export function maskScores(masks: readonly (readonly number[])[], score: MaskScore): number[][] {
  return masks.map((row) => row.map((m) => (score === 'abs' ? Math.abs(m) : m)));
}

/**
 * Indices that stay, ascending, per row.
 * A row that would lose everything keeps its best entry, unless `allowEmpty`; in its place the next lowest entry of the
 * group is dropped where there is one, so that the count stays exact.
 * @param scores a row per layer or module; rows may differ in length
 * @param ratio part to drop, in [0, 1)
 */
export function keepHighest(
  scores: readonly (readonly number[])[],
  ratio: number,
  scope: Scope,
  { allowEmpty = false } = {},
): number[][] {
  if (!(ratio >= 0 && ratio < 1)) throw new RangeError(`ratio ${ratio} is outside [0, 1)`);
  const rows = scores.map((_, row) => row);
  const groups = scope === 'global' ? [rows] : rows.map((row) => [row]);
  const dropped = new Set<string>();
  for (const group of groups) for (const key of lowest(scores, group, ratio, allowEmpty)) dropped.add(key);
  return scores.map((row, r) => row.map((_, i) => i).filter((i) => !dropped.has(`${r}/${i}`)));
}

/** Keys `row/index` of the entries of one group that go. */
function lowest(
  scores: readonly (readonly number[])[],
  rows: readonly number[],
  ratio: number,
  allowEmpty: boolean,
): string[] {
  const entries = rows.flatMap((row) => (scores[row] ?? []).map((score, index) => ({ row, index, score })));
  entries.sort((a, b) => a.score - b.score || a.row - b.row || a.index - b.index);
  const count = Math.round(ratio * entries.length);
  const left = new Map(rows.map((row) => [row, scores[row]?.length ?? 0]));
  const dropped: string[] = [];
  for (const { row, index } of entries) {
    if (dropped.length === count) break;
    const remaining = left.get(row)!;
    if (remaining === 1 && !allowEmpty) continue;
    left.set(row, remaining - 1);
    dropped.push(`${row}/${index}`);
  }
  return dropped;
}

const IN_RATIO = 'expected a number in [0, 1)';
const ratio = z.number().min(0, IN_RATIO).lt(1, IN_RATIO);
const scope = z.enum(['layerwise', 'global']);

/** Which parts go, and by what. */
export const decideOptionsSchema = z.strictObject({
  heads: ratio.default(1 / 3).describe('part of the attention heads to prune'),
  headsScope: scope.default('layerwise').describe('rank heads within layers or over the model'),
  headUnit: z
    .enum(['query', 'group'])
    .default('query')
    // With `query`, a key/value head goes when none reads it any more.
    .describe('grouped-query attention: prune single query heads, or key/value heads with all of theirs'),
  neurons: ratio.default(1 / 3).describe('part of the FFN neurons to prune'),
  neuronsScope: scope.default('global').describe('rank neurons within layers or over the model'),
  importance: importanceSchema
    .default('mask')
    .describe(
      'score of heads and neurons: mask, taylor, fisher, magnitude, activation, or several as taylor+activation',
    ),
  maskScore: z.enum(['abs', 'signed']).default('abs').describe('score of a mask: magnitude or value'),
  allowEmptyLayers: z.boolean().default(false).describe('let a layer lose all heads or neurons'),
  foldMasks: z.boolean().default(false).describe('fold learned mask values into the kept weights'),
  modules: ratio.default(0.75).describe('part of the PEFT modules to prune'),
  ranks: ratio.default(0.5).describe('part of the remaining ranks to prune'),
  ranksScope: scope.default('global').describe('rank the ranks over the model or within modules'),
});

/** Ratios in [0, 1) of heads, neurons, modules and ranks to prune, and how they are ranked; a third, a third, 0.75 and 0.5 unless set. */
export type DecideOptions = z.input<typeof decideOptionsSchema>;

/** Scores by layer and by module name, in the order of the model. */
export interface ImportanceScores {
  readonly heads: readonly (readonly number[])[];
  readonly neurons: readonly (readonly number[])[];
  readonly modules: Readonly<Record<string, number>>;
  readonly ranks: Readonly<Record<string, readonly number[]>>;
  /** Mask values of heads and neurons, for folding; the scores themselves unless set. */
  readonly masks?: Pick<ImportanceScores, 'heads' | 'neurons'>;
  /** Other scores of heads and neurons, those that were recorded. */
  readonly units?: UnitScores;
  /** Query heads that share a key/value head; 1 unless set. */
  readonly headsPerGroup?: number;
  /** Of the estimation; 0 where the scores are of none. */
  readonly steps?: number;
  readonly seed?: number;
}

/** What stays, and how that was decided. */
export type Decision = Omit<Plan, 'base'>;

/**
 * Which heads, neurons, modules and ranks stay.
 * @param method written into the plan: `random` where the scores are drawn
 * @throws UserError for an option out of range, by name, and for a score that was not recorded
 */
export function decide(
  scores: ImportanceScores,
  given: DecideOptions = {},
  method: Plan['origin']['method'] = 'light-peft',
): Decision {
  const options = parseOptions(decideOptionsSchema, given);
  const { importance, maskScore, allowEmptyLayers: allowEmpty, foldMasks } = options;
  const ranked = ranking(scores, options);
  const sharing = scores.headsPerGroup ?? 1;
  const together = options.headUnit === 'group' ? sharing : 1;
  const units = ranked.heads.map((row) => means(row, together));
  const heads = keepHighest(units, options.heads, options.headsScope, { allowEmpty }).map((row) =>
    row.flatMap((unit) => Array.from({ length: together }, (_, i) => unit * together + i)),
  );
  const neurons = keepHighest(ranked.neurons, options.neurons, options.neuronsScope, { allowEmpty });
  const names = Object.keys(scores.modules);
  const kept = keepHighest([names.map((n) => scores.modules[n]!)], options.modules, 'global', {
    allowEmpty: true,
  });
  const keptNames = (kept[0] ?? []).map((i) => names[i]!);
  const ranks = keepHighest(
    keptNames.map((name) => scores.ranks[name] ?? []),
    options.ranks,
    options.ranksScope,
    { allowEmpty: true },
  );
  const isLeft = (name: string, left: readonly number[]): boolean =>
    left.length > 0 || scores.ranks[name]?.length === 0;
  const modules = keptNames.map((name, i) => [name, ranks[i] ?? []] as const).filter(([name, r]) => isLeft(name, r));
  const masks = scores.masks ?? scores;
  const fold = (layer: number, kept: Plan['layers'][number]): Plan['layers'][number]['fold'] => ({
    heads: kept.heads.map((h) => masks.heads[layer]?.[h] ?? 1),
    neurons: kept.neurons.map((n) => masks.neurons[layer]?.[n] ?? 1),
  });
  return {
    layers: heads.map((kept, layer) => {
      const left = { heads: kept, neurons: neurons[layer] ?? [] };
      return foldMasks ? { ...left, fold: fold(layer, left) } : left;
    }),
    modules: Object.fromEntries(
      modules.map(([name, kept]) => [name, { ranks: scores.ranks[name]?.length ?? 0, kept }]),
    ),
    origin: {
      method,
      seed: scores.seed ?? 0,
      steps: scores.steps ?? 0,
      heads_ratio: options.heads,
      heads_scope: options.headsScope,
      head_unit: options.headUnit,
      ffn_ratio: options.neurons,
      ffn_scope: options.neuronsScope,
      mask_score: maskScore,
      ...(importance !== 'mask' && method !== 'random' && { importance }),
      module_ratio: options.modules,
      rank_ratio: options.ranks,
      rank_scope: options.ranksScope,
    },
  };
}

/** What heads and neurons are ranked by. */
function ranking(scores: ImportanceScores, options: z.output<typeof decideOptionsSchema>): UnitTable {
  const tables = singleScores(options.importance).map((score) => tableOf(scores, score, options.maskScore));
  const [first] = tables as [UnitTable];
  if (tables.length === 1) return first;
  return {
    heads: meanRanks(tables.map(({ heads }) => heads), options.headsScope), // prettier-ignore
    neurons: meanRanks(tables.map(({ neurons }) => neurons), options.neuronsScope), // prettier-ignore
  };
}

function tableOf({ heads, neurons, units }: ImportanceScores, score: 'mask' | UnitScore, form: MaskScore): UnitTable {
  if (score === 'mask') return { heads: maskScores(heads, form), neurons: maskScores(neurons, form) };
  const found = units?.[score];
  if (found) return found;
  throw new UserError(
    `${option('importance')}: found ${score}, which the estimation did not record, as those of earlier versions do not: estimate anew, or use mask`,
  );
}

/** Means of `size` neighbours each. */
function means(values: readonly number[], size: number): number[] {
  return Array.from({ length: values.length / size }, (_, unit) =>
    values.slice(unit * size, (unit + 1) * size).reduce((sum, value) => sum + value / size, 0),
  );
}

/** The same shapes with random scores: the baseline that prunes as much, blindly. */
export function randomScores(scores: ImportanceScores, seed: number): ImportanceScores {
  const random = hostRandom(seed, STREAM.pruning);
  const draw = (): number => random.uniform();
  const row = (values: readonly number[]): number[] => values.map(draw);
  const [heads, neurons] = [scores.heads.map(row), scores.neurons.map(row)];
  const record = <T, U>(values: Readonly<Record<string, T>>, f: (value: T) => U): Record<string, U> =>
    Object.fromEntries(Object.entries(values).map(([name, value]) => [name, f(value)]));
  return {
    ...scores,
    masks: { heads: scores.heads, neurons: scores.neurons },
    heads,
    neurons,
    units: Object.fromEntries(UNIT_SCORES.map((score) => [score, { heads, neurons }])),
    modules: record(scores.modules, draw),
    ranks: record(scores.ranks, row),
  };
}
