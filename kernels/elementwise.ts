/** Room: kernels. Runs a fragment over every element of its outputs. */
import { assemble, mainHead, u32Params } from './assemble.ts';
import { fragmentBytes, fragmentFlops, hostFragment } from './fragment-host.ts';
import type { Fragment } from './fragment.ts';
import { spread, type DeviceTraits, type Kernel } from './kernel.ts';

const LANES = 64;

/**
 * A fused elementwise kernel: bindings are the fragment's inputs, then its outputs (see `HostedFragment.bindings`).
 * Four neighbours at a time where `size` is a multiple of 4.
 * @param size elements of every output
 */
export function elementwise(size: number, fragment: Fragment, { software }: DeviceTraits): Kernel {
  const vector = size % 4 === 0;
  const width = vector ? 4 : 1;
  const cols = matrixWidth(fragment, size, width);
  const hosted = hostFragment(fragment, { name: 'apply', size, vector, result: 'store', ...(cols && { cols }) });
  const units = size / width;
  // On a CPU a workgroup costs as much as hundreds of elements: give each a long contiguous run.
  const run = LANES * (software ? 32 : 1);
  return assemble({
    name: 'elementwise',
    bindings: hosted.bindings,
    params: [...u32Params({ units, run, ...(cols && walkSteps(cols / width)) }), ...hosted.params],
    body: `${hosted.wgsl}\n${cols ? matrixWalk(width) : flatWalk(width)}`,
    vector,
    vectorBindings: hosted.vectorBindings,
    workgroups: spread(Math.ceil(units / run)),
    flops: fragmentFlops(fragment, size),
    bytes: fragmentBytes(fragment, size, 'store'),
  });
}

/** The row length by which some broadcast operand is indexed, if it splits the elements into whole rows and units. */
function matrixWidth({ inputs }: Fragment, size: number, width: number): number | undefined {
  return inputs
    .filter(({ inner, count }) => count > 1 && !(inner === 1 && count === size))
    .map(({ inner, count }) => (inner > 1 && inner * count === size ? inner : inner * count))
    .find((cols) => size % cols === 0 && cols % width === 0);
}

const MAIN = `${mainHead(LANES)}
  let first = group * p.run + lane;
  let end = min((group + 1u) * p.run, p.units);`;

function flatWalk(width: number): string {
  return `${MAIN}
  for (var i = first; i < end; i += ${LANES}u) { apply(i * ${width}u); }
}`;
}

/** How far row and column move when a lane goes on by LANES units. */
function walkSteps(rowUnits: number): Record<string, number> {
  return { row_units: rowUnits, step_rows: Math.floor(LANES / rowUnits), step_units: LANES % rowUnits };
}

/** Divides once per lane, then carries row and column along: division is the dearest thing in a short fragment. */
function matrixWalk(width: number): string {
  return `${MAIN}
  var row = first / p.row_units;
  var unit = first % p.row_units;
  for (var i = first; i < end; i += ${LANES}u) {
    apply(i * ${width}u, row, unit * ${width}u);
    let next = unit + p.step_units;
    let carry = next >= p.row_units;
    unit = select(next, next - p.row_units, carry);
    row += p.step_rows + select(0u, 1u, carry);
  }
}`;
}
