/** Protects: what each method computes, against its formula in float64: outputs, gradients, dropout, and merging both ways. */
import { describe, expect, it } from 'vitest';
import { UserError } from '../../engine/errors.ts';
import { gradients } from '../../engine/autograd/gradients.ts';
import type { Tensor } from '../../engine/graph/tensor.ts';
import { add, dropout, mul } from '../../engine/ops/elementwise.ts';
import { gatherRows } from '../../engine/ops/gather.ts';
import { matmul } from '../../engine/ops/matmul.ts';
import { sum } from '../../engine/ops/reduce.ts';
import { moduleFor, parsePeftConfig } from '../../peft/config.ts';
import { withDefaultTargets } from '../../peft/defaults.ts';
import { methodOf } from '../../peft/config.ts';
import { factorShape, type PeftMethod } from '../../peft/module.ts';
import { hostRandom } from '../../engine/random.ts';
import { openTestEngine } from '../engine.ts';

const [TOKENS, IN, OUT] = [5, 7, 3];
const NAME = 'layer.0.output.dense';
const engine = await openTestEngine();

function method(raw: Record<string, unknown>): PeftMethod {
  const config = parsePeftConfig({ target_modules: ['dense'], ...raw }, 'test');
  return methodOf(config, [moduleFor({ name: NAME, inFeatures: IN, outFeatures: OUT }, config)]);
}

interface Layer {
  readonly x: Float32Array;
  readonly weight: Float32Array;
  readonly bias: Float32Array;
  /** Cotangent of the output. */
  readonly dy: Float32Array;
  readonly factors: Map<string, Float32Array>;
}

function randomLayer(peft: PeftMethod): Layer {
  const random = hostRandom(5, 1);
  const normal = (n: number): Float32Array => Float32Array.from({ length: n }, () => random.normal());
  const [module] = peft.modules;
  const factors = peft.factors(module!).map((f) => {
    const size = factorShape(f, module!).reduce((a, b) => a * b, 1);
    return [f.name, normal(size)] as const;
  });
  return {
    x: normal(TOKENS * IN),
    weight: normal(OUT * IN),
    bias: normal(OUT),
    dy: normal(TOKENS * OUT),
    factors: new Map(factors),
  };
}

/** The adapted layer's output and the gradients of Σ dy∘output by factor. */
async function run(
  peft: PeftMethod,
  layer: Layer,
  drop?: { seed: number; step: number },
): Promise<Map<string, Float32Array>> {
  const variable = (name: string, shape: number[], data: Float32Array): Tensor =>
    engine.variable(name, shape, { kind: 'weights', data }).tensor;
  const [module] = peft.modules;
  const parameters = new Map(
    peft.factors(module!).map((f) => [f.name, variable(f.name, factorShape(f, module!), layer.factors.get(f.name)!)]),
  );
  const [x, weight, bias] = [
    variable('x', [TOKENS, IN], layer.x),
    variable('w', [OUT, IN], layer.weight),
    variable('b', [OUT], layer.bias),
  ];
  const specs = { seed: { shape: [1], dtype: 'u32' }, step: { shape: [1], dtype: 'u32' } } as const;
  const program = await engine.compile('method', specs, ({ seed, step }) => {
    const hook = peft.hooks({
      parameter: (name) => parameters.get(name)!,
      weight: () => weight,
      bias: () => bias,
      ...(drop && { random: { seed, step } }),
    });
    const input = hook.input?.(NAME, x) ?? x;
    const plain = add(matmul(input, weight, { transposeB: true }), bias);
    const y = hook.linear?.(NAME, input, plain) ?? plain;
    const loss = sum(mul(y, variable('dy', [TOKENS, OUT], layer.dy)));
    const names = [...parameters.keys()];
    const grads = gradients(
      loss,
      names.map((n) => parameters.get(n)!),
    );
    const dropped = drop ? dropout(x, 0.4, 1000, { seed, step }) : x;
    return { outputs: { y, dropped: mul(dropped, 1), ...Object.fromEntries(names.map((n, i) => [n, grads[i]!])) } };
  });
  program.run({ seed: Uint32Array.of(drop?.seed ?? 0), step: Uint32Array.of(drop?.step ?? 0) });
  const found = new Map<string, Float32Array>();
  for (const name of ['y', 'dropped', ...parameters.keys()]) found.set(name, await program.read(name));
  program.dispose();
  return found;
}

/** a [m, k] · b [k, n] in float64. */
function product(a: ArrayLike<number>, b: ArrayLike<number>, m: number, k: number, n: number): number[] {
  return Array.from({ length: m * n }, (_, i) => {
    let total = 0;
    for (let j = 0; j < k; j++) total += a[Math.floor(i / n) * k + j]! * b[j * n + (i % n)]!;
    return total;
  });
}

