/**
 * Tests only: OPT and Llama-style decoders in float64, one sequence at a time, written from their definitions under their checkpoints'
 * names and keys; shares nothing with `models/`.
 */
import { randomValues } from '../../engine/testing/index.ts';

type Vector = number[];
type Raw = Readonly<Record<string, unknown>>;

/** Values of a checkpoint by name. */
export type Weights = (name: string) => Float32Array | undefined;

const sum = (x: Vector): number => x.reduce((a, b) => a + b, 0);
const dot = (a: ArrayLike<number>, b: Vector): number => b.reduce((s, x, i) => s + x * a[i]!, 0);
const plus = (a: Vector, b: ArrayLike<number>): Vector => a.map((x, i) => x + b[i]!);

export class ReferenceDecoder {
  readonly #raw: Raw;
  readonly #weights: Weights;

  constructor(raw: Raw, weights: Weights) {
    this.#raw = raw;
    this.#weights = weights;
  }

  /** Vocabulary scores of every token. */
  logits(ids: readonly number[]): number[][] {
    const isOpt = this.#raw.model_type === 'opt';
    const hidden = isOpt ? this.#opt(ids) : this.#llama(ids);
    const words = isOpt ? 'model.decoder.embed_tokens' : 'model.embed_tokens';
    const table = this.#weights('lm_head.weight') ?? this.#need(`${words}.weight`);
    return hidden.map((h) =>
      Array.from({ length: table.length / h.length }, (_, v) => dot(row(table, v, h.length), h)),
    );
  }

