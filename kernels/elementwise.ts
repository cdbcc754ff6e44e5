/** Room: kernels. Runs a fragment over every element of its outputs. */
import { fragmentBytes, fragmentFlops, hostFragment } from './fragment-host.ts';
import type { Fragment } from './fragment.ts';
import { declare, spread, type DeviceTraits, type Kernel, type Param } from './kernel.ts';
import { prelude } from './wgsl-lib.ts';

const LANES = 64;

/**
 * A fused elementwise kernel: bindings are the fragment's inputs, then its outputs (see `HostedFragment.bindings`).
 * Four neighbours at a time where `size` is a multiple of 4.
 * @param size elements of every output
 */
export function elementwise(size: number, fragment: Fragment, traits: DeviceTraits): Kernel {
  const vector = size % 4 === 0;
  const width = vector ? 4 : 1;
  const cols = matrixWidth(fragment, size, width);
  const hosted = hostFragment(fragment, { name: 'apply', size, vector, result: 'store', ...(cols && { cols }) });
  const units = size / width;
  // On a CPU a workgroup costs as much as hundreds of elements: give each a long contiguous run.
  const perLane = traits.software ? 32 : 1;
  const params: Param[] = [
    { name: 'units', type: 'u32', value: units },
    { name: 'per_lane', type: 'u32', value: perLane },
    ...(cols ? walkParams(cols / width) : []),
    ...hosted.params,
  ];
  const body = `${hosted.wgsl}\n${cols ? matrixWalk(width) : flatWalk(width)}`;
  return {
    name: 'elementwise',
    wgsl: [declare(hosted.bindings, params, new Set(hosted.vectorBindings)), prelude(body, vector), body].join('\n'),
    bindings: hosted.bindings,
    params,
    workgroups: spread(Math.ceil(units / (LANES * perLane))),
    flops: fragmentFlops(fragment, size),
    bytes: fragmentBytes(fragment, size, 'store'),
  };
}

/** The row length by which some broadcast operand is indexed, if it splits the elements into whole rows and units. */
function matrixWidth({ inputs }: Fragment, size: number, width: number): number | undefined {
  return inputs
    .filter(({ inner, count }) => count > 1 && !(inner === 1 && count === size))
    .map(({ inner, count }) => (inner > 1 && inner * count === size ? inner : inner * count))
    .find((cols) => size % cols === 0 && cols % width === 0);
}

/** How far row and column move when a lane goes on by LANES units. */
function walkParams(rowUnits: number): Param[] {
  return [
    { name: 'row_units', type: 'u32', value: rowUnits },
    { name: 'step_rows', type: 'u32', value: Math.floor(LANES / rowUnits) },
    { name: 'step_units', type: 'u32', value: LANES % rowUnits },
  ];
}

const MAIN = `@compute @workgroup_size(${LANES})
fn main(@builtin(workgroup_id) wid: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
  let start = (wid.y * groups.x + wid.x) * p.per_lane * ${LANES}u;
  let end = min(start + p.per_lane * ${LANES}u, p.units);`;

function flatWalk(width: number): string {
  return `${MAIN}
  for (var i = start + lane; i < end; i += ${LANES}u) { apply(i * ${width}u); }
}`;
}

/** Divides once per lane, then carries row and column along: division is the dearest thing in a short fragment. */
function matrixWalk(width: number): string {
  return `${MAIN}
  var row = (start + lane) / p.row_units;
  var unit = (start + lane) % p.row_units;
  for (var i = start + lane; i < end; i += ${LANES}u) {
    apply(i * ${width}u, row, unit * ${width}u);
    let next = unit + p.step_units;
    let carry = next >= p.row_units;
    unit = select(next, next - p.row_units, carry);
    row += p.step_rows + select(0u, 1u, carry);
  }
}`;
}
