/**
 * Room: experiments/baseline. Binary logistic regression with an L2 penalty on sparse rows, by truncated Newton (conjugate gradients on
 * the Hessian, backtracking line search; Lin, Weng and Keerthi 2008). Pure functions in double precision.
 */

/** The entries of a row that are not 0: columns, each once, and their values. */
export interface SparseRow {
  readonly columns: Int32Array;
  readonly values: Float64Array;
}

/** Weights by column; the last entry is the intercept. */
export type LogisticModel = Float64Array;

/** Stops where the gradient's norm has fallen to this share of the first one's. */
const TOLERANCE = 1e-6;
const MAX_NEWTON_STEPS = 50;
const MAX_CG_STEPS = 200;
/** Conjugate gradients stop at this share of the gradient: exact Newton steps are not worth it far from the optimum. */
const CG_TOLERANCE = 0.1;
/** Sufficient decrease (Armijo). */
const ARMIJO = 1e-4;

/** w·x + intercept for each row: positive where the model says true. */
export function scores(rows: readonly SparseRow[], model: LogisticModel): Float64Array {
  const intercept = model[model.length - 1]!;
  return Float64Array.from(rows, ({ columns, values }) => {
    let sum = intercept;
    for (let k = 0; k < columns.length; k++) sum += (model[columns[k]!] as number) * values[k]!;
    return sum;
  });
}

/**
 * The minimiser of ½‖w‖² + C Σ log(1 + exp(−y(w·x + b))), y = ±1, for each C; the intercept b is not penalised.
 * @param targets true for y = 1, one for each row
 * @param features number of columns
 * @param inverseStrengths C's, best in ascending order: each fit starts from the one before
 */
export function fitLogistic(
  rows: readonly SparseRow[],
  targets: readonly boolean[],
  features: number,
  inverseStrengths: readonly number[],
): LogisticModel[] {
  const merged = mergeSingletons(rows, features);
  let model: LogisticModel = new Float64Array(merged.features + 1);
  return inverseStrengths.map((c) => {
    model = newton(merged.rows, targets, merged.features, c, model);
    return merged.expand(model);
  });
}

/**
 * The columns that only row i uses act through Σ w·x alone, and of all weights with that sum those proportional to x have
 * the smallest norm: one column of value ‖x‖ stands for them, exactly. It is three columns in four of word pairs.
 */
function mergeSingletons(rows: readonly SparseRow[], features: number) {
  const uses = new Int32Array(features);
  for (const { columns } of rows) for (const column of columns) uses[column] = (uses[column] ?? 0) + 1;
  const shared = Int32Array.from(uses.keys()).filter((column) => (uses[column] ?? 0) > 1);
  const position = new Int32Array(features).fill(-1);
  shared.forEach((column, i) => (position[column] = i));
  const norms = rows.map(({ columns, values }) =>
    Math.sqrt(values.reduce((sum, x, k) => (uses[columns[k]!] === 1 ? sum + x * x : sum), 0)),
  );
  const merged = rows.map(({ columns, values }, i) => {
    const kept = [...columns.keys()].filter((k) => uses[columns[k]!] !== 1);
    return {
      columns: Int32Array.from(kept.map((k) => position[columns[k]!] as number).concat(shared.length + i)),
      values: Float64Array.from(kept.map((k) => values[k]!).concat(norms[i]!)),
    };
  });
  const expand = (model: LogisticModel): LogisticModel => {
    const expanded = new Float64Array(features + 1);
    shared.forEach((column, i) => (expanded[column] = model[i]!));
    rows.forEach(({ columns, values }, i) => {
      const norm = norms[i]!;
      if (norm === 0) return;
      columns.forEach((column, k) => {
        if (uses[column] === 1) expanded[column] = (model[shared.length + i]! * values[k]!) / norm;
      });
    });
    expanded[features] = model[model.length - 1]!;
    return expanded;
  };
  return { rows: merged, features: shared.length + rows.length, expand };
}

