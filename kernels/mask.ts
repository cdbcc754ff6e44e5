/** Room: kernels. Gradients through a mask over columns: of heads, of neurons, of ranks. */
import { assemble, bind, mainHead, u32Params, vectorize } from './assemble.ts';
import { spread, type DeviceTraits, type Kernel } from './kernel.ts';
import { policyOf } from './policy.ts';
import { colParts } from './reduce.ts';
import { SUM_BLOCK } from './row-group.ts';

/** Of x [rows, cols] times a mask [cols / inner]. */
export interface MaskGradSpec {
  readonly rows: number;
  readonly cols: number;
  /** Neighbouring columns that share a mask entry: the head width for heads, 1 for neurons and ranks. */
  readonly inner: number;
}

/** First dimension of the partial mask gradients that `maskGrad` writes. */
export const maskParts = colParts;

/**
 * For y = x ∘ m, both gradients in one pass over dy and x. Bindings, all f32: dy, x [rows, cols], m [cols/inner]; then
 * dx = dy ∘ m [rows, cols] and dm [maskParts(rows, cols), cols/inner] = Σ dy·x over a run of rows and the columns of an
 * entry, to be summed over its first dimension.
 * @param inPlace dx overwrites dy, whose binding it then is
 */
export function maskGrad(spec: MaskGradSpec, traits: DeviceTraits, inPlace = false): Kernel {
  const { rows, cols, inner } = spec;
  const parts = maskParts(rows, cols);
  const { body, vectorBindings, params, workgroupsPerPart } =
    inner === 1 ? perColumn(spec, traits) : perGroup(spec, traits);
  const bindings = inPlace
    ? [...bind('inout', 'f32', 'dy'), ...bind('in', 'f32', 'x', 'm'), ...bind('out', 'f32', 'dm')]
    : [...bind('in', 'f32', 'dy', 'x', 'm'), ...bind('out', 'f32', 'dx', 'dm')];
  return assemble({
    name: inner === 1 ? 'mask_grad.columns' : 'mask_grad.groups',
    bindings,
    params: u32Params({ rows, parts, part_rows: Math.ceil(rows / parts), per_part: workgroupsPerPart, ...params }),
    body: `${columnWalk(inPlace ? 'dy' : 'dx')}\n${body}`,
    vector: vectorBindings.length > 0,
    vectorBindings,
    workgroups: spread(workgroupsPerPart * parts),
    flops: 3 * rows * cols,
    bytes: 4 * (3 * rows * cols + (1 + parts) * (cols / inner)),
  });
}

interface Body {
  readonly body: string;
  readonly vectorBindings: readonly string[];
  readonly params: Readonly<Record<string, number>>;
  readonly workgroupsPerPart: number;
}

/** Walks one unit (a column, or four) down the rows of a part: writes dx into `out`, gives Σ dy·x. */
const columnWalk = (out: 'dx' | 'dy'): string => `fn walk(part: u32, unit: u32, mask: V) -> V {
  let last = min((part + 1u) * p.part_rows, p.rows);
  var total = V(0.0);
  for (var block = part * p.part_rows; block < last; block += ${SUM_BLOCK}u) {
    var partial = V(0.0);
    for (var row = block; row < min(block + ${SUM_BLOCK}u, last); row++) {
      let at = row * p.units + unit;
      let d = dy[at];
      ${out}[at] = d * mask;
      partial += d * x[at];
    }
    total += partial;
  }
  return total;
}`;

/** A lane per column, or per four of them. */
function perColumn({ cols }: MaskGradSpec, traits: DeviceTraits): Body {
  const { vector, units } = vectorize(cols);
  const workgroupSize = policyOf(traits).columnWorkgroupSize;
  const body = `${mainHead(workgroupSize)}
  let part = group / p.per_part;
  let unit = group % p.per_part * ${workgroupSize}u + lane;
  if (part >= p.parts || unit >= p.units) { return; }
  dm[part * p.units + unit] = walk(part, unit, m[unit]);
}`;
  const vectorBindings = vector ? ['dy', 'x', 'm', 'dx', 'dm'] : [];
  return { body, vectorBindings, params: { units }, workgroupsPerPart: Math.ceil(units / workgroupSize) };
}

/** Several columns per entry, taken by one lane or shared by neighbours. */
function perGroup({ cols, inner }: MaskGradSpec, traits: DeviceTraits): Body {
  const { vector, units: groupUnits } = vectorize(inner);
  const { columnWorkgroupSize: workgroupSize, shareColumns } = policyOf(traits);
  const sharers = shareColumns ? Math.min(groupUnits, workgroupSize) : 1;
  const groupsPerWorkgroup = Math.floor(workgroupSize / sharers);
  const body = `${sharers > 1 ? `var<workgroup> shares: array<f32, ${workgroupSize}>;` : ''}
${mainHead(workgroupSize)}
  let part = group / p.per_part;
  let slot = lane / ${sharers}u;
  let entry = group % p.per_part * ${groupsPerWorkgroup}u + slot;
  let owned = part < p.parts && slot < ${groupsPerWorkgroup}u && entry < p.entries;
  var total = 0.0;
  if (owned) {
    for (var i = lane % ${sharers}u; i < p.group_units; i += ${sharers}u) {
      total += hsum(walk(part, entry * p.group_units + i, V(m[entry])));
    }
  }
${sharers > 1 ? collectShares(sharers) : ''}
  if (owned && lane % ${sharers}u == 0u) { dm[part * p.entries + entry] = total; }
}`;
  const entries = cols / inner;
  return {
    body,
    vectorBindings: vector ? ['dy', 'x', 'dx'] : [],
    params: { units: entries * groupUnits, group_units: groupUnits, entries },
    workgroupsPerPart: Math.ceil(entries / groupsPerWorkgroup),
  };
}

function collectShares(sharers: number): string {
  return `  shares[lane] = total;
  workgroupBarrier();
  if (owned && lane % ${sharers}u == 0u) {
    for (var i = 1u; i < ${sharers}u; i++) { total += shares[lane + i]; }
  }`;
}