/** [rows, cols] from a [cols, rows]. */
function transposed(a: ArrayLike<number>, rows: number, cols: number): number[] {
  return Array.from({ length: rows * cols }, (_, i) => a[(i % cols) * rows + Math.floor(i / cols)]!);
}

function expectClose(actual: ArrayLike<number>, expected: readonly number[]): void {
  expect(actual.length).toBe(expected.length);
  const scale = Math.max(...expected.map(Math.abs));
  expected.forEach((value, i) => expect(Math.abs(actual[i]! - value) / scale).toBeLessThan(2e-6));
}

describe('DoRA', () => {
  const peft = method({ peft_type: 'LORA', use_dora: true, r: 2, lora_alpha: 3, lora_dropout: 0.4 });
  const layer = randomLayer(peft);
  const [a, b, m] = [...layer.factors.values()] as [Float32Array, Float32Array, Float32Array];
  const delta = product(b, a, OUT, 2, IN).map((v) => 1.5 * v);
  const scale = Array.from(m, (magnitude, o) => {
    let square = 0;
    for (let i = 0; i < IN; i++) square += (layer.weight[o * IN + i]! + delta[o * IN + i]!) ** 2;
    return magnitude / Math.sqrt(square);
  });
  /** x [tokens, in] · Mᵀ for M [out, in]. */
  const through = (x: ArrayLike<number>, matrix: ArrayLike<number>): number[] =>
    product(x, transposed(matrix, IN, OUT), TOKENS, IN, OUT);

  it.each([undefined, { seed: 3, step: 4 }])('output by the formula of PEFT, dropout %o', async (drop) => {
    const found = await run(peft, layer, drop);
    const x = found.get('dropped')!;
    const [plain, base, low] = [through(layer.x, layer.weight), through(x, layer.weight), through(x, delta)];
    const expected = plain.map((y, i) => {
      const [s, o] = [scale[i % OUT]!, i % OUT];
      return y + layer.bias[o]! + (s - 1) * base[i]! + s * low[i]!;
    });
    if (drop) expect(x.includes(0)).toBe(true);
    expectClose(found.get('y')!, expected);
  });

  it('gradients treat the norm as a constant', async () => {
    const found = await run(peft, layer);
    const scaled = Array.from(layer.dy, (d, i) => 1.5 * d * scale[i % OUT]!);
    const intoRanks = product(scaled, b, TOKENS, OUT, 2);
    const [downName, upName, magnitudeName] = [...layer.factors.keys()] as [string, string, string];
    expectClose(found.get(downName)!, product(transposed(intoRanks, 2, TOKENS), layer.x, 2, TOKENS, IN));
    const ranks = product(layer.x, transposed(a, IN, 2), TOKENS, IN, 2);
    expectClose(found.get(upName)!, product(transposed(scaled, OUT, TOKENS), ranks, OUT, TOKENS, 2));
    const adapted = through(
      layer.x,
      Array.from(layer.weight, (w, i) => w + delta[i]!),
    );
    const perOutput = Array.from({ length: OUT }, (_, o) => {
      let total = 0;
      for (let t = 0; t < TOKENS; t++) total += layer.dy[t * OUT + o]! * adapted[t * OUT + o]!;
      return (total * scale[o]!) / m[o]!;
    });
    expectClose(found.get(magnitudeName)!, perOutput);
  });

  it('starts as the base: the magnitude is the norm of the weight', async () => {
    const [module] = peft.modules;
    const values = peft.initParameters(module!, hostRandom(1, 2));
    for (const [name, value] of peft.initFromWeight!({ module: module!, values, weight: layer.weight }))
      values.set(name, value);
    const found = await run(peft, { ...layer, factors: values });
    expectClose(
      found.get('y')!,
      through(layer.x, layer.weight).map((y, i) => y + layer.bias[i % OUT]!),
    );
  });
});

