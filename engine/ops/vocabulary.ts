/**
 * Room: engine/ops. The output end of a language model whose vocabulary is too large to treat whole: the table may come in
 * parts that a device can bind, and logits exist for some tokens at a time only, with their gradient in their place.
 */
import { logSumExp as logSumExpKernel, type LogSumExpSpec } from '../../kernels/log-sum-exp.ts';
import { showShape } from '../graph/shape.ts';
import { emit, emitMany, type Op, type Tensor } from '../graph/tensor.ts';
import { slice } from './copy.ts';
import { add, iota, constant, div, equal, exp, greaterEqual, log, maximum, mul, sub, where } from './elementwise.ts';
import { reshape } from './leaf.ts';
import { matmul } from './matmul.ts';
import { expand, sum } from './reduce.ts';
import { dynamicUpdateSlice } from './dynamic-update-slice.ts';

const logSumExpOp: Op<LogSumExpSpec> = {
  name: 'log_sum_exp',
  lowering: { kind: 'kernel', kernel: ({ attrs }, traits) => logSumExpKernel(attrs, traits) },
};

/** Bytes of logits that exist at a time, about; fewer tokens than LEAST_ROWS would use a product badly. */
const CHUNK_BYTES = 32 * 2 ** 20;
const LEAST_ROWS = 64;

/** Of `fusedLinearCrossEntropy`. */
interface FusedCrossEntropyOptions {
  /** About 32 MiB of logits unless given. */
  readonly chunkRows?: number;
  /** As of `crossEntropy`; 0 unless given. */
  readonly labelSmoothing?: number | undefined;
}

/** The loss of some tokens, and its gradient with respect to their hidden states. */
interface Chunk {
  readonly loss: Tensor;
  readonly gradient: Tensor;
}

/** Inputs: the loss, the hidden states, the parts of the table, the gradient. The value is the loss. */
const fusedLinearCrossEntropyOp: Op<undefined> = {
  name: 'fused_linear_cross_entropy',
  lowering: { kind: 'view' },
  vjp: ({ inputs }, [dy], needs) => {
    if (needs.slice(2, -1).includes(true))
      throw new Error('fusedLinearCrossEntropy: no gradient flows to the table; use matmul and crossEntropy');
    return [undefined, dy && mul(inputs[inputs.length - 1]!, dy)];
  },
};

/**
 * Scores of every token, one tensor per part of the vocabulary.
 * @param hidden f32 [rows, width]
 * @param table f32 or f16 [n, width] each, in order
 * @returns f32 [rows, n] each
 */
export function vocabularyLogits(hidden: Tensor, table: readonly Tensor[]): Tensor[] {
  return table.map((part) => matmul(hidden, part, { transposeB: true }));
}

/**
 * `crossEntropy` of hidden·tableᵀ for a frozen table: the mean over the labelled rows. The gradient is computed along with the
 * loss (as in Liger-Kernel, Hsu et al. 2024), so that logits need to exist neither all at once nor twice.
 * @param hidden f32 [rows, width]
 * @param table f32 or f16 [n, width] each, in order
 * @param labels i32 [rows]; a negative label leaves its row out
 * @param options how many rows' logits exist at a time, and PyTorch's label smoothing
 * @returns shape []; 0 where no row is labelled
 * @throws Error naming the shapes where they do not fit, or where a gradient of the table is asked for
 */
export function fusedLinearCrossEntropy(
  hidden: Tensor,
  table: readonly Tensor[],
  labels: Tensor,
  { chunkRows = rowsPerChunk(table), labelSmoothing = 0 }: FusedCrossEntropyOptions = {},
): Tensor {
  const [rows, width] = hidden.shape as [number, number];
  if (hidden.shape.length !== 2 || labels.size !== rows || table.some(({ shape }) => shape[1] !== width)) {
    const parts = table.map(({ shape }) => showShape(shape)).join(', ');
    throw new Error(
      `fusedLinearCrossEntropy: ${showShape(hidden.shape)}, labels ${showShape(labels.shape)}, table ${parts} do not fit`,
    );
  }
  const starts = Array.from({ length: Math.ceil(rows / chunkRows) }, (_, i) => i * chunkRows);
  const flat = reshape(labels, [rows]);
  const smoothing = labelSmoothing > 0 ? { part: labelSmoothing, mean: meanLogits(hidden, table) } : undefined;
  const chunks = starts.map((start) => {
    const count = Math.min(chunkRows, rows - start);
    const part = (x: Tensor): Tensor => (count === rows ? x : slice(x, 0, start, count));
    return chunkLoss(part(hidden), table, part(flat), smoothing && { ...smoothing, mean: part(smoothing.mean) });
  });
  const losses = chunks.map(({ loss }) => loss).reduce((a, b) => add(a, b));
  const gradient = chunks.reduce(
    (whole, chunk, i) => dynamicUpdateSlice(whole, chunk.gradient, { start: starts[i]! }),
    constant(0, hidden.shape),
  );
  const [only] = chunks;
  const total = emit(
    fusedLinearCrossEntropyOp,
    [losses, hidden, ...table, chunks.length === 1 ? only!.gradient : gradient],
    undefined,
    [],
  );
  return div(total, maximum(sum(greaterEqual(labels, 0)), constant(1)));
}

