/** Room: kernels/attention. What an attention is asked to be, and what its kernels have in common around their bodies. */
import { assemble, bind, u32Params } from '../assemble.ts';
import { spread, type Kernel, type Param } from '../kernel.ts';

/** Multi-head attention of queries [batch·seq, heads·headDim] over keys and values [batch·keys, kvHeads·headDim]. */
export interface AttentionSpec {
  readonly batch: number;
  /** Queries of a sequence. */
  readonly seq: number;
  /** Keys of a sequence. */
  readonly keys: number;
  /** Heads of the queries. */
  readonly heads: number;
  /** Heads of keys and values (Ainslie et al. 2023). */
  readonly kvHeads: number;
  /** The key/value head of each query head; absent: heads / kvHeads neighbours share one. */
  readonly kvHeadOf?: readonly number[];
  /** Width of a head; at most 128. */
  readonly headDim: number;
  /** Whether a query sees only keys at or before its own position. */
  readonly causal: boolean;
  /** Whether the binding `position` (i32 [1]) is there: the place of the first query among the keys, which else is 0. */
  readonly position: boolean;
  /**
   * Whether the mask holds segments: a query sees only keys of its own segment. Segments are numbered from 1 on along a sequence, each in
   * one piece, padding (0) only after the last. Not together with `position`.
   */
  readonly segmented?: boolean;
  /** Multiplies the scores, usually 1/√headDim. */
  readonly scale: number;
  /** Whether the binding `head_mask` (f32 [heads]) is there: heads whose entry is exactly 0 are skipped and give 0. */
  readonly headMask: boolean;
}

/** One of the two sequences that attention relates, in WGSL: its first unit of batch b and head, units from row to row, rows. */
export interface Side {
  readonly start: string;
  readonly rowUnits: string;
  readonly length: string;
}

/** Of q, o and their gradients; and of lse and delta. */
export const QUERIES: Side = { start: 'base', rowUnits: 'p.row_units', length: 'p.seq' };
/** Of k, v and their gradients. */
export const KEYS: Side = { start: 'kv_base', rowUnits: 'p.kv_row_units', length: 'p.keys' };

/** A score no real one falls below; exp of differences with it is 0. */
export const LEAST = '-1e30';
/** Turns scores into exponents of 2, in f64 digits. */
export const LOG2E = '1.4426950408889634';
/** Turns them back. */
export const LN2 = '0.6931471805599453';

/** The forward pass; the gradient of q; the gradients of k and v. */
export type AttentionDirection = 'forward' | 'backward_q' | 'backward_kv';

interface Descriptor {
  /** Bindings before the masks and after them. `lse` and `delta` are [batch, heads, seq], the others rows of heads. */
  readonly inputs: readonly string[];
  readonly outputs: readonly string[];
  /** Whose rows workgroups compute. */
  readonly side: Side;
  /** Multiply-adds per query, key and element of a head. */
  readonly products: number;
}

const DESCRIPTORS: Readonly<Record<AttentionDirection, Descriptor>> = {
  forward: { inputs: ['q', 'k', 'v'], outputs: ['o', 'lse'], side: QUERIES, products: 2 },
  backward_q: {
    inputs: ['q', 'k', 'v', 'o', 'lse', 'dout'],
    outputs: ['dq', 'delta'],
    side: QUERIES,
    products: 3,
  },
  backward_kv: { inputs: ['q', 'k', 'v', 'lse', 'dout', 'delta'], outputs: ['dk', 'dv'], side: KEYS, products: 4 },
};

/** What a template adds to its direction's descriptor. */
export interface AttentionParts {
  readonly body: string;
  /** Rows of its side that a workgroup computes. */
  readonly rows: number;
  /** WGSL extensions. */
  readonly enables?: readonly string[];
}

const OF_KEYS: readonly string[] = ['k', 'v', 'dk', 'dv'];
const PER_QUERY: readonly string[] = ['lse', 'delta'];

/**
 * Bindings, uniforms and dispatch around a body. The uniforms: batch, heads, kv_heads, seq, keys, scale, `units` of a head's
 * row (four elements where headDim is a multiple of 4), `row_units` of all heads, `kv_row_units`, `rows`, `tiles`, the
 * workgroups along the sequence, `once`, which is 1 (kernels/attention/panel.ts), and what KV_HEAD_OF needs.
 */
