/** Room: kernels. Runs a fragment over every element of its outputs. */
import { assemble, mainHead, u32Params, vectorize } from './assemble.ts';
import { fragmentBytes, fragmentFlops, emitFragment } from './emit-fragment.ts';
import type { Fragment } from './fragment.ts';
import { spread, type DeviceTraits, type Kernel } from './kernel.ts';
import { policyOf } from './policy.ts';

const WORKGROUP_SIZE = 64;

/**
 * A fused elementwise kernel: `fragment` for each of `size` elements. Bindings are the fragment's inputs, then its outputs (see `EmittedFragment.bindings`).
 * Four neighbours at a time where `size` is a multiple of 4. Flops are the operators and calls of the fragment's text.
 * @param size elements of every output
 * @throws Error where an output is to overwrite an input that is another tensor by dtype or size
 */
export function elementwise(size: number, fragment: Fragment, traits: DeviceTraits): Kernel {
  const { vector, width, units } = vectorize(size);
  const cols = matrixWidth(fragment, size, width);
  const emitted = emitFragment(fragment, { name: 'apply', size, vector, result: 'store', cols });
  const run = WORKGROUP_SIZE * policyOf(traits).elementsPerLane;
  return assemble({
    name: 'elementwise',
    bindings: emitted.bindings,
    params: [...u32Params({ units, run, ...(cols && walkSteps(cols / width)) }), ...emitted.params],
    body: `${emitted.wgsl}\n${cols ? matrixWalk(width) : flatWalk(width)}`,
    vector,
    vectorBindings: emitted.vectorBindings,
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

const MAIN = `${mainHead(WORKGROUP_SIZE)}
  let first = group * p.run + lane;
  let end = min((group + 1u) * p.run, p.units);`;

function flatWalk(width: number): string {
  return `${MAIN}
  for (var i = first; i < end; i += ${WORKGROUP_SIZE}u) { apply(i * ${width}u); }
}`;
}

/** How far row and column move when a lane goes on by LANES units. */
function walkSteps(rowUnits: number): Record<string, number> {
  return {
    row_units: rowUnits,
    step_rows: Math.floor(WORKGROUP_SIZE / rowUnits),
    step_units: WORKGROUP_SIZE % rowUnits,
  };
}

/** Divides once per lane, then carries row and column along: division is the dearest thing in a short fragment. */
function matrixWalk(width: number): string {
  return `${MAIN}
  var row = first / p.row_units;
  var unit = first % p.row_units;
  for (var i = first; i < end; i += ${WORKGROUP_SIZE}u) {
    apply(i * ${width}u, row, unit * ${width}u);
    let next = unit + p.step_units;
    let carry = next >= p.row_units;
    unit = select(next, next - p.row_units, carry);
    row += p.step_rows + select(0u, 1u, carry);
  }
}`;
}
