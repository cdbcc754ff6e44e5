/**
 * Room: models. The transformer (Vaswani et al. 2017) that an `Architecture` describes, written over weights under their Hugging
 * Face names, with any number of heads and neurons per layer.
 */
import { currentScope, namedScope } from '../engine/graph/scope.ts';
import type { Tensor } from '../engine/graph/tensor.ts';
import { attention } from '../engine/ops/attention.ts';
import { selectIndex, permute } from '../engine/ops/copy.ts';
import {
  add,
  constant,
  dropout,
  gelu,
  geluTanh,
  mul,
  relu,
  silu,
  tanh,
  type RandomState,
} from '../engine/ops/elementwise.ts';
import { gatherRows } from '../engine/ops/gather.ts';
import { layerNorm } from '../engine/ops/layernorm.ts';
import { reshape } from '../engine/ops/leaf.ts';
import { matmulParts } from '../engine/ops/matmul-parts.ts';
import { checkpoint } from '../engine/ops/saved-for-backward.ts';
import { expand } from '../engine/ops/reduce.ts';
import { rmsNorm } from '../engine/ops/rmsnorm.ts';
import { rotary } from '../engine/ops/rotary.ts';
import { linearName, type Activation, type LayerShape, type ModelConfig, type Role } from './architecture.ts';
import type { ForwardHooks } from './forward-hooks.ts';

/**
 * One batch: i32 [batch, seq] each. Positions are Hugging Face's position ids. With a cache the mask is of all its places:
 * [batch, capacity].
 */
export interface TokenInputs {
  readonly inputIds: Tensor;
  readonly positionIds: Tensor;
  readonly tokenTypeIds: Tensor;
  readonly attentionMask: Tensor;
  /** Of packed rows, in place of the mask: a token sees only its own segment; 0 for padding. Not with a cache. */
  readonly segmentIds?: Tensor;
  /** f32 [batch·seq, embeddingSize]: the rows of `inputIds`, where the word embedding stays on the host. */
  readonly words?: Tensor;
  /** f32 [positions, headDim], from `rotaryTable`, for models with rotary positions. */
  readonly rotary?: Tensor;
  readonly cache?: KvCacheView;
}

/** Keys and values of the tokens before these, kept on the device between runs. */
export interface KvCacheView {
  /** Places for tokens in a sequence. */
  readonly capacity: number;
  /** i32 [1]: the place of the first of the new tokens. */
  readonly position: Tensor;
  /**
   * Stores a layer's new keys and values, f32 [batch·seq, kvHeads·headDim] each.
   * @returns those of all places, f32 [batch·capacity, kvHeads·headDim] each
   */
  append(layer: number, keys: Tensor, values: Tensor): readonly [keys: Tensor, values: Tensor];
}

/** Everything a forward pass reads besides its inputs. */
export interface ForwardContext {
  readonly config: ModelConfig;
  readonly layers: readonly LayerShape[];
  /** The weight of that Hugging Face name; matrices are [out, in]. */
  readonly weight: (name: string) => Tensor;
  /** A matrix as parts along its rows, in order, each small enough to be bound; most have one. */
  readonly table: (name: string) => readonly Tensor[];
  readonly hooks: readonly ForwardHooks[];
  /** Dropout of hidden states while training; absent at inference. */
  readonly hiddenDropout?: { readonly rate: number; readonly random: RandomState };
}

const quickGelu = (x: Tensor): Tensor => mul(silu(mul(x, 1.702)), 1 / 1.702);

const ACTIVATIONS: Record<Activation, (x: Tensor) => Tensor> = {
  gelu,
  gelu_tanh: geluTanh,
  quick_gelu: quickGelu,
  relu,
  tanh,
  silu,
};

export function activation(name: Activation): (x: Tensor) => Tensor {
  return ACTIVATIONS[name];
}

/** Records a module under its Hugging Face name; within a layer, whose name begins it, under the rest: `roberta.encoder.layer.3/output.dense`. */
function moduleScope<T>(name: string, build: () => T): T {
  const outer = `${currentScope()}.`;
  return namedScope(name.startsWith(outer) ? name.slice(outer.length) : name, build);
}

