/**
 * Room: kernels. Layer normalisation over the last dimension (Ba et al. 2016), forward and backward. The backward kernels
 * recompute mean and variance from x, so nothing but x is kept for them.
 */
import { assemble } from './assemble.ts';
import { spread, type DeviceTraits, type Kernel } from './kernel.ts';
import { f32Bindings, normLayout, normParts, PART_ROWS, partRows, type NormSpec } from './norm.ts';
import { rowMain, rowReduction, type RowGroups } from './row-group.ts';

/** y = (x − mean) / √(variance + eps) · gamma + beta. Bindings, all f32: x [rows, cols], gamma, beta [cols], then y. */
export function layerNorm(spec: NormSpec, traits: DeviceTraits): Kernel {
  const { rows, cols } = spec;
  const { vector, groups, params } = normLayout(spec, traits);
  const body = `${rowReduction(groups, 'sum', 'f32', 'a + b')}
${mean(groups)}
${rowMain(groups)}
  let mean = row_mean(row, member, lane);
  var squares = V(0.0);
  for (var unit = member; unit < p.units; unit += ${groups.perRow}u) {
    let centred = x[row * p.units + unit] - V(mean);
    squares += centred * centred;
  }
  let rstd = 1.0 / sqrt(row_sum(hsum(squares), lane) / f32(p.cols) + p.eps);
  if (!owner) { return; }
  for (var unit = member; unit < p.units; unit += ${groups.perRow}u) {
    let at = row * p.units + unit;
    y[at] = (x[at] - V(mean)) * rstd * gamma[unit] + beta[unit];
  }
}`;
  const names = ['x', 'gamma', 'beta', 'y'];
  return assemble({
    name: 'layer_norm',
    bindings: f32Bindings(names, 3),
    params,
    body,
    vector,
    vectorBindings: vector ? names : [],
    workgroups: groups.workgroups,
    flops: 8 * rows * cols,
    bytes: 4 * (2 * rows * cols + 2 * cols),
  });
}

/** What the backward kernel does beside. */
export interface BackwardOptions {
  /** dx overwrites x, whose binding it then is. */
  readonly inPlace?: boolean;
  /** The normalised x comes out too, as `y` behind dx; `beta` [cols] is bound behind dy. */
  readonly again?: boolean;
}

/** The gradient of x. Bindings, all f32: x [rows, cols], gamma [cols], dy [rows, cols], then dx [rows, cols]. */
export function layerNormBackward(
  spec: NormSpec,
  traits: DeviceTraits,
  { inPlace = false, again = false }: BackwardOptions = {},
): Kernel {
  const { rows, cols } = spec;
  const { vector, groups, params } = normLayout(spec, traits);
  const body = `${backwardFunctions(groups, inPlace ? 'x' : 'dx', again)}
${rowMain(groups)}
  let s = statistics(row, member, lane);
  if (owner) { write_dx(row, member, s); }
}`;
  const read = ['gamma', 'dy', ...(again ? ['beta'] : [])];
  const written = [...(inPlace ? [] : ['dx']), ...(again ? ['y'] : [])];
  return assemble({
    name: again ? 'layer_norm_backward_again' : 'layer_norm_backward',
    bindings: [
      { name: 'x', dtype: 'f32', role: inPlace ? 'inout' : 'in' },
      ...f32Bindings([...read, ...written], read.length),
    ],
    params,
    body,
    vector,
    vectorBindings: vector ? ['x', ...read, ...written] : [],
    workgroups: groups.workgroups,
    flops: (again ? 18 : 16) * rows * cols,
    bytes: 4 * ((again ? 4 : 3) * rows * cols + (again ? 2 : 1) * cols),
  });
}

/**
 * The gradients of x and, in parts, of gamma and beta. Bindings as of `layerNormBackward`, then dgamma and dbeta, f32
 * [normParts(rows), cols] each, to be summed over their first dimension.
 */
export function layerNormBackwardParams(spec: NormSpec, traits: DeviceTraits): Kernel {
  const { rows, cols } = spec;
  const { vector, groups: rowwise, params } = normLayout(spec, traits);
  const groups = traits.software ? { ...rowwise, lanes: PART_ROWS, perRow: 1 } : rowwise;
  const parts = normParts(rows);
  const body = `${backwardFunctions(groups, 'dx')}
${partMain(groups)}`;
  const names = ['x', 'gamma', 'dy', 'dx', 'dgamma', 'dbeta'];
  return assemble({
    name: 'layer_norm_backward_params',
    bindings: f32Bindings(names, 3),
    params,
    body,
    vector,
    vectorBindings: vector ? names : [],
    workgroups: spread(parts),
    flops: 20 * rows * cols,
    bytes: 4 * (3 * rows * cols + cols + 2 * parts * cols),
  });
}

function mean({ perRow }: RowGroups): string {
  return `fn row_mean(row: u32, member: u32, lane: u32) -> f32 {
  var total = V(0.0);
  for (var unit = member; unit < p.units; unit += ${perRow}u) { total += x[row * p.units + unit]; }
  return row_sum(hsum(total), lane) / f32(p.cols);
}`;
}

/**
 * With g = dy·gamma and x̂ = (x − mean)·rstd: dx = rstd·(g − mean(g) − x̂·mean(g·x̂)).
 * `statistics` gives (mean, rstd, mean(g), mean(g·x̂)) of a row, to be called in uniform control flow.
 * @param out where dx is written
 * @param again whether `write_dx` writes x̂·gamma + beta to y
 */
function backwardFunctions(groups: RowGroups, out: 'dx' | 'x', again = false): string {
  return `${rowReduction(groups, 'sum', 'f32', 'a + b')}
${rowReduction(groups, 'sums', 'vec3<f32>', 'a + b')}
${mean(groups)}
fn statistics(row: u32, member: u32, lane: u32) -> vec4<f32> {
  let mean = row_mean(row, member, lane);
  var squares = V(0.0);
  var g_sum = V(0.0);
  var gx_sum = V(0.0);
  for (var unit = member; unit < p.units; unit += ${groups.perRow}u) {
    let at = row * p.units + unit;
    let centred = x[at] - V(mean);
    let g = dy[at] * gamma[unit];
    squares += centred * centred;
    g_sum += g;
    gx_sum += g * centred;
  }
  let means = row_sums(vec3(hsum(squares), hsum(g_sum), hsum(gx_sum)), lane) / f32(p.cols);
  let rstd = 1.0 / sqrt(means.x + p.eps);
  return vec4(mean, rstd, means.y, means.z * rstd);
}
fn write_dx(row: u32, member: u32, s: vec4<f32>) {
  for (var unit = member; unit < p.units; unit += ${groups.perRow}u) {
    let at = row * p.units + unit;
    let normed = (x[at] - V(s.x)) * s.y;
    ${again ? 'y[at] = normed * gamma[unit] + beta[unit];\n    ' : ''}${out}[at] = (dy[at] * gamma[unit] - V(s.z) - normed * s.w) * s.y;
  }
}`;
}

/** Of a part's rows mean and rstd are kept for its columns. */
function partMain(groups: RowGroups): string {
  return `${partRows(groups, 'vec2<f32>', 's.xy')}
  for (var unit = lane; unit < p.units; unit += ${groups.lanes}u) {
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
