/**
 * Room: pretrain. Where pretraining starts from: word vectors that factorise which tokens occur near which. They cost
 * seconds, and a small model trained for minutes learns little about single words otherwise. Pure functions.
 */
import { EigenvalueDecomposition, Matrix, QrDecomposition } from 'ml-matrix';
import type { HostRandom } from '../engine/random.ts';
import type { Block } from './mlm.ts';

/** Tokens to either side that count as near; a neighbour at distance d counts 1/d. */
const WINDOW = 5;
/** Exponent that flattens the distribution of contexts (Levy, Goldberg and Dagan 2015). */
const SMOOTHING = 0.75;
/** Directions followed beyond those asked for, and rounds of subspace iteration (Halko, Martinsson and Tropp 2011). */
const EXTRA = 32;
const ROUNDS = 3;

/** Entries of a square matrix that are not 0, row by row. */
interface SparseMatrix {
  readonly size: number;
  /** Row i has the entries start[i] … start[i + 1] − 1. */
  readonly start: Uint32Array;
  readonly columns: Uint32Array;
  readonly values: Float32Array;
}

/**
 * One vector a token: the leading eigenvectors of the positive pointwise mutual information of neighbours, each times the
 * root of its eigenvalue (Levy and Goldberg 2014).
 * @param vocabSize tokens; those that `ignored` names and those without neighbours get zeros, up to rounding
 * @param random draws the directions to begin with
 * @returns row-major [vocabSize, dimensions], with a mean square of 1
 */
export function wordVectors(
  blocks: readonly Block[],
  { vocabSize, dimensions, ignored }: { vocabSize: number; dimensions: number; ignored: ReadonlySet<number> },
  random: HostRandom,
): Float32Array {
  const information = mutualInformation(countNeighbours(blocks, vocabSize, ignored), vocabSize);
  const { values, vectors } = leadingEigenvectors(information, dimensions, random);
  const result = new Float32Array(vocabSize * dimensions);
  for (let token = 0; token < vocabSize; token++) {
    for (let d = 0; d < dimensions; d++) {
      result[token * dimensions + d] = vectors.get(token, d) * Math.sqrt(Math.abs(values[d]!));
    }
  }
  return scaleToUnit(result);
}

/** log p(token), with one occurrence added to each: what an output layer should say before it has learned anything. */
export function tokenLogits(blocks: readonly Block[], vocabSize: number): Float32Array {
  const counts = new Float64Array(vocabSize).fill(1);
  for (const { ids } of blocks) for (const id of ids) counts[id]!++;
  const total = counts.reduce((sum, n) => sum + n, 0);
  return Float32Array.from(counts, (n) => Math.log(n / total));
}

/** Symmetric, dense [vocabSize, vocabSize]. */
function countNeighbours(blocks: readonly Block[], vocabSize: number, ignored: ReadonlySet<number>): Float32Array {
  const counts = new Float32Array(vocabSize * vocabSize);
  for (const { ids } of blocks) {
    const words = ids.filter((id) => !ignored.has(id));
    for (let i = 0; i < words.length; i++) {
      for (let distance = 1; distance <= WINDOW && i + distance < words.length; distance++) {
        const [a, b] = [words[i]!, words[i + distance]!];
        counts[a * vocabSize + b]! += 1 / distance;
        counts[b * vocabSize + a]! += 1 / distance;
      }
    }
  }
  return counts;
}

/** max(0, log p(a, b) / (p(a) p'(b))), averaged over the two roles of a pair; p' is smoothed. */
function mutualInformation(counts: Float32Array, size: number): SparseMatrix {
  const totals = Float64Array.from({ length: size }, (_, i) =>
    counts.subarray(i * size, (i + 1) * size).reduce((sum, n) => sum + n, 0),
  );
  const smoothed = totals.map((n) => n ** SMOOTHING);
  const scale = smoothed.reduce((sum, n) => sum + n, 0);
  const start = new Uint32Array(size + 1);
  const columns: number[] = [];
  const values: number[] = [];
  const information = (n: number, a: number, b: number): number =>
    Math.max(0, Math.log((n * scale) / (totals[a]! * smoothed[b]!)));
  for (let a = 0; a < size; a++) {
    for (let b = 0; b < size; b++) {
      const n = counts[a * size + b]!;
      if (n === 0) continue;
      const value = (information(n, a, b) + information(n, b, a)) / 2;
      if (value === 0) continue;
      columns.push(b);
      values.push(value);
    }
    start[a + 1] = columns.length;
  }
  return { size, start, columns: Uint32Array.from(columns), values: Float32Array.from(values) };
}

/** Subspace iteration, then the eigenvectors within the subspace; largest absolute eigenvalue first. */
function leadingEigenvectors(
  matrix: SparseMatrix,
  count: number,
  random: HostRandom,
): { values: number[]; vectors: Matrix } {
  const width = Math.min(matrix.size, count + EXTRA);
  let basis = new Matrix(matrix.size, width);
  for (let i = 0; i < matrix.size; i++) for (let j = 0; j < width; j++) basis.set(i, j, random.normal());
  for (let round = 0; round < ROUNDS; round++) basis = new QrDecomposition(multiply(matrix, basis)).orthogonalMatrix;
  const inside = basis.transpose().mmul(multiply(matrix, basis));
  const { realEigenvalues, eigenvectorMatrix } = new EigenvalueDecomposition(inside, { assumeSymmetric: true });
  const order = [...realEigenvalues.keys()].sort(
    (a, b) => Math.abs(realEigenvalues[b]!) - Math.abs(realEigenvalues[a]!),
  );
  const leading = order.slice(0, count);
  const chosen = eigenvectorMatrix.subMatrixColumn(leading);
  return { values: leading.map((i) => realEigenvalues[i]!), vectors: basis.mmul(chosen) };
}

function multiply({ size, start, columns, values }: SparseMatrix, right: Matrix): Matrix {
  const width = right.columns;
  const rows = right.to2DArray();
  const product = Matrix.zeros(size, width);
  const sum = new Float64Array(width);
  for (let i = 0; i < size; i++) {
    sum.fill(0);
    for (let k = start[i]!; k < start[i + 1]!; k++) {
      const value = values[k]!;
      const row = rows[columns[k]!] as number[];
      for (let j = 0; j < width; j++) sum[j]! += value * row[j]!;
    }
    product.setRow(i, sum);
  }
  return product;
}

function scaleToUnit(values: Float32Array): Float32Array {
  const root = Math.sqrt(values.reduce((sum, x) => sum + x * x, 0) / values.length);
  return values.map((x) => x / root);
}