  #need(name: string): Float32Array {
    const values = this.#weights(name);
    if (!values) throw new Error(`no weight ${name}`);
    return values;
  }

  #number(key: string, fallback = NaN): number {
    return (this.#raw[key] as number | null | undefined) ?? fallback;
  }

  #linear(name: string, x: Vector): Vector {
    const weight = this.#need(`${name}.weight`);
    const y = Array.from({ length: weight.length / x.length }, (_, o) => dot(row(weight, o, x.length), x));
    const bias = this.#weights(`${name}.bias`);
    return bias ? plus(y, bias) : y;
  }

  #layerNorm(name: string, x: Vector): Vector {
    const mean = sum(x) / x.length;
    const deviation = Math.sqrt(sum(x.map((v) => (v - mean) ** 2)) / x.length + 1e-5);
    const gamma = this.#need(`${name}.weight`);
    return plus(
      x.map((v, i) => ((v - mean) / deviation) * gamma[i]!),
      this.#need(`${name}.bias`),
    );
  }

  #rmsNorm(name: string, x: Vector): Vector {
    const root = Math.sqrt(sum(x.map((v) => v * v)) / x.length + this.#number('rms_norm_eps', 1e-6));
    const gamma = this.#need(`${name}.weight`);
    return x.map((v, i) => (v / root) * gamma[i]!);
  }

  #activation(x: number): number {
    return this.#raw.activation_function === 'quick_gelu' ? x / (1 + Math.exp(-1.702 * x)) : Math.max(x, 0);
  }

  #opt(ids: readonly number[]): Vector[] {
    const before = this.#raw.do_layer_norm_before !== false;
    const [d, e] = [this.#number('hidden_size'), this.#number('word_embed_proj_dim')];
    const words = this.#need('model.decoder.embed_tokens.weight');
    const positions = this.#need('model.decoder.embed_positions.weight');
    let hidden = ids.map((id, i) => {
      const vector = [...row(words, id, e)];
      const projected = e === d ? vector : this.#linear('model.decoder.project_in', vector);
      return plus(projected, row(positions, i + 2, d));
    });
    for (let layer = 0; layer < this.#number('num_hidden_layers'); layer++) {
      const at = `model.decoder.layers.${layer}`;
      const sublayer = (norm: string, inside: (xs: Vector[]) => Vector[]): void => {
        const entered = before ? hidden.map((h) => this.#layerNorm(`${at}.${norm}`, h)) : hidden;
        const added = inside(entered).map((y, i) => plus(y, hidden[i]!));
        hidden = before ? added : added.map((h) => this.#layerNorm(`${at}.${norm}`, h));
      };
      sublayer('self_attn_layer_norm', (xs) => {
        const [q, k, v] = ['q', 'k', 'v'].map((n) => xs.map((x) => this.#linear(`${at}.self_attn.${n}_proj`, x)));
        const heads = this.#number('num_attention_heads');
        const context = attend(q!, k!, v!, heads, heads);
        return context.map((c) => this.#linear(`${at}.self_attn.out_proj`, c));
      });
      sublayer('final_layer_norm', (xs) =>
        xs.map((x) => {
          const inner = this.#linear(`${at}.fc1`, x).map((u) => this.#activation(u));
          return this.#linear(`${at}.fc2`, inner);
        }),
      );
    }
    if (before && this.#raw._remove_final_layer_norm !== true)
      hidden = hidden.map((h) => this.#layerNorm('model.decoder.final_layer_norm', h));
    return e === d ? hidden : hidden.map((h) => this.#linear('model.decoder.project_out', h));
  }

  #llama(ids: readonly number[]): Vector[] {
    const [d, heads] = [this.#number('hidden_size'), this.#number('num_attention_heads')];
    const words = this.#need('model.embed_tokens.weight');
    const headDim = this.#number('head_dim', d / heads);
    let hidden = ids.map((id) => [...row(words, id, d)]);
    for (let layer = 0; layer < this.#number('num_hidden_layers'); layer++) {
      const at = `model.layers.${layer}`;
      const normed = hidden.map((h) => this.#rmsNorm(`${at}.input_layernorm`, h));
      const project = (n: string): Vector[] => normed.map((x) => this.#linear(`${at}.self_attn.${n}_proj`, x));
      const [q, k] = ['q', 'k'].map((n) =>
        project(n).map((x, i) => rotate(x, i, headDim, this.#number('rope_theta', 1e4))),
      );
      const context = attend(q!, k!, project('v'), heads, this.#number('num_key_value_heads', heads));
      hidden = hidden.map((h, i) => plus(h, this.#linear(`${at}.self_attn.o_proj`, context[i]!)));
      hidden = hidden.map((h) => {
        const x = this.#rmsNorm(`${at}.post_attention_layernorm`, h);
        const gate = this.#linear(`${at}.mlp.gate_proj`, x).map((g) => g / (1 + Math.exp(-g)));
        const up = this.#linear(`${at}.mlp.up_proj`, x);
        const inner = gate.map((g, i) => g * up[i]!);
        return plus(h, this.#linear(`${at}.mlp.down_proj`, inner));
      });
    }
    return hidden.map((h) => this.#rmsNorm('model.norm', h));
  }
}

function row(table: Float32Array, index: number, width: number): Float32Array {
  return table.subarray(index * width, (index + 1) * width);
}

/** Causal attention; query head h reads key/value head ⌊h·kvHeads/heads⌋. */
function attend(q: Vector[], k: Vector[], v: Vector[], heads: number, kvHeads: number): Vector[] {
  const headDim = q[0]!.length / heads;
  const part = (x: Vector, head: number): Vector => x.slice(head * headDim, (head + 1) * headDim);
  return q.map((query, i) =>
    Array.from({ length: heads }, (_, head) => {
      const shared = Math.floor((head * kvHeads) / heads);
      const seen = k.slice(0, i + 1);
      const scores = seen.map((key) => dot(part(query, head), part(key, shared)) / Math.sqrt(headDim));
      const weights = scores.map((s) => Math.exp(s - Math.max(...scores)));
      return Array.from({ length: headDim }, (__, f) =>
        weights.reduce((s, w, j) => s + (w / sum(weights)) * part(v[j]!, shared)[f]!, 0),
      );
    }).flat(),
  );
}

/** Pairs (f, f + headDim/2) of every head turned by position·θ^(−2f/headDim). */
function rotate(x: Vector, position: number, headDim: number, theta: number): Vector {
  const half = headDim / 2;
  return x.map((value, i) => {
    const feature = i % headDim;
    const angle = position * theta ** ((-2 * (feature % half)) / headDim);
    const other = feature < half ? -x[i + half]! : x[i - half]!;
    return value * Math.cos(angle) + other * Math.sin(angle);
  });
}

/** Random values about 0, or about 1 for normalisations' weights. */
export function randomWeight(name: string, size: number, seed: number): Float32Array {
  const values = randomValues(size, seed, 0.3);
  return /norm\.weight$/.test(name) ? values.map((x) => 1 + x) : values;
}
