/**
 * Room: kernels. Layer normalisation over the last dimension (Ba et al. 2016), forward and backward. The backward kernels
 * recompute mean and variance from x, so nothing but x is kept for them.
 */
import { u32Params } from './assemble.ts';
import { spread, type DeviceTraits, type Kernel } from './kernel.ts';
import { normKernel, normLayout, normParts, partGroups, partRows, type NormLayout, type NormSpec } from './norm.ts';
import { policyOf } from './policy.ts';
import { rowMain, rowReduction, type RowGroups } from './row-group.ts';
import { each } from './text.ts';

/**
 * Layer normalisation (Ba et al. 2016): y = (x − mean) / √(variance + eps) · gamma + beta, row by row.
 * Bindings, all f32: x [rows, cols], gamma, beta [cols], then y [rows, cols]. Mean and variance come from one pass (Welford 1962),
 * precise also where the mean is large against the spread; 8 flops an element, x is read twice.
 */
export function layerNorm(spec: NormSpec, traits: DeviceTraits): Kernel {
  const { rows, cols } = spec;
  const layout = laneLayout(spec, traits);
  const { groups, rowsEach } = layout;
  const body = `${rowReduction(groups, 'sum', 'f32', 'a + b')}
${rowMain(groups)}
${rowsOfLane(rowsEach)}
${moments(groups, rowsEach)}
${each(rowsEach, (i) => `  let rstd_${i} = 1.0 / sqrt(row_sum(hsum(squares_${i}), lane) / f32(p.cols) + p.eps);`)}
  if (!owner) { return; }
  for (var unit = member; unit < p.units; unit += ${groups.perRow}u) {
    let scale = gamma[unit];
    let shift = beta[unit];
${each(rowsEach, (i) => `    y[at_${i} + unit] = (x[at_${i} + unit] - V(mean_${i})) * rstd_${i} * scale + shift;`)}
  }
}`;
  return normKernel(layout, {
    name: 'layer_norm',
    body,
    reads: ['x', 'gamma', 'beta'],
    writes: ['y'],
    flops: 8 * rows * cols,
    bytes: 4 * (2 * rows * cols + 2 * cols),
  });
}

/** What `layerNormBackward` does beside dx. */
export interface LayerNormBackwardOptions {
  /** dx overwrites x, whose binding it then is. */
  readonly inPlace?: boolean;
  /** The normalised x comes out too, as `y` behind dx; `beta` [cols] is bound behind dy. */
  readonly alsoForward?: boolean;
}

/**
 * The gradient of x: with g = dy·gamma and x̂ = (x − mean)·rstd, dx = rstd·(g − mean(g) − x̂·mean(g·x̂)). Mean and rstd are computed again.
 * Bindings, all f32: x [rows, cols], gamma [cols], dy [rows, cols], [beta], then [dx], [y], each [rows, cols]; 16 flops an element.
 */
export function layerNormBackward(
  spec: NormSpec,
  traits: DeviceTraits,
  { inPlace = false, alsoForward = false }: LayerNormBackwardOptions = {},
): Kernel {
  const { rows, cols } = spec;
  const layout = laneLayout(spec, traits);
  const { groups, rowsEach } = layout;
  const body = `${reductions(groups)}
${rowMain(groups)}
${rowsOfLane(rowsEach)}
${statistics(groups, rowsEach)}
  if (!owner) { return; }
${writeGradient(groups, rowsEach, inPlace ? 'x' : 'dx', alsoForward)}
}`;
  return normKernel(layout, {
    name: alsoForward ? 'layer_norm_backward_also_forward' : 'layer_norm_backward',
    body,
    reads: ['x', 'gamma', 'dy', ...(alsoForward ? ['beta'] : [])],
    writes: [...(inPlace ? [] : ['dx']), ...(alsoForward ? ['y'] : [])],
    inPlace,
    flops: (alsoForward ? 18 : 16) * rows * cols,
    bytes: 4 * ((alsoForward ? 4 : 3) * rows * cols + (alsoForward ? 2 : 1) * cols),
  });
}

/**
 * The gradients of x and, in parts, of gamma and beta. Bindings as of `layerNormBackward`, then dgamma and dbeta, f32
 * [normParts(rows), cols] each, to be summed over their first dimension.
 */
export function layerNormBackwardParams(spec: NormSpec, traits: DeviceTraits): Kernel {
  const { rows, cols } = spec;
  const layout = normLayout(spec, traits);
  const groups = partGroups(layout.groups, traits);
  const parts = normParts(rows);
  const body = `${rowFunctions(groups)}
${partMain(groups)}`;
  return normKernel(layout, {
    name: 'layer_norm_backward_params',
    body,
    reads: ['x', 'gamma', 'dy'],
    writes: ['dx', 'dgamma', 'dbeta'],
    workgroups: spread(parts),
    flops: 20 * rows * cols,
    bytes: 4 * (3 * rows * cols + cols + 2 * parts * cols),
  });
}

/** As `normLayout`, for groups of `rowsEach` rows: `p.rows` counts groups, `p.last` is the last row. */
function laneLayout(spec: NormSpec, traits: DeviceTraits): NormLayout & { readonly rowsEach: number } {
  const { lanePerRowFrom, normRowsPerLane } = policyOf(traits);
  const rowsEach = spec.rows >= lanePerRowFrom * normRowsPerLane ? normRowsPerLane : 1;
  const { params, ...layout } = normLayout({ ...spec, rows: Math.ceil(spec.rows / rowsEach) }, traits);
  return { ...layout, params: [...params, ...u32Params({ last: spec.rows - 1 })], rowsEach };
}