export function finish(
  spec: AttentionSpec,
  direction: AttentionDirection,
  { body, rows, enables }: AttentionParts,
): Kernel {
  const { batch, heads, kvHeads, kvHeadOf, seq, keys, headDim, causal, scale } = spec;
  const { inputs, outputs, side, products } = DESCRIPTORS[direction];
  const vector = isVector(spec);
  const units = unitsOf(spec);
  const [length, sideHeads] = side === QUERIES ? [seq, heads] : [keys, kvHeads];
  const tiles = Math.ceil(length / rows);
  const all = [...inputs, ...outputs];
  const params: Param[] = [
    ...u32Params({ batch, heads, kv_heads: kvHeads, seq, keys, units, tiles, rows, once: 1 }),
    ...u32Params({ row_units: heads * units, kv_row_units: kvHeads * units }),
    { name: 'scale', type: 'f32', value: scale },
    kvHeadOf
      ? { name: 'kv_head_of', type: 'u32', value: kvHeadOf }
      : { name: 'share', type: 'u32', value: heads / kvHeads },
  ];
  const pairs = causal && !spec.position ? (seq * (seq + 1)) / 2 : seq * keys;
  return assemble({
    name: `attention_${direction}`,
    enables,
    bindings: [
      ...bind('in', 'f32', ...inputs),
      ...bind('in', 'i32', 'mask'),
      ...bind('in', 'f32', ...(spec.headMask ? ['head_mask'] : [])),
      ...bind('in', 'i32', ...(spec.position ? ['position'] : [])),
      ...bind('out', 'f32', ...outputs),
    ],
    params,
    body: `fn kv_head_of(h: u32) -> u32 { return ${kvHeadOf ? 'p.kv_head_of[h / 4u][h % 4u]' : 'h / p.share'}; }\n${body}`,
    vector,
    vectorBindings: vector ? all.filter((binding) => !PER_QUERY.includes(binding)) : [],
    workgroups: spread(batch * sideHeads * tiles),
    flops: (2 * products * headDim + 5) * batch * heads * pairs,
    bytes: 4 * (batch * keys + all.reduce((sum, binding) => sum + elementsOf(spec, binding), 0)),
  });
}

function elementsOf({ batch, seq, keys, heads, kvHeads, headDim }: AttentionSpec, binding: string): number {
  if (PER_QUERY.includes(binding)) return batch * seq * heads;
  return OF_KEYS.includes(binding) ? batch * keys * kvHeads * headDim : batch * seq * heads * headDim;
}

function isVector({ headDim }: AttentionSpec): boolean {
  return headDim % 4 === 0;
}

/** Registers of type V that hold one row of a head. */
export function unitsOf(spec: AttentionSpec): number {
  return isVector(spec) ? spec.headDim / 4 : spec.headDim;
}

/**
 * Where a workgroup is: its number `tile` along its side's sequence, its batch b, and its key/value head `kv`. On the side
 * of the queries also its head h; on the other `eachQueryHead` walks the heads h that read `kv`.
 * `base` is the unit where row 0 of b and h starts, `kv_base` that of the keys, `entry` the first query's number in lse,
 * `shift` its position among the keys.
 */
export function where(spec: AttentionSpec, side: Side): string {
  const headed = side === QUERIES;
  const count = headed ? 'p.heads' : 'p.kv_heads';
  return `  let tile = group % p.tiles;
  let ${headed ? 'h' : 'kv'} = group / p.tiles % ${count};
  let b = group / p.tiles / ${count};
  if (b >= p.batch) { return; }
  let shift = ${spec.position ? 'u32(position[0])' : '0u'};
  ${headed ? `let kv = kv_head_of(h);\n  ${OF_HEAD}` : ''}
  let kv_base = b * p.keys * p.kv_row_units + kv * p.units;`;
}

const OF_HEAD = `let base = b * p.seq * p.row_units + h * p.units;
  let entry = (b * p.heads + h) * p.seq;`;

/** Whether a key is seen, as the mask tells it: WGSL of the keys' and the query's place in their sequence. */
export function seenKey({ segmented }: AttentionSpec, key: string, row: string): string {
  return segmented ? `(${segmentAt(key)} != 0 && ${segmentAt(key)} == ${segmentAt(row)})` : `${segmentAt(key)} != 0`;
}

/** The contrary of `seenKey`. */
export function unseenKey(spec: AttentionSpec, key: string, row: string): string {
  return spec.segmented ? `!${seenKey(spec, key, row)}` : `${segmentAt(key)} == 0`;
}

/** The mask of a place in sequence b: its segment, where there are any. */
export function segmentAt(place: string): string {
  return `mask[b * p.keys + ${place}]`;
}

/** Where a loop over keys begins for a tile of queries, and the statement before it that finds this: where the first one's segment does. */
export function beginOfKeys({ segmented }: AttentionSpec, firstRow: string): { find: string; begin: string } {
  if (!segmented) return { find: '', begin: '0u' };
  const before = `begin > 0u && ${segmentAt('begin - 1u')} == ${segmentAt(firstRow)}`;
  return { find: `var begin = ${firstRow};\nwhile (${before}) { begin--; }\n`, begin: 'begin' };
}

/** Moves `end`, past a token of a segment, past the segment. */
export const PAST_SEGMENT = `while (end > 0u && end < p.seq && ${segmentAt('end')} == ${segmentAt('end - 1u')}) { end++; }`;

/** Loops over the heads h that read `kv` and are not masked to 0. */
export function eachQueryHead({ headMask }: AttentionSpec, body: string): string {
  return `for (var h = 0u; h < p.heads; h++) {
  if (kv_head_of(h) != kv${headMask ? ' || head_mask[h] == 0.0' : ''}) { continue; }
  ${OF_HEAD}
${body}
}`;
}
