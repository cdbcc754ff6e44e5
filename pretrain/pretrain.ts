/**
 * Room: pretrain. Masked-language-model pretraining of a small RoBERTa from nothing: every weight trains. Writes a
 * Hugging Face folder in f16, and checkpoints from which it resumes to the same numbers.
 */
import { mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import type { Program } from '../engine/compile/program.ts';
import type { Engine } from '../engine/engine.ts';
import { exists, writeJson } from '../engine/io/files.ts';
import { f32ToF16 } from '../engine/io/float16.ts';
import { writeSafetensors } from '../engine/io/safetensors.ts';
import { Parameters } from '../engine/nn/parameters.ts';
import { crossEntropy } from '../engine/ops/cross-entropy.ts';
import { AdamW, ADAMW_INPUTS } from '../engine/optim/adamw.ts';
import { scheduleAt } from '../engine/optim/schedule.ts';
import { fullLayers, type ModelConfig } from '../models/architecture.ts';
import { baseWeightShapes } from '../models/base-model.ts';
import { parseConfig } from '../models/config.ts';
import { applyHead, frozenHeadShapes, initialSpec } from '../models/heads.ts';
import { hiddenStates, type ForwardContext } from '../models/transformer.ts';
import { positionIds } from '../models/positions.ts';
import { loadCheckpoint, saveCheckpoint, type RunIdentity } from '../train/checkpoint.ts';
import { hostRandom, STREAM } from '../engine/random.ts';
import { LossBuffer, SLOT_INPUT } from '../train/loss-buffer.ts';
import { runSteps, type StepReport } from '../train/loop.ts';
import { MlmBatches, type Block, type MlmBatch, type MlmVocabulary } from './mlm.ts';
import { tokenLogits, wordVectors } from './word-vectors.ts';

export interface PretrainOptions {
  readonly hiddenSize: number;
  readonly layers: number;
  readonly heads: number;
  readonly neurons: number;
  readonly steps: number;
  readonly batchSize: number;
  readonly maxLength: number;
  /** Share of tokens to predict. */
  readonly probability: number;
  readonly lr: number;
  readonly warmupRatio: number;
  readonly weightDecay: number;
  readonly clip: number;
  readonly seed: number;
  readonly saveEvery: number;
}

export interface PretrainResult {
  readonly steps: number;
  readonly tokens: number;
  readonly seconds: number;
  readonly heldOutLoss: number;
  /** exp of the mean cross-entropy per masked held-out token. */
  readonly heldOutPerplexity: number;
}

const READ_EVERY = 20;

/** Standard deviation of the word embeddings to begin with: more than that of the positions (0.02), so that words tell. */
const WORD_SCALE = 0.05;

/** Rows of the held-out text that are scored, at most. */
const HELD_OUT_BATCHES = 40;

export class Pretraining {
  readonly #engine: Engine;
  readonly #options: PretrainOptions;
  readonly #vocabulary: MlmVocabulary;
  readonly #rawConfig: Record<string, unknown>;
  readonly #config: ModelConfig;
  readonly #parameters: Parameters;
  readonly #optimizer: AdamW;
  readonly #history: LossBuffer;

  constructor(engine: Engine, vocabulary: MlmVocabulary, options: PretrainOptions) {
    this.#engine = engine;
    this.#options = options;
    this.#vocabulary = vocabulary;
    this.#rawConfig = robertaConfig(vocabulary, options);
    this.#config = parseConfig(this.#rawConfig, 'config.json');
    const random = hostRandom(options.seed, STREAM.weights);
    const shapes = [...baseWeightShapes(this.#config), ...frozenHeadShapes(this.#config, 'masked-lm')];
    const specs = shapes.map(([name, shape]) => initialSpec(name, shape, 0.02, () => random.normal()));
    this.#parameters = new Parameters(engine, specs);
    const { weightDecay, clip } = options;
    this.#optimizer = new AdamW(engine, this.#parameters, {
      beta1: 0.9,
      beta2: 0.98,
      eps: 1e-6,
      weightDecay,
      maxGradNorm: clip,
    });
    this.#history = new LossBuffer(engine, ['loss'], READ_EVERY);
  }

  /**
   * Trains, with `resume` from `dir`'s checkpoint on where there is one, and writes the model into `dir`.
   * @throws UserError when the checkpoint is of other options; InterruptedError after saving, on abort
   */
  async run(
    dir: string,
    blocks: readonly Block[],
    heldOut: readonly Block[],
    { resume, ...watch }: { resume: boolean; signal?: AbortSignal; onReport?: (report: StepReport) => void },
  ): Promise<PretrainResult> {
    const { steps, batchSize, maxLength, saveEvery } = this.#options;
    await mkdir(dir, { recursive: true });
    const path = join(dir, 'pretrain.checkpoint.safetensors');
    const identity: RunIdentity = { ...this.#options, blocks: blocks.length };
    const state = [...this.#parameters.groups.map((g) => g.flat), ...this.#optimizer.state];
    let from = 0;
    if (resume && (await exists(path))) from = (await loadCheckpoint(this.#engine, path, identity, state)).step;
    else this.#startFrom(blocks);
    const batches = this.#batches(blocks, this.#options.seed);
    const program = await this.#compile(batches.capacity, true);
    const timing = await runSteps(
      { from, total: steps, readEvery: READ_EVERY, saveEvery, ...watch },
      {
        enqueue: (step) => {
          const batch = batches.at(step);
          program.run({ ...this.#batchInputs(batch), ...this.#stepInputs(step), slot: this.#history.slot(step) });
          return batchSize * maxLength;
        },
        finished: () => this.#engine.finish(),
        losses: (first, to) => this.#history.read('loss', first, to),
        save: (next) => saveCheckpoint(this.#engine, path, next, identity, state),
      },
    );
    await saveCheckpoint(this.#engine, path, steps, identity, state);
    await this.#writeModel(dir);
    const heldOutLoss = await this.#evaluate(heldOut);
    program.dispose();
    return {
      ...timing,
      steps,
      tokens: steps * batchSize * maxLength,
      heldOutLoss,
      heldOutPerplexity: Math.exp(heldOutLoss),
    };
  }

  /** Words start from what occurs near them, and the output's bias from how often they occur; the rest stays random. */
  #startFrom(blocks: readonly Block[]): void {
    const { size: vocabSize, special: ignored } = this.#vocabulary;
    const { hiddenSize: dimensions, seed } = this.#options;
    const random = hostRandom(seed, STREAM.wordVectors);
    const vectors = wordVectors(blocks, { vocabSize, dimensions, ignored }, random);
    const words = this.#parameters.get('roberta.embeddings.word_embeddings.weight');
    this.#engine.write(
      words,
      vectors.map((x) => x * WORD_SCALE),
    );
    this.#engine.write(this.#parameters.get('lm_head.bias'), tokenLogits(blocks, vocabSize));
  }

  #batches(blocks: readonly Block[], seed: number): MlmBatches {
    const { batchSize, maxLength, probability } = this.#options;
    return new MlmBatches(blocks, { vocabulary: this.#vocabulary, batchSize, maxLength, probability, seed });
  }

  #stepInputs(step: number): Record<keyof typeof ADAMW_INPUTS, Float32Array> {
    const { steps, lr, warmupRatio } = this.#options;
    return this.#optimizer.inputs(step + 1, lr * scheduleAt('linear', step, steps, warmupRatio));
  }

  #batchInputs({ inputIds, attentionMask, positions, labels }: MlmBatch): Record<string, Int32Array> {
    const { batchSize, maxLength } = this.#options;
    const positionsOf = positionIds(this.#config, { batch: batchSize, seq: maxLength, inputIds, attentionMask });
    return { inputIds, attentionMask, positionIds: positionsOf, positions, labels };
  }

  #compile(capacity: number, training: boolean): Promise<Program> {
    const { batchSize, maxLength } = this.#options;
    const grid = { shape: [batchSize, maxLength], dtype: 'i32' } as const;
    const list = { shape: [capacity], dtype: 'i32' } as const;
    const batch = { inputIds: grid, attentionMask: grid, positionIds: grid, positions: list, labels: list };
    const context: ForwardContext = {
      config: this.#config,
      layers: fullLayers(this.#config),
      weight: (name) => this.#parameters.get(name).tensor,
      table: (name) => [this.#parameters.get(name).tensor],
      hooks: [],
    };
    if (!training) {
      return this.#engine.compile('pretrain.evaluate', batch, (i) => {
        const hidden = hiddenStates(context, { ...i, tokenTypeIds: i.inputIds });
        return { outputs: { loss: crossEntropy(applyHead(context, 'masked-lm', hidden, i.positions), i.labels) } };
      });
    }
    return this.#engine.compile('pretrain.step', { ...batch, ...ADAMW_INPUTS, slot: SLOT_INPUT }, (i) => {
      const hidden = hiddenStates(context, { ...i, tokenTypeIds: i.inputIds });
      const loss = crossEntropy(applyHead(context, 'masked-lm', hidden, i.positions), i.labels);
      return { updates: [...this.#optimizer.step(loss, i).updates, ...this.#history.record(i.slot, { loss })] };
    });
  }

  /** Mean cross-entropy per masked token of held-out text, masked the same way at every call. */
  async #evaluate(heldOut: readonly Block[]): Promise<number> {
    const batches = this.#batches(heldOut, 0);
    const program = await this.#compile(batches.capacity, false);
    let total = 0;
    let count = 0;
    for (let step = 0; step < Math.min(HELD_OUT_BATCHES, batches.stepsPerEpoch); step++) {
      const batch = batches.at(step);
      program.run(this.#batchInputs(batch));
      total += ((await program.read('loss'))[0] as number) * batch.count;
      count += batch.count;
    }
    program.dispose();
    return total / count;
  }

  async #writeModel(dir: string): Promise<void> {
    const values = await this.#parameters.read();
    const entries = this.#parameters.all.map(({ name, shape }) => ({
      name,
      shape,
      dtype: 'F16' as const,
      data: f32ToF16(values.get(name) as Float32Array),
    }));
    await writeSafetensors(join(dir, 'model.safetensors'), entries, { format: 'pt' });
    await writeJson(join(dir, 'config.json'), this.#rawConfig);
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