function newton(
  rows: readonly SparseRow[],
  targets: readonly boolean[],
  features: number,
  c: number,
  start: LogisticModel,
): LogisticModel {
  let model = start;
  let margins = scores(rows, model);
  let value = objective(model, margins, targets, c);
  let firstNorm: number | undefined;
  for (let step = 0; step < MAX_NEWTON_STEPS; step++) {
    const probabilities = margins.map((margin) => 1 / (1 + Math.exp(-margin)));
    const residuals = probabilities.map((p, i) => c * (p - Number(targets[i])));
    const gradient = penalised(model, transposed(rows, residuals, features));
    const norm = Math.sqrt(dot(gradient, gradient));
    firstNorm ??= norm;
    if (norm <= TOLERANCE * firstNorm) break;
    const curvature = probabilities.map((p) => c * p * (1 - p));
    const hessian = (v: Float64Array): Float64Array => {
      const inner = scores(rows, v).map((x, i) => x * curvature[i]!);
      return penalised(v, transposed(rows, inner, features));
    };
    const direction = conjugateGradient(hessian, gradient);
    const slope = dot(gradient, direction);
    const change = scores(rows, direction);
    for (let size = 1; ; size /= 2) {
      const tried = model.map((w, i) => w + size * direction[i]!);
      const triedMargins = margins.map((margin, i) => margin + size * change[i]!);
      const triedValue = objective(tried, triedMargins, targets, c);
      if (triedValue > value + ARMIJO * size * slope && size > 1e-10) continue;
      [model, margins, value] = [tried, triedMargins, triedValue];
      break;
    }
  }
  return model;
}

function objective(model: LogisticModel, margins: Float64Array, targets: readonly boolean[], c: number): number {
  const intercept = model[model.length - 1]!;
  const penalty = (dot(model, model) - intercept * intercept) / 2;
  return margins.reduce((sum, margin, i) => sum + c * softplus(targets[i] ? -margin : margin), penalty);
}

/** log(1 + exp(x)) without overflow. */
function softplus(x: number): number {
  return Math.max(x, 0) + Math.log1p(Math.exp(-Math.abs(x)));
}

/** Xᵀ·perRow, with the intercept's constant column last. */
function transposed(rows: readonly SparseRow[], perRow: Float64Array, features: number): Float64Array {
  const result = new Float64Array(features + 1);
  rows.forEach(({ columns, values }, i) => {
    const scale = perRow[i]!;
    for (let k = 0; k < columns.length; k++) {
      const column = columns[k]!;
      result[column] = result[column]! + scale * values[k]!;
    }
    result[features] = result[features]! + scale;
  });
  return result;
}

/** Adds the penalty's part, which leaves the intercept out. */
function penalised(model: Float64Array, sum: Float64Array): Float64Array {
  return sum.map((x, i) => (i === sum.length - 1 ? x : x + model[i]!));
}

/** Solves H·d = −g approximately. */
function conjugateGradient(hessian: (v: Float64Array) => Float64Array, gradient: Float64Array): Float64Array {
  const direction = new Float64Array(gradient.length);
  let residual = gradient.map((x) => -x);
  let conjugate = residual;
  let squared = dot(residual, residual);
  const goal = CG_TOLERANCE ** 2 * squared;
  for (let step = 0; step < MAX_CG_STEPS && squared > goal; step++) {
    const image = hessian(conjugate);
    const size = squared / dot(conjugate, image);
    for (let i = 0; i < direction.length; i++) {
      direction[i] = direction[i]! + size * conjugate[i]!;
    }
    residual = residual.map((x, i) => x - size * image[i]!);
    const next = dot(residual, residual);
    const ratio = next / squared;
    conjugate = residual.map((x, i) => x + ratio * conjugate[i]!);
    squared = next;
  }
  return direction;
}

function dot(a: Float64Array, b: Float64Array): number {
  let sum = 0;
  for (let i = 0; i < a.length; i++) sum += a[i]! * b[i]!;
  return sum;
}
