/**
 * Room: kernels. The WGSL functions kernels and fragments may call by name, over the alias `V` (`vec4<f32>` or `f32`).
 * `prelude` gives a module the alias and only those functions its text needs.
 */

/** One library function: its WGSL, where scalar and vector hosts differ one text for each. */
type Source = string | { readonly scalar: string; readonly vector: string };

const FUNCTIONS: Readonly<Record<string, Source>> = {
  // The built-in clamp, min and max may lose a NaN; comparisons with one are false.
  clip: `fn clip(x: V, limit: f32) -> V {
  let low = select(x, V(-limit), x < V(-limit));
  return select(low, V(limit), low > V(limit));
}`,
  relu: `fn relu(x: V) -> V { return select(x, V(0.0), x < V(0.0)); }`,
  // By bits, as compilers take x != x for false.
  is_nan: {
    scalar: 'fn is_nan(x: V) -> bool { return (bitcast<u32>(x) & 0x7fffffffu) > 0x7f800000u; }',
    vector: `fn is_nan(x: V) -> vec4<bool> {
  return (bitcast<vec4<u32>>(x) & vec4(0x7fffffffu)) > vec4(0x7f800000u);
}`,
  },
  greater: `fn greater(a: V, b: V) -> V { return select(max(a, b), a + b, is_nan(a) | is_nan(b)); }`,
  less: `fn less(a: V, b: V) -> V { return select(min(a, b), a + b, is_nan(a) | is_nan(b)); }`,
  // Rational approximation on [-4, 4] (Eigen's and XLA's); |error| ≤ 5e-7, exactly ±1 from |x| = 4 on.
  erf: `fn erf(x: V) -> V {
  let t = clip(x, 4.0);
  let z = t * t;
  var n = V(-2.72614225801306e-10);
  n = n * z + V(2.77068142495902e-08);
  n = n * z + V(-2.10102402082508e-06);
  n = n * z + V(-5.69250639462346e-05);
  n = n * z + V(-7.34990630326855e-04);
  n = n * z + V(-2.95459980854025e-03);
  n = n * z + V(-1.60960333262415e-02);
  var d = V(-1.45660718464996e-05);
  d = d * z + V(-2.13374055278905e-04);
  d = d * z + V(-1.68282697438203e-03);
  d = d * z + V(-7.37332916720468e-03);
  d = d * z + V(-1.42647390514189e-02);
  return clip(t * n / d, 1.0);
}`,
  // The built-in may overflow to NaN; tanh(10) rounds to 1 in f32.
  tanh_safe: `fn tanh_safe(x: V) -> V { return tanh(clip(x, 10.0)); }`,
  sigmoid: `fn sigmoid(x: V) -> V { return V(1.0) / (V(1.0) + exp(-clip(x, 88.0))); }`,
  silu: `fn silu(x: V) -> V { return x * sigmoid(x); }`,
  silu_grad: `fn silu_grad(x: V) -> V {
  let s = sigmoid(x);
  return s * (V(1.0) + x * (V(1.0) - s));
}`,
  gelu_erf: `fn gelu_erf(x: V) -> V { return V(0.5) * x * (V(1.0) + erf(x * V(0.70710678))); }`,
  gelu_erf_grad: `fn gelu_erf_grad(x: V) -> V {
  return V(0.5) * (V(1.0) + erf(x * V(0.70710678))) + x * V(0.39894228) * exp(max(V(-0.5) * x * x, V(-87.0)));
}`,
  // (1 + tanh u) / 2 is the logistic function of 2u; beyond |x| = 10 it is 0 or 1 to f32.
  gelu_tanh: `fn gelu_tanh(x: V) -> V {
  let c = clip(x, 10.0);
  return x / (V(1.0) + exp(V(-1.59576912) * c * (V(1.0) + V(0.044715) * c * c)));
}`,
  gelu_tanh_grad: `fn gelu_tanh_grad(x: V) -> V {
  let c = clip(x, 10.0);
  let e = exp(V(-1.59576912) * c * (V(1.0) + V(0.044715) * c * c));
  let s = V(1.0) / (V(1.0) + e);
  return s + c * (e * s * s) * V(1.59576912) * (V(1.0) + V(0.134145) * c * c);
}`,
  hsum: {
    scalar: 'fn hsum(v: V) -> f32 { return v; }',
    vector: 'fn hsum(v: V) -> f32 { return (v.x + v.y) + (v.z + v.w); }',
  },
  hmax: {
    scalar: 'fn hmax(v: V) -> f32 { return v; }',
    vector: 'fn hmax(v: V) -> f32 { return max(max(v.x, v.y), max(v.z, v.w)); }',
  },
  columns: {
    scalar: 'fn columns(index: u32, cols: u32) -> V { return f32(index % cols); }',
    vector: 'fn columns(index: u32, cols: u32) -> V { return V((vec4(index) + vec4(0u, 1u, 2u, 3u)) % vec4(cols)); }',
  },
  // High words of a * b for each pair: WGSL has no 64-bit integers.
  mul_high: `fn mul_high(a: vec2<u32>, b: vec2<u32>) -> vec2<u32> {
  let a0 = a & vec2(0xffffu);
  let a1 = a >> vec2(16u);
  let b0 = b & vec2(0xffffu);
  let b1 = b >> vec2(16u);
  let mid = a1 * b0 + ((a0 * b0) >> vec2(16u));
  let cross = a0 * b1 + (mid & vec2(0xffffu));
  return a1 * b1 + (mid >> vec2(16u)) + (cross >> vec2(16u));
}`,
  // Philox 4x32-10 (Salmon et al., "Parallel random numbers: as easy as 1, 2, 3", SC 2011), bit for bit.
  philox: `fn philox(counter: vec4<u32>, key: vec2<u32>) -> vec4<u32> {
  const multiplier = vec2(0xD2511F53u, 0xCD9E8D57u);
  var c = counter;
  var k = key;
  for (var round = 0; round < 10; round++) {
    let high = mul_high(multiplier, c.xz);
    let low = multiplier * c.xz;
    c = vec4(high.y ^ c.y ^ k.x, low.y, high.x ^ c.w ^ k.y, low.x);
    k += vec2(0x9E3779B9u, 0xBB67AE85u);
  }
  return c;
}`,
  // Element i draws word i % 4 of the block i / 4, so that scalar and vector hosts agree.
  dropout_block: `fn dropout_block(block: u32, seed: u32, step: u32, stream: u32, rate: f32) -> vec4<f32> {
  let words = philox(vec4(block, step, stream, 0u), vec2(seed, 0xD0D0u));
  return select(vec4<f32>(), vec4(1.0 / (1.0 - rate)), vec4<f32>(words >> vec4(8u)) * 5.9604645e-8 >= vec4(rate));
}`,
  dropout_one: `fn dropout_one(index: u32, seed: u32, step: u32, stream: u32, rate: f32) -> f32 {
  return dropout_block(index / 4u, seed, step, stream, rate)[index % 4u];
}`,
  dropout_four: `fn dropout_four(index: u32, seed: u32, step: u32, stream: u32, rate: f32) -> vec4<f32> {
  if (index % 4u == 0u) { return dropout_block(index / 4u, seed, step, stream, rate); }
  var scale = vec4<f32>();
  for (var i = 0u; i < 4u; i++) { scale[i] = dropout_one(index + i, seed, step, stream, rate); }
  return scale;
}`,
  dropout_from: {
    scalar: `fn dropout_from(index: u32, seed: u32, step: u32, stream: u32, rate: f32) -> V {
  return dropout_one(index, seed, step, stream, rate);
}`,
    vector: `fn dropout_from(index: u32, seed: u32, step: u32, stream: u32, rate: f32) -> V {
  return dropout_four(index, seed, step, stream, rate);
}`,
  },
  dropout_scale: {
    scalar: `fn dropout_scale(index: u32, seed: u32, step: u32, stream: u32, rate: f32) -> V {
  return dropout_one(index, seed, step, stream, rate);
}`,
    vector: `fn dropout_scale(index: u32, seed: u32, step: u32, stream: u32, rate: f32) -> V {
  return dropout_block(index / 4u, seed, step, stream, rate);
}`,
  },
  within: {
    scalar: `fn within(index: u32, start: u32, end: u32) -> V {
  return select(0.0, 1.0, index >= start && index < end);
}`,
    vector: `fn within(index: u32, start: u32, end: u32) -> V {
  let at = vec4(index, index + 1u, index + 2u, index + 3u);
  return select(V(0.0), V(1.0), (at >= vec4(start)) & (at < vec4(end)));
}`,
  },
};

