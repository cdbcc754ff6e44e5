/** Room: bench/encoder. Transformers of any shape with random weights, as Hugging Face folders, and what trains on them. */
import { mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import type { Engine } from '../../engine/engine.ts';
import { writeJson } from '../../engine/io/files.ts';
import { writeSafetensors } from '../../engine/io/safetensors.ts';
import { Parameters } from '../../engine/nn/parameters.ts';
import type { ModelConfig } from '../../models/architecture.ts';
import { baseWeightShapes, loadBaseModel, randomBaseModel, type BaseModel } from '../../models/base-model.ts';
import { parseConfig } from '../../models/config.ts';
import { headShapes, initialSpec } from '../../models/heads.ts';
import { createState, initState, type PeftModelState } from '../../peft-model/assembly.ts';
import { PeftModel } from '../../peft-model/peft-model.ts';
import type { Batch } from '../../data/data-loader.ts';
import { hostRandom, STREAM } from '../../engine/random.ts';
import { createConfig } from '../../peft/create-config.ts';
import { settingsSchema, type Settings } from '../../train/settings.ts';

export interface EncoderShape {
  readonly layers: number;
  readonly hidden: number;
  readonly heads: number;
  readonly neurons: number;
  readonly vocab: number;
  /** Longest sequence. */
  readonly positions: number;
}

const LABELS = 2;

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
    num_labels: LABELS,
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

/** `config.json` of each family: an encoder, a decoder with its language model. */
const RAW_CONFIGS = { roberta: robertaConfig, opt: optConfig };

export type Family = keyof typeof RAW_CONFIGS;

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
    shape: size,
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

/** Settings of a benchmark: LoRA r = 8 on the six linear layers, no dropout, no clipping, and what is laid over them. */
export function benchSettings(changes: Partial<Settings> = {}): Settings {
  return settingsSchema.parse({
    ...{ loraR: 8, loraAlpha: 16, targetModules: 'all-linear', dropout: 0 },
    ...{ schedule: 'constant', lr: 1e-3, clip: 0 },
    ...changes,
  });
}

type Head = 'classification' | 'causal-lm';

/** A base from its folder with fresh PEFT modules. */
export async function openPeft(
  engine: Engine,
  dir: string,
  settings: Settings,
  head: Head = 'classification',
): Promise<PeftModelState> {
  const { weights: weightType, embeddings } = settings;
  return withPeft(engine, await loadBaseModel(engine, dir, { weightType, embeddings, head }), settings, head);
}

/** Fresh PEFT modules on a base. LoRA's second factors are not zero, so that every product matters. */
export async function withPeft(
  engine: Engine,
  base: BaseModel,
  settings: Settings,
  head: Head = 'classification',
): Promise<PeftModelState> {
  const labels = head === 'classification' ? ['0', '1'] : [];
  const config = createConfig(settings, base.config, head);
  const assembly = await createState(engine, base, config, head, labels, settings.seed);
  const normal = tabled(2);
  const values = new Map(assembly.values);
  for (const factor of assembly.method.modules.flatMap((module) => assembly.method.factors(module))) {
    if (factor.axes[0] !== 'out' || factor.axes[1] !== 'rank') continue;
    values.set(
      factor.name,
      values.get(factor.name)!.map(() => 0.01 * normal()),
    );
  }
  return { ...assembly, values };
}

/** Everything trains: full fine-tuning. */
export async function openFull(engine: Engine, dir: string, settings: Settings): Promise<PeftModel> {
  const base = await loadBaseModel(engine, dir, { weightType: 'f32' });
  const weights = [...base.weights.values()];
  const specs = await Promise.all(
    weights.map(async (weight) => ({
      name: weight.name,
      shape: weight.shape,
      data: await engine.read(weight),
      decay: weight.shape.length === 2,
    })),
  );
  base.free();
  const head = initState(base.config, undefined, 'classification', LABELS, settings.seed);
  for (const [name, shape] of headShapes(base.config, 'classification', LABELS))
    specs.push({ name, shape, data: head.get(name)!, decay: shape.length === 2 });
  return new PeftModel(engine, base, undefined, new Parameters(engine, specs));
}

/** Random tokens without padding. */
export function randomBatch(config: ModelConfig, batch: number, seq: number): Batch {
  const random = hostRandom(3, STREAM.shuffle);
  const first = config.padTokenId + 1;
  return {
    batch,
    seq,
    count: batch,
    indices: Int32Array.from({ length: batch }, (_, i) => i),
    inputIds: Int32Array.from({ length: batch * seq }, () => first + random.below(config.vocabSize - first)),
    attentionMask: new Int32Array(batch * seq).fill(1),
    tokenTypeIds: new Int32Array(batch * seq),
    labels: Int32Array.from({ length: batch }, () => random.below(LABELS)),
  };
}