describe('LoRA on an embedding', () => {
  const [ROWS, DIM, RANKS] = [11, OUT, 2];
  const ids = Int32Array.of(3, 0, 3, 10, 7);
  const config = parsePeftConfig(
    { peft_type: 'LORA', target_modules: ['wte'], r: RANKS, lora_alpha: 3, lora_dropout: 0.4 },
    'test',
  );
  const module = moduleFor({ name: 'wte', inFeatures: ROWS, outFeatures: DIM, isEmbedding: true }, config);
  const peft = methodOf(config, [module]);
  const random = hostRandom(6, 1);
  const normal = (n: number): Float32Array => Float32Array.from({ length: n }, () => random.normal());
  const [table, dy] = [normal(ROWS * DIM), normal(TOKENS * DIM)];
  const [a, b] = [normal(RANKS * ROWS), normal(DIM * RANKS)];
  const values = new Map([
    ['wte.lora_embedding_A', a],
    ['wte.lora_embedding_B', b],
  ]);
  /** [rows, dim] */
  const adapted = transposed(product(b, a, DIM, RANKS, ROWS), ROWS, DIM).map((d, i) => table[i]! + 1.5 * d);

  it('adds the columns that ids choose, without dropout, and finds their gradients', async () => {
    const variable = (name: string, shape: number[], data: Float32Array): Tensor =>
      engine.variable(name, shape, { kind: 'weights', data }).tensor;
    const parameters = new Map(
      peft.factors(module).map((f) => [f.name, variable(f.name, factorShape(f, module), values.get(f.name)!)]),
    );
    expect([...parameters.keys()]).toEqual([...values.keys()]);
    const specs = { ids: { shape: [TOKENS], dtype: 'i32' }, seed: { shape: [1], dtype: 'u32' } } as const;
    const program = await engine.compile('embedding', specs, ({ ids: tokens, seed }) => {
      const hook = peft.hooks({
        parameter: (name) => parameters.get(name)!,
        weight: () => variable('w', [ROWS, DIM], table),
        bias: () => undefined,
        random: { seed, step: seed },
      });
      const rows = gatherRows(variable('table', [ROWS, DIM], table), tokens);
      const y = hook.lookup!('wte', tokens, rows);
      const loss = sum(mul(y, variable('dy', [TOKENS, DIM], dy)));
      const [da, db] = gradients(loss, [...parameters.values()]);
      return { outputs: { y, da: da!, db: db! } };
    });
    program.run({ ids, seed: Uint32Array.of(1) });
    const chosen = (rows: ArrayLike<number>, width: number): number[] =>
      [...ids].flatMap((id) => Array.from({ length: width }, (_, i) => rows[id * width + i]!));
    expectClose(await program.read('y'), chosen(adapted, DIM));
    const intoRanks = product(dy, b, TOKENS, DIM, RANKS);
    const down = new Array<number>(RANKS * ROWS).fill(0);
    ids.forEach((id, t) => {
      for (let r = 0; r < RANKS; r++) down[r * ROWS + id]! += 1.5 * intoRanks[t * RANKS + r]!;
    });
    expectClose(await program.read('da'), down);
    const ranks = chosen(transposed(a, ROWS, RANKS), RANKS);
    const up = product(transposed(dy, DIM, TOKENS), ranks, DIM, TOKENS, RANKS).map((v) => 1.5 * v);
    expectClose(await program.read('db'), up);
    program.dispose();
  });

  it('goes into the table and out of it again, and starts as the base', () => {
    const merged = peft.merge!(module, values, table, 'merge');
    expectClose(merged, adapted);
    expectClose(peft.merge!(module, values, merged, 'unmerge'), Array.from(table));
    const fresh = peft.initParameters(module, hostRandom(1, 2));
    expect(fresh.get('wte.lora_embedding_A')!.every((v) => v === 0)).toBe(true);
    expect(new Set(fresh.get('wte.lora_embedding_B')).size).toBe(DIM * RANKS);
  });
});

const MERGING = [
  ['LoRA', { peft_type: 'LORA', r: 2 }],
  ['DoRA', { peft_type: 'LORA', r: 2, use_dora: true }],
  ['(IA)³ on outputs', { peft_type: 'IA3' }],
  ['(IA)³ on inputs', { peft_type: 'IA3', feedforward_modules: ['dense'] }],
] as const;

describe.each(MERGING)('%s', (_, raw) => {
  const peft = method(raw);
  const [module] = peft.modules;
  const layer = randomLayer(peft);

  it('merged, the plain layer computes what the adapted one does', async () => {
    const weight = peft.merge!(module!, layer.factors, layer.weight, 'merge');
    const bias = peft.mergeBias?.(module!, layer.factors, layer.bias, 'merge') ?? layer.bias;
    const y = product(layer.x, transposed(weight, IN, OUT), TOKENS, IN, OUT).map((v, i) => v + bias[i % OUT]!);
    expectClose((await run(peft, layer)).get('y')!, y);
  });

  it('unmerged, the weight is back to rounding, or it is said why not', () => {
    const weight = peft.merge!(module!, layer.factors, layer.weight, 'merge');
    const back = (): Float32Array => peft.merge!(module!, layer.factors, weight, 'unmerge');
    if (raw.peft_type === 'LORA' && 'use_dora' in raw) expect(back).toThrow(UserError);
    else expectClose(back(), Array.from(layer.weight));
    const zero = new Map([...layer.factors].map(([name, value]) => [name, value.map(() => 0)]));
    if (raw.peft_type === 'IA3') expect(() => peft.merge!(module!, zero, weight, 'unmerge')).toThrow(/scales .* by 0/);
  });
});