function sourceOf(name: string, vector: boolean): string {
  const source = FUNCTIONS[name];
  if (source === undefined) return '';
  return typeof source === 'string' ? source : source[vector ? 'vector' : 'scalar'];
}

/** Adds to `found` the library functions called in `text`, and those they call. */
function collect(text: string, vector: boolean, found: Set<string>): void {
  for (const [, name] of text.matchAll(/\b([a-z]\w*)\s*\(/g)) {
    if (name === undefined || found.has(name) || !Object.hasOwn(FUNCTIONS, name)) continue;
    found.add(name);
    collect(sourceOf(name, vector), vector, found);
  }
}

/**
 * The alias `V` and every library function that `text` calls, directly or through another.
 *
 * Over V, one element or four: `erf`, `gelu_erf`, `gelu_erf_grad`, `gelu_tanh`, `gelu_tanh_grad`, `silu`,
 * `silu_grad`, `tanh_safe`, `sigmoid`, `relu`.
 * - `clip(x: V, limit: f32) -> V`: x within ±limit; `greater(a: V, b: V) -> V` and `less`: the larger and the smaller. NaN stays NaN
 *   wherever the device keeps to IEEE 754 in comparisons, which WGSL does not promise.
 * - `hsum(v: V) -> f32`, `hmax(v: V) -> f32`: horizontal sum and maximum.
 * - `columns(index: u32, cols: u32) -> V`: the column of each element in a matrix of that many columns.
 * - `philox(counter: vec4<u32>, key: vec2<u32>) -> vec4<u32>`: Philox 4x32-10.
 * - `dropout_scale(index: u32, seed: u32, step: u32, stream: u32, rate: f32) -> V`: 0 with probability `rate`, else
 *   1/(1−rate). Element i is decided by word i%4 of philox((i/4, step, stream, 0), (seed, 0xD0D0)); a vector host's
 *   `index` is a multiple of 4.
 * - `dropout_block(block: u32, …) -> vec4<f32>`, `dropout_one(index: u32, …) -> f32`: the same for elements 4·block … 4·block + 3,
 *   and for one, in any host.
 * - `dropout_from(index: u32, …) -> V`, `dropout_four(index: u32, …) -> vec4<f32>`: the same from any index on.
 * - `within(index: u32, start: u32, end: u32) -> V`: 1 for elements start … end − 1, else 0.
 * @param vector whether V is `vec4<f32>` (else `f32`)
 */
export function prelude(text: string, vector: boolean): string {
  const found = new Set<string>();
  collect(text, vector, found);
  const alias = `alias V = ${vector ? 'vec4<f32>' : 'f32'};`;
  const bodies = Object.keys(FUNCTIONS).filter((name) => found.has(name));
  return [alias, ...bodies.map((name) => sourceOf(name, vector))].join('\n');
}