/** x·Wᵀ + b, with the interventions before and after. */
export function linear(context: ForwardContext, name: string, x: Tensor, bias: boolean): Tensor {
  return intervened(context, name, x, (input) => {
    const product = matmulParts(input, context.table(`${name}.weight`));
    return bias ? add(product, context.weight(`${name}.bias`)) : product;
  });
}

/** A linear layer's output with the interventions before and after it. */
export function intervened({ hooks }: ForwardContext, name: string, x: Tensor, compute: (x: Tensor) => Tensor): Tensor {
  return moduleScope(name, () => {
    const input = hooks.reduce((v, i) => i.input?.(name, v) ?? v, x);
    const output = compute(input);
    return namedScope('peft', () => hooks.reduce((y, i) => i.linear?.(name, input, y) ?? y, output));
  });
}

/** Normalisation with the weights under `name`. */
function norm({ config, weight }: ForwardContext, name: string, x: Tensor): Tensor {
  const { normEps, architecture } = config;
  const gamma = weight(`${name}.weight`);
  return moduleScope(name, () =>
    architecture.norm === 'rms' ? rmsNorm(x, gamma, normEps) : layerNorm(x, gamma, weight(`${name}.bias`), normEps),
  );
}

/**
 * Hidden states after the last layer, its normalisation and projection where there are any.
 * @returns f32 [batch·seq, embeddingSize]
 */
export function hiddenStates(context: ForwardContext, inputs: TokenInputs): Tensor {
  const { finalNorm, finalProject, block } = context.config.architecture;
  const hidden = context.layers.reduce(
    (x, _, layer) =>
      namedScope(block.prefix(layer), () =>
        feedForward(context, layer, selfAttention(context, layer, checkpoint(x), inputs)),
      ),
    namedScope('embeddings', () => embed(context, inputs)),
  );
  const normed = finalNorm === undefined ? hidden : norm(context, finalNorm, hidden);
  return finalProject === undefined ? normed : linear(context, finalProject, normed, false);
}

function embed(context: ForwardContext, inputs: TokenInputs): Tensor {
  const { embeddings } = context.config.architecture;
  const { inputIds, positionIds, tokenTypeIds } = inputs;
  const found = (name: string, ids: Tensor, rows = gatherRows(context.weight(`${name}.weight`), ids)): Tensor =>
    context.hooks.reduce((y, i) => i.lookup?.(name, ids, y) ?? y, rows);
  const words = inputs.words ?? gatherRows(context.table(`${embeddings.words}.weight`), inputIds);
  let hidden = found(embeddings.words, inputIds, words);
  if (embeddings.project !== undefined) hidden = linear(context, embeddings.project, hidden, false);
  if (embeddings.types !== undefined) {
    // A single row needs no lookup.
    const only = context.config.typeVocabSize === 1 ? context.weight(`${embeddings.types}.weight`) : undefined;
    hidden = add(hidden, found(embeddings.types, tokenTypeIds, only));
  }
  if (embeddings.positions !== undefined) hidden = add(hidden, found(embeddings.positions, positionIds));
  return drop(context, 0, embeddings.norm === undefined ? hidden : norm(context, embeddings.norm, hidden));
}

function drop({ hiddenDropout }: ForwardContext, stream: number, x: Tensor): Tensor {
  return hiddenDropout ? dropout(x, hiddenDropout.rate, stream, hiddenDropout.random) : x;
}

/** The linear layer of a role in a block. */
function blockLinear(context: ForwardContext, layer: number, role: Role, x: Tensor): Tensor {
  const bias = context.config.architecture.block.linears[role]?.bias ?? false;
  return linear(context, linearName(context.config, layer, role), x, bias);
}