describe.each([
  ['sequential', {}],
  ['reading what the sublayer normalises', { original_ln_before: true }],
  ['with the residual taken after', { original_ln_before: true, residual_before_ln: false }],
  ['with the residual taken in between', { original_ln_before: true, residual_before_ln: 'post_add' }],
  ['parallel, scaled', { use_parallel_adapter: true, scaling: 4 }],
  ['scaled by channel', { scaling: 'channel' }],
] as const)('bottleneck adapter %s', (_, keys) => {
  it('adds what the library adds', async () => {
    const config = parsePeftConfig(
      { peft_type: 'BOTTLENECK', target_modules: ['dense'], bottleneck_size: 2, adapter_bias: true, ...keys },
      'test',
    );
    const peft = methodOf(config, [moduleFor({ name: NAME, inFeatures: IN, outFeatures: IN }, config)]);
    const [module] = peft.modules;
    const random = hostRandom(8, 1);
    const normal = (n: number): Float32Array => Float32Array.from({ length: n }, () => random.normal());
    const [y, input, normed] = [normal(TOKENS * IN), normal(TOKENS * IN), normal(TOKENS * IN)];
    const values = new Map(
      peft.factors(module!).map((f) => {
        const shape = factorShape(f, module!);
        return [f.name, { shape, data: normal(shape.reduce((a, b) => a * b, 1)) }] as const;
      }),
    );
    const variable = (name: string, shape: number[], data: Float32Array): Tensor =>
      engine.variable(name, shape, { kind: 'weights', data }).tensor;
    const hidden = (name: string, data: Float32Array): Tensor => variable(name, [TOKENS, IN], data);
    const hook = peft.hooks({
      parameter: (name) => variable(name, values.get(name)!.shape, values.get(name)!.data),
      weight: () => hidden('w', y),
      bias: () => undefined,
    });
    const result = hook.sublayer!(NAME, hidden('y', y), hidden('i', input), () => hidden('n', normed));
    const [downBias, down, upBias, up, scale] = [...values.values()].map(({ data }) => data);
    const source = 'use_parallel_adapter' in keys ? input : 'original_ln_before' in keys ? normed : y;
    const low = product(source, transposed(down!, IN, 2), TOKENS, IN, 2).map((v, i) =>
      Math.tanh(v + downBias![i % 2]!),
    );
    const delta = product(low, transposed(up!, 2, IN), TOKENS, 2, IN).map((v, i) => {
      const factor = 'scaling' in keys ? (keys.scaling === 'channel' ? scale![i % IN]! : keys.scaling) : 1;
      return factor * (v + upBias![i % IN]!);
    });
    const residual = (i: number): number => {
      if (!('residual_before_ln' in keys)) return y[i]!;
      return keys.residual_before_ln === 'post_add' ? y[i]! + input[i]! : normed[i]!;
    };
    expectClose(
      await engine.evaluate(result),
      delta.map((d, i) => d + residual(i)),
    );
  });
});

it('every way LoRA starts leaves the base as it is, but for false', () => {
  for (const init of [true, 'gaussian', 'orthogonal', false] as const) {
    const peft = method({ peft_type: 'LORA', r: 4, init_lora_weights: init });
    const [module] = peft.modules;
    const values = peft.initParameters(module!, hostRandom(1, 3));
    const weight = new Float32Array(OUT * IN);
    const merged = peft.merge!(module!, values, weight, 'merge');
    expect([...values.values()][0]!.some((v) => v !== 0)).toBe(true);
    expect(merged.every((v) => Math.abs(v) < 1e-7)).toBe(init !== false);
  }
});

it('targets left open are those of PEFT, by model type', () => {
  const lora = parsePeftConfig({ peft_type: 'LORA' }, 'test');
  expect(withDefaultTargets(lora, 'roberta').targetModules).toEqual(['query', 'value']);
  expect(withDefaultTargets(lora, 'gpt2').targetModules).toEqual(['c_attn']);
  expect(withDefaultTargets(lora, 'mistral').targetModules).toEqual(['q_proj', 'v_proj']);
  const ia3 = withDefaultTargets(parsePeftConfig({ peft_type: 'IA3' }, 'test'), 'bert');
  expect(ia3).toMatchObject({ targetModules: ['key', 'value', 'output.dense'], feedforwardModules: ['output.dense'] });
  expect(() => withDefaultTargets(lora, 'unheard-of')).toThrow(UserError);
});
