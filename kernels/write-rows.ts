/** Room: kernels. Rows written into a larger matrix at a place known only when the program runs: a cache of keys or values. */
import { assemble, bind, mainHead, u32Params, vectorize } from './assemble.ts';
import { spread, type DeviceTraits, type Kernel } from './kernel.ts';
import { policyOf } from './policy.ts';

/** Rows [batch·count, cols] written into a matrix [batch·capacity, cols]. */
export interface WriteRowsSpec {
  readonly batch: number;
  /** Rows of a sequence in the matrix. */
  readonly capacity: number;
  /** Rows of a sequence that are written. */
  readonly count: number;
  readonly cols: number;
  /** Where they go unless the binding `position` says: the first of them, counted from the sequence's first. */
  readonly start: number;
  /** Whether the binding `position` (i32 [1]) is there; it is added to `start`. */
  readonly position: boolean;
}

const WORKGROUP_SIZE = 64;

/**
 * As XLA's DynamicUpdateSlice, over rows; those that would fall outside are left out. Bindings: into f32 [batch·capacity, cols], rows f32 [batch·count, cols], [position]; then out like `into`: row i of a
 * sequence is row i − start − position of `rows` where there is one, else of `into`.
 * @param inPlace out is `into` itself, and only the written rows are touched
 */
export function writeRows(spec: WriteRowsSpec, traits: DeviceTraits, inPlace = false): Kernel {
  const { batch, capacity, count, cols, start, position } = spec;
  const { vector, width, units } = vectorize(cols);
  const total = batch * (inPlace ? count : capacity) * units;
  const run = WORKGROUP_SIZE * policyOf(traits).rowUnitsPerLane;
  const outputs = inPlace ? [] : ['out'];
  const first = `p.start${position ? ' + u32(position[0])' : ''}`;
  const body = `${mainHead(WORKGROUP_SIZE)}
  let first = ${first};
  let end = min((group + 1u) * p.run, p.total);
  for (var i = group * p.run + lane; i < end; i += ${WORKGROUP_SIZE}u) {
    let unit = i % p.units;
    let row = i / p.units;
${inPlace ? SCATTER : GATHER}
  }
}`;
  return assemble({
    name: 'write_rows',
    bindings: [
      ...bind(inPlace ? 'inout' : 'in', 'f32', 'into'),
      ...bind('in', 'f32', 'rows'),
      ...bind('in', 'i32', ...(position ? ['position'] : [])),
      ...bind('out', 'f32', ...outputs),
    ],
    params: u32Params({ units, total, run, start, capacity, count }),
    body,
    vector,
    vectorBindings: vector ? ['into', 'rows', ...outputs] : [],
    workgroups: spread(Math.ceil(total / run)),
    flops: 0,
    bytes: 8 * total * width,
  });
}

/** `row` counts the rows written. */
const SCATTER = `    let place = first + row % p.count;
    if (place < p.capacity) { into[(row / p.count * p.capacity + place) * p.units + unit] = rows[i]; }`;

/** `row` counts the rows of the matrix. */
const GATHER = `    let place = row % p.capacity;
    let written = place >= first && place < first + p.count;
    let source = row / p.capacity * p.count + select(0u, place - first, written);
    out[i] = select(into[i], rows[source * p.units + unit], written);`;