/** Where the lane's rows begin. One that is missing at the end is the last row again, with the same results. */
function rowsOfLane(rowsEach: number): string {
  return each(rowsEach, (i) => `  let at_${i} = min(row * ${rowsEach}u + ${i}u, p.last) * p.units;`);
}

/**
 * `mean_i` of row i and `squares_i`, this lane's part of its squared distances from the mean, in one pass over x: each component
 * keeps a mean of its own (Welford 1962), moved to the row's afterwards (Chan et al. 1979).
 * @param more is loaded of a column, and computed of x_i and its component's mean `own_i`, in the same pass
 */
function moments(groups: RowGroups, rowsEach: number, more?: { column: string; row: (i: number) => string }): string {
  return `  var n = 0.0;
${each(rowsEach, (i) => `  var own_${i} = V(0.0);\n  var own_squares_${i} = V(0.0);`)}
  for (var unit = member; unit < p.units; unit += ${groups.perRow}u) {
    n += 1.0;
    let part = 1.0 / n;${more?.column ?? ''}
${each(
  rowsEach,
  (i) => `    let x_${i} = x[at_${i} + unit];
    let off_${i} = x_${i} - own_${i};
    own_${i} += off_${i} * part;
    own_squares_${i} += off_${i} * (x_${i} - own_${i});${more?.row(i) ?? ''}`,
)}
  }
${each(
  rowsEach,
  (i) => `  let mean_${i} = row_sum(n * hsum(own_${i}), lane) / f32(p.cols);
  let apart_${i} = own_${i} - V(mean_${i});
  let squares_${i} = own_squares_${i} + n * apart_${i} * apart_${i};`,
)}`;
}

function reductions(groups: RowGroups): string {
  return `${rowReduction(groups, 'sum', 'f32', 'a + b')}
${rowReduction(groups, 'sums', 'vec3<f32>', 'a + b')}`;
}

/**
 * With g = dy·gamma and x̂ = (x − mean)·rstd: dx = rstd·(g − mean(g) − x̂·mean(g·x̂)). This gives `s_i`, (mean, rstd, mean(g),
 * mean(g·x̂)) of row i, in uniform control flow.
 */
function statistics(groups: RowGroups, rowsEach: number): string {
  const row = (i: number) => `
    let g_off_${i} = dy[at_${i} + unit] * scale - g_${i};
    gx_${i} += g_off_${i} * (x_${i} - own_${i});
    g_${i} += g_off_${i} * part;`;
  return `${each(rowsEach, (i) => `  var g_${i} = V(0.0);\n  var gx_${i} = V(0.0);`)}
${moments(groups, rowsEach, { column: '\n    let scale = gamma[unit];', row })}
${each(
  rowsEach,
  (i) => `  let gx_sum_${i} = hsum(gx_${i} + n * g_${i} * apart_${i});
  let means_${i} = row_sums(vec3(hsum(squares_${i}), n * hsum(g_${i}), gx_sum_${i}), lane) / f32(p.cols);
  let rstd_${i} = 1.0 / sqrt(means_${i}.x + p.eps);
  let s_${i} = vec4(mean_${i}, rstd_${i}, means_${i}.y, means_${i}.z * rstd_${i});`,
)}`;
}

/**
 * Everything is loaded before anything is stored: a row that is there twice may be overwritten.
 * @param out where dx is written
 * @param alsoForward whether x̂·gamma + beta is written to y
 */
function writeGradient(groups: RowGroups, rowsEach: number, out: 'dx' | 'x', alsoForward: boolean): string {
  return `  for (var unit = member; unit < p.units; unit += ${groups.perRow}u) {
    let scale = gamma[unit];
${each(
  rowsEach,
  (i) => `    let normed_${i} = (x[at_${i} + unit] - V(s_${i}.x)) * s_${i}.y;
    let dx_${i} = (dy[at_${i} + unit] * scale - V(s_${i}.z) - normed_${i} * s_${i}.w) * s_${i}.y;`,
)}
${each(rowsEach, (i) => `    ${out}[at_${i} + unit] = dx_${i};${alsoForward ? `\n    y[at_${i} + unit] = normed_${i} * scale + beta[unit];` : ''}`)}
  }`;
}

/** What `partRows` needs, for one row at a time. */
function rowFunctions(groups: RowGroups): string {
  return `${reductions(groups)}
fn statistics(row: u32, member: u32, lane: u32) -> vec4<f32> {
  let at_0 = row * p.units;
${statistics(groups, 1)}
  return s_0;
}
fn write_dx(row: u32, member: u32, s_0: vec4<f32>) {
  let at_0 = row * p.units;
${writeGradient(groups, 1, 'dx', false)}
}`;
}

/** Of a part's rows mean and rstd are kept for its columns. */
function partMain(groups: RowGroups): string {
  return `${partRows(groups, 'vec2<f32>', 's.xy')}
  for (var unit = lane; unit < p.units; unit += ${groups.workgroupSize}u) {
    var dgamma_sum = V(0.0);
    var dbeta_sum = V(0.0);
    for (var slot = 0u; slot < count; slot++) {
      let at = (first + slot) * p.units + unit;
      let d = dy[at];
      dgamma_sum += d * ((x[at] - V(kept[slot].x)) * kept[slot].y);
      dbeta_sum += d;
    }
    dgamma[group * p.units + unit] = dgamma_sum;
    dbeta[group * p.units + unit] = dbeta_sum;
  }
}`;
}
