/** Room: bench/measure. Plain computations in float64, to check results by before they are timed. */

export type Values = ArrayLike<number>;

/** Σ_k a(k)·b(k) */
export function dot(length: number, a: (k: number) => number, b: (k: number) => number): number {
  let sum = 0;
  for (let k = 0; k < length; k++) sum += a(k) * b(k);
  return sum;
}

/** GELU by its tanh approximation. */
export function geluTanh(x: number): number {
  return 0.5 * x * (1 + Math.tanh(Math.sqrt(2 / Math.PI) * (x + 0.044715 * x ** 3)));
}

/** Layer normalisation of rows [rows, cols]. */
export function layerNorm(x: Values, gamma: Values, beta: Values, cols: number, eps: number): Float64Array {
  const y = new Float64Array(x.length);
  for (let start = 0; start < x.length; start += cols) {
    const at = (i: number): number => x[start + i]!;
    const mean = dot(cols, at, () => 1) / cols;
    const variance =
      dot(
        cols,
        (i) => at(i) - mean,
        (i) => at(i) - mean,
      ) / cols;
    for (let i = 0; i < cols; i++) y[start + i] = ((at(i) - mean) / Math.sqrt(variance + eps)) * gamma[i]! + beta[i]!;
  }
  return y;
}

/** x / √(mean(x²) + eps) · gamma of rows [rows, cols]. */
export function rmsNorm(x: Values, gamma: Values, cols: number, eps: number): Float64Array {
  const y = new Float64Array(x.length);
  for (let start = 0; start < x.length; start += cols) {
    const at = (i: number): number => x[start + i]!;
    const scale = 1 / Math.sqrt(dot(cols, at, at) / cols + eps);
    for (let i = 0; i < cols; i++) y[start + i] = at(i) * scale * gamma[i]!;
  }
  return y;
}

export interface AttentionSizes {
  readonly seq: number;
  readonly heads: number;
  /** Heads of k and v; as many as of q unless given. */
  readonly kvHeads?: number;
  readonly headDim: number;
  readonly causal?: boolean;
}

/** softmax(q·kᵀ/√headDim)·v of one batch row, [seq, heads·headDim] each. */
export function attention(q: Values, k: Values, v: Values, sizes: AttentionSizes): Float64Array {
  const { seq, heads, kvHeads = heads, headDim, causal = false } = sizes;
  const out = new Float64Array(seq * heads * headDim);
  for (let h = 0; h < heads; h++) {
    const kv = Math.floor((h * kvHeads) / heads);
    const query = (row: number): number => (row * heads + h) * headDim;
    const key = (row: number): number => (row * kvHeads + kv) * headDim;
    for (let i = 0; i < seq; i++) {
      const score = (j: number): number =>
        dot(
          headDim,
          (d) => q[query(i) + d]!,
          (d) => k[key(j) + d]!,
        );
      const seen = causal ? i + 1 : seq;
      const weights = softmax(Array.from({ length: seen }, (_, j) => score(j) / Math.sqrt(headDim)));
      for (let d = 0; d < headDim; d++)
        out[query(i) + d] = dot(
          seen,
          (j) => weights[j]!,
          (j) => v[key(j) + d]!,
        );
    }
  }
  return out;
}

export function softmax(scores: Values): Float64Array {
  const most = Array.from(scores).reduce((a, b) => Math.max(a, b));
  const raised = Float64Array.from(scores, (s) => Math.exp(s - most));
  const total = raised.reduce((a, b) => a + b, 0);
  return raised.map((e) => e / total);
}

/** Σ dy·(f(x + εu) − f(x − εu)) / 2ε: the derivative of Σ dy·f along u. */
export function directional(f: (x: Float64Array) => Float64Array, x: Values, u: Values, dy: Values): number {
  const step = 1e-4;
  const moved = (sign: number): Float64Array => f(Float64Array.from(x, (value, i) => value + sign * step * u[i]!));
  const [ahead, behind] = [moved(1), moved(-1)];
  return dot(
    ahead.length,
    (i) => dy[i]!,
    (i) => (ahead[i]! - behind[i]!) / (2 * step),
  );
}