/**
 * −log softmax(logits)[label] of every row, without a gradient.
 * @param logits f32 [rows, classes]
 * @param labels i32 [rows]; a negative label gives 0
 * @returns f32 [rows]
 */
export function crossEntropies(logits: Tensor, labels: Tensor): Tensor {
  return lossesOf([logits], labels).losses;
}

/**
 * −log softmax(hidden·tableᵀ)[label] of every row, without a gradient; logits exist for some rows at a time.
 * @param hidden f32 [rows, width]
 * @param table f32 or f16 [n, width] each, in order
 * @param labels i32 [rows]; a negative label gives 0
 * @param chunkRows rows whose logits exist at a time
 * @returns f32 [rows]
 */
export function linearCrossEntropies(
  hidden: Tensor,
  table: readonly Tensor[],
  labels: Tensor,
  chunkRows: number = rowsPerChunk(table),
): Tensor {
  const rows = labels.size;
  const starts = Array.from({ length: Math.ceil(rows / chunkRows) }, (_, i) => i * chunkRows);
  const chunks = starts.map((start) => {
    const count = Math.min(chunkRows, rows - start);
    const part = (x: Tensor): Tensor => (count === rows ? x : slice(x, 0, start, count));
    return lossesOf(vocabularyLogits(part(hidden), table), part(labels)).losses;
  });
  if (chunks.length === 1) return chunks[0]!;
  const whole = chunks.reduce(
    (into, losses, i) => dynamicUpdateSlice(into, reshape(losses, [losses.size, 1]), { start: starts[i]! }),
    constant(0, [rows, 1]),
  );
  return reshape(whole, [rows]);
}

function rowsPerChunk(table: readonly Tensor[]): number {
  const rows = Math.floor(CHUNK_BYTES / 4 / classesOf(table));
  return Math.max(LEAST_ROWS, rows - (rows % LEAST_ROWS));
}

/** What label smoothing needs beside the logits: the part that it spreads, and the mean logit of every row, f32 [rows, 1]. */
interface Smoothing {
  readonly part: number;
  readonly mean: Tensor;
}

function chunkLoss(hidden: Tensor, table: readonly Tensor[], labels: Tensor, smoothing?: Smoothing): Chunk {
  const column = (x: Tensor): Tensor => reshape(x, [labels.size, 1]);
  const parts = vocabularyLogits(hidden, table);
  const { losses, lse } = lossesOf(parts, labels);
  let start = 0;
  const gradients = parts.map((logits, i) => {
    const label = expand(column(labels), logits.shape);
    const hit = equal(add(iota(logits.shape as [number, number]), start), label);
    start += logits.shape[1]!;
    const target = smoothing ? add(mul(hit, 1 - smoothing.part), smoothing.part / classesOf(table)) : hit;
    const dLogits = where(greaterEqual(label, 0), sub(exp(sub(logits, column(lse))), target), 0);
    return matmul(dLogits, table[i]!);
  });
  const gradient = gradients.reduce((a, b) => add(a, b));
  if (!smoothing) return { loss: sum(losses), gradient };
  const smooth = where(greaterEqual(column(labels), 0), sub(column(lse), smoothing.mean), 0);
  return { loss: add(mul(sum(losses), 1 - smoothing.part), mul(sum(smooth), smoothing.part)), gradient };
}

/** The mean logit of every row, by the mean row of the table: f32 [rows, 1]. */
function meanLogits(hidden: Tensor, table: readonly Tensor[]): Tensor {
  const share = 1 / classesOf(table);
  const mean = table.map((part) => matmul(constant(share, [1, part.shape[0]!]), part)).reduce((a, b) => add(a, b));
  return matmul(hidden, mean, { transposeB: true });
}

function classesOf(table: readonly Tensor[]): number {
  return table.reduce((n, { shape }) => n + shape[0]!, 0);
}

/** Of each row its loss, 0 where it has no label, and the log of the sum of exponentials. @param parts logits of parts of the vocabulary */
function lossesOf(parts: readonly Tensor[], labels: Tensor): { readonly losses: Tensor; readonly lse: Tensor } {
  const rows = labels.size;
  let start = 0;
  const all = parts.map((logits) => {
    const classes = logits.shape[1]!;
    const [lse, picked] = emitMany(logSumExpOp, [logits, labels], { rows, classes, start }, [
      { shape: [rows] },
      { shape: [rows] },
    ]) as [Tensor, Tensor];
    start += classes;
    return { lse, picked };
  });
  const lse = all.map((part) => part.lse).reduce(logAddExp);
  const picked = all.map((part) => part.picked).reduce((a, b) => add(a, b));
  return { losses: where(greaterEqual(labels, 0), sub(lse, picked), 0), lse };
}

/** log(eᵃ + eᵇ) */
function logAddExp(a: Tensor, b: Tensor): Tensor {
  const peak = maximum(a, b);
  return add(peak, log(add(exp(sub(a, peak)), exp(sub(b, peak)))));
}