function selfAttention(context: ForwardContext, layer: number, hidden: Tensor, inputs: TokenInputs): Tensor {
  const { config, hooks } = context;
  const { heads, kvHeads, kvHeadOf } = context.layers[layer] as LayerShape;
  const { attentionNorm, causal, attentionScale } = config.architecture.block;
  return sublayer(context, { layer, norm: attentionNorm, output: 'attentionOutput', hidden }, (x) => {
    if (heads === 0) return undefined;
    const [queries, keys, values] = queriesKeysValues(context, layer, x);
    const turn = (t: Tensor): Tensor => (inputs.rotary ? rotary(t, inputs.rotary, inputs.positionIds) : t);
    const { cache, segmentIds } = inputs;
    const [batch, seq] = inputs.inputIds.shape as [number, number];
    const { headDim } = config;
    const spec = {
      ...{ batch, seq, heads, kvHeads, headDim, causal, scale: attentionScale?.(layer) ?? 1 / Math.sqrt(headDim) },
      ...(cache && { keys: cache.capacity }),
      ...(kvHeadOf && { kvHeadOf }),
      ...(segmentIds && { segmented: true }),
    };
    const running = hooks.map((i) => i.activeHeads?.(layer)).find((t) => t !== undefined);
    const [k, v] = cache?.append(layer, turn(keys), values) ?? [turn(keys), values];
    const attended = namedScope('attention', () =>
      attention(turn(queries), k, v, segmentIds ?? inputs.attentionMask, spec, running, cache?.position),
    );
    return hooks.reduce((y, i) => i.context?.(layer, y) ?? y, attended);
  });
}

function queriesKeysValues(context: ForwardContext, layer: number, x: Tensor): readonly [Tensor, Tensor, Tensor] {
  const project = (role: Role): Tensor => blockLinear(context, layer, role, x);
  if (!context.config.architecture.block.linears.queryKeyValue)
    return [project('query'), project('key'), project('value')];
  const fused = project('queryKeyValue');
  const [tokens, features] = fused.shape as [number, number];
  const parts = permute(reshape(fused, [tokens, 3, features / 3]), [1, 0, 2]);
  return [selectIndex(parts, 0), selectIndex(parts, 1), selectIndex(parts, 2)];
}

function feedForward(context: ForwardContext, layer: number, hidden: Tensor): Tensor {
  const { config, hooks } = context;
  const { neurons } = context.layers[layer] as LayerShape;
  const { ffnNorm, linears } = config.architecture.block;
  return sublayer(context, { layer, norm: ffnNorm, output: 'down', hidden }, (x) => {
    if (neurons === 0) return undefined;
    const act = activation(config.hiddenAct);
    const up = blockLinear(context, layer, 'up', x);
    const activated = linears.gate ? mul(act(blockLinear(context, layer, 'gate', x)), up) : act(up);
    return hooks.reduce((y, i) => i.intermediate?.(layer, y) ?? y, activated);
  });
}

interface Sublayer {
  readonly layer: number;
  readonly norm: string;
  /** Its last linear layer, which writes into the residual. */
  readonly output: 'attentionOutput' | 'down';
  readonly hidden: Tensor;
}

/**
 * Normalisation, the sublayer's inside, its output projection, interventions, dropout and residual.
 * @param inside from the sublayer's input to that of its output projection; undefined where all of it was pruned: then the output
 *   is the projection's bias
 */
function sublayer(context: ForwardContext, at: Sublayer, inside: (x: Tensor) => Tensor | undefined): Tensor {
  const { layer, output, hidden } = at;
  const { block } = context.config.architecture;
  const normalise = (x: Tensor): Tensor => norm(context, `${block.prefix(layer)}.${at.norm}`, x);
  const input = block.preNorm ? normalise(hidden) : hidden;
  const features = inside(input);
  const name = linearName(context.config, layer, output);
  const projected = features ? blockLinear(context, layer, output, features) : emptied(context, output, name, hidden);
  const added = (y: Tensor): Tensor => (block.preNorm ? add(y, hidden) : normalise(add(y, hidden)));
  const adapted = namedScope('peft', () =>
    context.hooks.reduce((y, i) => i.sublayer?.(name, y, hidden, () => added(y)) ?? y, projected),
  );
  const stream = 2 * layer + (output === 'attentionOutput' ? 1 : 2);
  return added(drop(context, stream, adapted));
}

/** What a projection gives whose inputs were all pruned. */
function emptied(context: ForwardContext, output: Role, name: string, hidden: Tensor): Tensor {
  const bias = context.config.architecture.block.linears[output]?.bias;
  return expand(bias ? context.weight(`${name}.bias`) : constant(0), hidden.shape);
}
