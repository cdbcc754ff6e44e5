/** Room: bench/encoder. Transformers of any shape with random weights, as Hugging Face folders, and what trains on them. */
import { mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import type { Batch } from '../../data/data-loader.ts';
import { IGNORE_INDEX } from '../../data/encoded-example.ts';
import type { Engine } from '../../engine/engine.ts';
import { writeJson } from '../../engine/io/files.ts';
import { writeSafetensors } from '../../engine/io/safetensors.ts';
import { hostRandom, STREAM } from '../../engine/random.ts';
import { runOptionsSchema, type RunOptions } from '../../experiments/options.ts';
import type { ModelConfig } from '../../models/architecture.ts';
import { baseWeightShapes, loadBaseModel, randomBaseModel, type BaseModel } from '../../models/base-model.ts';
import { loadModel } from '../../models/checkpoint.ts';
import { parseConfig } from '../../models/config.ts';
import { initialSpec } from '../../models/heads.ts';
import { isStoredInOut } from '../../models/weights.ts';
import { peftConfig } from '../../peft/create-config.ts';
import { getPeftModel } from '../../peft-model/create.ts';
import { PeftModel } from '../../peft-model/peft-model.ts';
import { initState } from '../../peft-model/state.ts';

export interface EncoderShape {
  readonly layers: number;
  readonly hidden: number;
  readonly heads: number;
  readonly neurons: number;
  readonly vocab: number;
  /** Longest sequence. */
  readonly positions: number;
}

const CLASSES = ['0', '1'];

function robertaConfig({ layers, hidden, heads, neurons, vocab, positions }: EncoderShape): Record<string, unknown> {
  return {
    architectures: ['RobertaModel'],
    model_type: 'roberta',
    vocab_size: vocab,
    hidden_size: hidden,
    num_hidden_layers: layers,
    num_attention_heads: heads,
    intermediate_size: neurons,
    max_position_embeddings: positions + 2,
    type_vocab_size: 1,
    hidden_act: 'gelu',
    layer_norm_eps: 1e-5,
    hidden_dropout_prob: 0,
    attention_probs_dropout_prob: 0,
    initializer_range: 0.02,
    num_labels: CLASSES.length,
    pad_token_id: 1,
  };
}

function optConfig({ layers, hidden, heads, neurons, vocab, positions }: EncoderShape): Record<string, unknown> {
  return {
    architectures: ['OPTForCausalLM'],
    model_type: 'opt',
    vocab_size: vocab,
    hidden_size: hidden,
    num_hidden_layers: layers,
    num_attention_heads: heads,
    ffn_dim: neurons,
    max_position_embeddings: positions,
    word_embed_proj_dim: hidden,
    dropout: 0,
    pad_token_id: 1,
  };
}

function gpt2Config({ layers, hidden, heads, neurons, vocab, positions }: EncoderShape): Record<string, unknown> {
  return {
    architectures: ['GPT2LMHeadModel'],
    model_type: 'gpt2',
    vocab_size: vocab,
    n_embd: hidden,
    n_layer: layers,
    n_head: heads,
    n_inner: neurons,
    n_positions: positions,
    resid_pdrop: 0,
    embd_pdrop: 0,
    attn_pdrop: 0,
    bos_token_id: 0,
    eos_token_id: 0,
  };
}

/** `config.json` of each family: an encoder, decoders with their language models. */
const RAW_CONFIGS = { roberta: robertaConfig, opt: optConfig, gpt2: gpt2Config };

export type Family = keyof typeof RAW_CONFIGS;

/** Heads that are measured. */
export type BenchHead = 'classification' | 'causal-lm';

export function shapedConfig(shape: EncoderShape, family: Family = 'roberta'): ModelConfig {
  return parseConfig(RAW_CONFIGS[family](shape), 'config.json');
}

/** Normal numbers from a table: large models need more than can be drawn in reasonable time. */
function tabled(seed: number): () => number {
  const random = hostRandom(seed, STREAM.weights);
  const table = Float32Array.from({ length: 65_521 }, () => random.normal());
  let at = 0;
  return () => table[at++ % table.length]!;
}

/** Writes a folder with random weights. @returns its path */
export async function writeRandomModel(
  parent: string,
  name: string,
  shape: EncoderShape,
  family: Family = 'roberta',
): Promise<string> {
  const raw = RAW_CONFIGS[family](shape);
  const dir = join(parent, name);
  await mkdir(dir, { recursive: true });
  const config = parseConfig(raw, 'config.json');
  const normal = tabled(1);
  const entries = [...baseWeightShapes(config)].map(([key, size]) => ({
    name: key,
    dtype: 'F32' as const,
    shape: isStoredInOut(config, key) ? [...size].reverse() : size,
    data: () => Promise.resolve(initialSpec(key, size, config.initializerRange, normal).data),
  }));
  await writeJson(join(dir, 'config.json'), raw);
  await writeSafetensors(join(dir, 'model.safetensors'), entries, { format: 'pt' });
  return dir;
}

/** The same without a folder. */
export function randomModel(engine: Engine, shape: EncoderShape, family: Family): BaseModel {
  return randomBaseModel(engine, shapedConfig(shape, family), tabled(1));
}

/** Options that differ, by room. */
export type OptionChanges = { readonly [Room in keyof RunOptions]?: Partial<RunOptions[Room]> };

/** Options of a benchmark: LoRA r = 8 on the six linear layers, no dropout, no clipping, and what is laid over them. */
export function benchOptions({ peft, train, ...changes }: OptionChanges = {}): RunOptions {
  return runOptionsSchema.parse({
    ...{ preset: {}, data: {}, distill: {}, load: {}, engine: {}, estimate: {}, decide: {}, slice: {} },
    ...changes,
    peft: { r: 8, loraAlpha: 16, targetModules: 'all-linear', dropout: 0, ...peft },
    train: { schedule: 'constant', lr: 1e-3, maxGradNorm: 0, ...train },
  });
}

/**
 * Fresh PEFT modules on a base. LoRA's second factors are not zero, so that every product matters.
 * @param base a model folder, or a base on the device, which the model then owns
 */
export async function openPeft(
  engine: Engine,
  base: string | BaseModel,
  { peft, load, train: { seed } }: RunOptions,
  head: BenchHead = 'classification',
): Promise<PeftModel> {
  const labels = head === 'classification' ? CLASSES : [];
  const from = typeof base === 'string' ? await loadModel(base) : base;
  const model = await getPeftModel(engine, from, peftConfig(peft), { ...load, head, labels, seed });
  const normal = tabled(2);
  const method = model.method!;
  for (const { name, axes } of method.modules.flatMap((module) => method.factors(module))) {
    if (axes[0] !== 'out' || axes[1] !== 'rank') continue;
    const factor = model.parameters.get(name);
    engine.write(
      factor,
      Float32Array.from({ length: factor.size }, () => 0.01 * normal()),
    );
  }
  return model;
}

/** Everything trains: full fine-tuning. The base's own buffers are freed. */
export async function openFull(engine: Engine, dir: string, { peft, train: { seed } }: RunOptions): Promise<PeftModel> {
  const checkpoint = await loadModel(dir);
  const { config } = checkpoint;
  const base = await loadBaseModel(engine, dir, { weights: 'f32' });
  const values = initState(config, undefined, { head: 'classification', labels: CLASSES }, seed);
  for (const [name, weight] of base.weights) values.set(name, await engine.read(weight));
  base.free();
  const head = { head: 'classification', labels: CLASSES } as const;
  const state = { method: undefined, peft: peftConfig(peft)(config, head.head), values, ...head };
  return new PeftModel(engine, { base, checkpoint, shared: true }, state);
}

/** Random tokens without padding, with a class each or the next token as label. */
export function randomBatch(
  config: ModelConfig,
  batch: number,
  seq: number,
  head: BenchHead = 'classification',
): Batch {
  const random = hostRandom(3, STREAM.shuffle);
  const first = config.padTokenId + 1;
  const inputIds = Int32Array.from({ length: batch * seq }, () => first + random.below(config.vocabSize - first));
  const next = (_: unknown, i: number): number => ((i + 1) % seq === 0 ? IGNORE_INDEX : inputIds[i + 1]!);
  const labels =
    head === 'causal-lm'
      ? Int32Array.from({ length: batch * seq }, next)
      : Int32Array.from({ length: batch }, () => random.below(CLASSES.length));
  return {
    batch,
    seq,
    count: batch,
    indices: Int32Array.from({ length: batch }, (_, i) => i),
    inputIds,
    attentionMask: new Int32Array(batch * seq).fill(1),
    tokenTypeIds: new Int32Array(batch * seq),
    labels,
  };
}
