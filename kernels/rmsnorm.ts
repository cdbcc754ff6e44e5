/**
 * Room: kernels. Root-mean-square normalisation over the last dimension (Zhang & Sennrich 2019), forward and backward. The
 * backward kernels compute the root again from x, so nothing but x is kept for them.
 */
import { spread, type DeviceTraits, type Kernel } from './kernel.ts';
import { normKernel, normLayout, normParts, partGroups, partRows, type NormSpec } from './norm.ts';
import { rowMain, rowReduction, type RowGroups } from './row-group.ts';

/**
 * Root-mean-square normalisation (Zhang & Sennrich 2019): y = x / √(mean(x²) + eps) · gamma, row by row.
 * Bindings, all f32: x [rows, cols], gamma [cols], then y [rows, cols]; 4 flops an element, x is read twice.
 */
export function rmsNorm(spec: NormSpec, traits: DeviceTraits): Kernel {
  const { rows, cols } = spec;
  const layout = normLayout(spec, traits);
  const { groups } = layout;
  const body = `${rowReduction(groups, 'sum', 'f32', 'a + b')}
${rowMain(groups)}
  var squares = V(0.0);
  for (var unit = member; unit < p.units; unit += ${groups.perRow}u) {
    let value = x[row * p.units + unit];
    squares += value * value;
  }
  let scale = 1.0 / sqrt(row_sum(hsum(squares), lane) / f32(p.cols) + p.eps);
  if (!owner) { return; }
  for (var unit = member; unit < p.units; unit += ${groups.perRow}u) {
    let at = row * p.units + unit;
    y[at] = x[at] * scale * gamma[unit];
  }
}`;
  return normKernel(layout, {
    name: 'rms_norm',
    body,
    reads: ['x', 'gamma'],
    writes: ['y'],
    flops: 4 * rows * cols,
    bytes: 4 * (2 * rows * cols + cols),
  });
}

/**
 * The gradient of x: with g = dy·gamma and r = 1/√(mean(x²) + eps), dx = r·(g − x·r²·mean(g·x)). The root is computed again.
 * Bindings, all f32: x [rows, cols], gamma [cols], dy [rows, cols], then dx [rows, cols]; 10 flops an element.
 * @param inPlace dx overwrites x, whose binding it then is
 */
export function rmsNormBackward(spec: NormSpec, traits: DeviceTraits, inPlace = false): Kernel {
  const { rows, cols } = spec;
  const layout = normLayout(spec, traits);
  const { groups } = layout;
  const body = `${backwardFunctions(groups, inPlace ? 'x' : 'dx')}
${rowMain(groups)}
  let s = statistics(row, member, lane);
  if (owner) { write_dx(row, member, s); }
}`;
  return normKernel(layout, {
    name: 'rms_norm_backward',
    body,
    reads: ['x', 'gamma', 'dy'],
    writes: inPlace ? [] : ['dx'],
    inPlace,
    flops: 10 * rows * cols,
    bytes: 4 * (3 * rows * cols + cols),
  });
}

/**
 * The gradients of x and, in parts, of gamma. Bindings as of `rmsNormBackward`, then dgamma f32 [normParts(rows), cols], to
 * be summed over its first dimension.
 */
export function rmsNormBackwardParams(spec: NormSpec, traits: DeviceTraits): Kernel {
  const { rows, cols } = spec;
  const layout = normLayout(spec, traits);
  const groups = partGroups(layout.groups, traits);
  const parts = normParts(rows);
  return normKernel(layout, {
    name: 'rms_norm_backward_params',
    body: `${backwardFunctions(groups, 'dx')}\n${partMain(groups)}`,
    reads: ['x', 'gamma', 'dy'],
    writes: ['dx', 'dgamma'],
    workgroups: spread(parts),
    flops: 12 * rows * cols,
    bytes: 4 * (3 * rows * cols + cols + parts * cols),
  });
}

/**
 * With g = dy·gamma and r = 1/√(mean(x²) + eps): dx = r·(g − x·r²·mean(g·x)). `statistics` gives (r, r²·mean(g·x)) of a row, to
 * be called in uniform control flow.
 * @param out where dx is written
 */
function backwardFunctions(groups: RowGroups, out: 'dx' | 'x'): string {
  return `${rowReduction(groups, 'sums', 'vec2<f32>', 'a + b')}
fn statistics(row: u32, member: u32, lane: u32) -> vec2<f32> {
  var squares = V(0.0);
  var gx_sum = V(0.0);
  for (var unit = member; unit < p.units; unit += ${groups.perRow}u) {
    let at = row * p.units + unit;
    let value = x[at];
    squares += value * value;
    gx_sum += dy[at] * gamma[unit] * value;
  }
  let means = row_sums(vec2(hsum(squares), hsum(gx_sum)), lane) / f32(p.cols);
  let scale = 1.0 / sqrt(means.x + p.eps);
  return vec2(scale, means.y * scale * scale);
}
fn write_dx(row: u32, member: u32, s: vec2<f32>) {
  for (var unit = member; unit < p.units; unit += ${groups.perRow}u) {
    let at = row * p.units + unit;
    ${out}[at] = (dy[at] * gamma[unit] - x[at] * s.y) * s.x;
  }
}`;
}

/** Of a part's rows the scale is kept for its columns. */
function partMain(groups: RowGroups): string {
  return `${partRows(groups, 'f32', 's.x')}
  for (var unit = lane; unit < p.units; unit += ${groups.workgroupSize}u) {
    var sum = V(0.0);
    for (var slot = 0u; slot < count; slot++) {
      let at = (first + slot) * p.units + unit;
      sum += dy[at] * x[at] * kept[slot];
    }
    dgamma[group * p.units + unit] = sum;
  }
}`;
}
