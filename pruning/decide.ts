/**
 * Room: pruning. From scores to what stays: pure functions on arrays (light-peft.md §1–2). Exactly round(ratio·n) entries of
 * each scope group are dropped, the lowest first, ties broken by (group, index), so that a plan is deterministic.
 */

/** `layerwise`: each row of scores is a group of its own; `global`: all rows are one group. */
export type Scope = 'layerwise' | 'global';

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
    const remaining = left.get(row) as number;
    if (remaining === 1 && !allowEmpty) continue;
    left.set(row, remaining - 1);
    dropped.push(`${row}/${index}`);
  }
  return dropped;
}

/**
 * What goes together in grouped-query attention: `query`, single query heads, and a key/value head when none reads it any more;
 * `group`, a key/value head with all its query heads.
 */
export type HeadUnit = 'query' | 'group';

export interface DecideOptions {
  readonly headsRatio: number;
  readonly headsScope: Scope;
  readonly headUnit: HeadUnit;
  readonly ffnRatio: number;
  readonly ffnScope: Scope;
  readonly maskScore: MaskScore;
  readonly allowEmptyLayers: boolean;
  readonly moduleRatio: number;
  readonly rankRatio: number;
  readonly rankScope: Scope;
}

/** Scores by layer and by module name, in the order of the model. */
export interface ImportanceScores {
  readonly heads: readonly (readonly number[])[];
  readonly neurons: readonly (readonly number[])[];
  readonly modules: Readonly<Record<string, number>>;
  readonly ranks: Readonly<Record<string, readonly number[]>>;
}

export interface Decision {
  readonly layers: readonly { readonly heads: number[]; readonly neurons: number[] }[];
  /** Kept ranks of each kept module; none where the method has no ranks. */
  readonly modules: Readonly<Record<string, number[]>>;
}

/** Which heads, neurons, modules and ranks stay. @param sharing query heads to a key/value head */
export function decide(scores: ImportanceScores, options: DecideOptions, sharing = 1): Decision {
  const { maskScore, allowEmptyLayers: allowEmpty } = options;
  const together = options.headUnit === 'group' ? sharing : 1;
  const units = maskScores(scores.heads, maskScore).map((row) => means(row, together));
  const heads = keepHighest(units, options.headsRatio, options.headsScope, { allowEmpty }).map((row) =>
    row.flatMap((unit) => Array.from({ length: together }, (_, i) => unit * together + i)),
  );
  const neurons = keepHighest(maskScores(scores.neurons, maskScore), options.ffnRatio, options.ffnScope, {
    allowEmpty,
  });
  const names = Object.keys(scores.modules);
  const kept = keepHighest([names.map((n) => scores.modules[n] as number)], options.moduleRatio, 'global', {
    allowEmpty: true,
  });
  const keptNames = (kept[0] ?? []).map((i) => names[i] as string);
  const ranks = keepHighest(
    keptNames.map((name) => scores.ranks[name] ?? []),
    options.rankRatio,
    options.rankScope,
    { allowEmpty: true },
  );
  const isLeft = (name: string, left: readonly number[]): boolean =>
    left.length > 0 || scores.ranks[name]?.length === 0;
  const modules = keptNames.map((name, i) => [name, ranks[i] ?? []] as const).filter(([name, r]) => isLeft(name, r));
  return {
    layers: heads.map((h, layer) => ({ heads: h, neurons: neurons[layer] ?? [] })),
    modules: Object.fromEntries(modules),
  };
}

/** Means of `size` neighbours each. */
function means(values: readonly number[], size: number): number[] {
  return Array.from({ length: values.length / size }, (_, unit) =>
    values.slice(unit * size, (unit + 1) * size).reduce((sum, value) => sum + value / size, 0),
  );
}

/** The same shapes with random scores: the baseline that prunes as much, blindly. @param uniform draws from [0, 1) */
export function randomScores(scores: ImportanceScores, uniform: () => number): ImportanceScores {
  const row = (values: readonly number[]): number[] => values.map(() => uniform());
  const record = <T, U>(values: Readonly<Record<string, T>>, f: (value: T) => U): Record<string, U> =>
    Object.fromEntries(Object.entries(values).map(([name, value]) => [name, f(value)]));
  return {
    heads: scores.heads.map(row),
    neurons: scores.neurons.map(row),
    modules: record(scores.modules, uniform),
    ranks: record(scores.ranks, row),
  };
}
