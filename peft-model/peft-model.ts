/** Room: peft-model. A model with a task head, as it is trained and asked: frozen base, PEFT modules and the head. */
import type { InputSpec } from '../engine/compile/program.ts';
import type { Engine, HostArray } from '../engine/engine.ts';
import { namedScope } from '../engine/graph/scope.ts';
import type { Tensor } from '../engine/graph/tensor.ts';
import type { Parameters } from '../engine/nn/parameters.ts';
import type { RandomState } from '../engine/ops/elementwise.ts';
import { reshape } from '../engine/ops/leaf.ts';
import { fusedLinearCrossEntropy } from '../engine/ops/vocabulary.ts';
import type { HeadKind, ModelConfig } from '../models/architecture.ts';
import type { BaseModel } from '../models/base-model.ts';
import { hiddenStates, type ForwardContext, type KvCacheView } from '../models/transformer.ts';
import { applyHead, biasName, headOf } from '../models/heads.ts';
import type { ForwardHooks } from '../models/forward-hooks.ts';
import { positionIds } from '../models/positions.ts';
import { rotaryInput } from '../models/rotary.ts';
import type { PeftMethod, PeftRun } from '../peft/module.ts';
import type { Batch } from '../data/data-loader.ts';
import { CLASSES, type Objective } from '../data/objective.ts';

/**
 * Something for every program input of a forward pass; `rows`, the tokens the head reads, where it reads one of each sequence;
 * `wordEmbedding` where the word embedding stays on the host; `rotary` for models with such positions.
 */
type PerInput<T> = Readonly<Record<'inputIds' | 'positionIds' | 'tokenTypeIds' | 'attentionMask', T>> & {
  readonly rows?: T;
  readonly words?: T;
  readonly rotary?: T;
};

/** i32, but `wordEmbedding` and `rotary`. */
export type BatchInputs = PerInput<Tensor> & { readonly cache?: KvCacheView };

/** What a forward pass may be given beyond the weights. */
export interface ForwardOptions {
  /** Present while training with dropout. */
  readonly random?: RandomState;
  readonly isActive?: PeftRun['isActive'];
  readonly rankMask?: PeftRun['rankMask'];
  readonly onDelta?: PeftRun['onDelta'];
  /** Masks and the like, applied after the PEFT modules. */
  readonly hooks?: readonly ForwardHooks[];
}

export class PeftModel {
  readonly engine: Engine;
  readonly base: BaseModel;
  /** Absent: the head alone on the frozen base. */
  readonly method: PeftMethod | undefined;
  /** PEFT factors and head (and masks while estimating), by name; they go before the base's weights. */
  readonly parameters: Parameters;
  /** What the head is trained for. */
  readonly objective: Objective;
  /** Rotary tables by sequence length. */
  readonly #tables = new Map<number, Float32Array | undefined>();

  constructor(
    engine: Engine,
    base: BaseModel,
    method: PeftMethod | undefined,
    parameters: Parameters,
    objective: Objective = CLASSES,
  ) {
    this.engine = engine;
    this.base = base;
    this.method = method;
    this.parameters = parameters;
    this.objective = objective;
  }

  get head(): HeadKind {
    return this.objective.head;
  }

  /** The head's scores; for classification f32 [batch, labels]. */
  logits(inputs: BatchInputs, options: ForwardOptions = {}): Tensor {
    const context = this.#context(options);
    return applyHead(context, this.head, hiddenStates(context, inputs), inputs.rows);
  }

  /**
   * The objective's mean loss over what is labelled, shape [].
   * @param labels as `labels` says
   */
  loss(inputs: BatchInputs, labels: Tensor, options: ForwardOptions = {}): Tensor {
    const table = this.#frozenTable;
    if (!table) {
      const logits = this.logits(inputs, options);
      return namedScope('loss', () => this.objective.loss(logits, labels));
    }
    const hidden = hiddenStates(this.#context(options), inputs);
    return namedScope('loss', () => fusedLinearCrossEntropy(hidden, table, reshape(labels, [labels.size])));
  }

  /** Spec of the labels of a batch. */
  labels(batch: number, seq: number): InputSpec {
    return this.objective.labels(batch, seq);
  }

  /** The vocabulary's matrix where scores are products with it alone: then the loss needs no scores of all tokens at once. */
  get #frozenTable(): readonly Tensor[] | undefined {
    const { vocabulary } = headOf(this.base.config, this.head);
    if (!vocabulary || vocabulary.bias !== undefined) return undefined;
    const name = `${vocabulary.weight}.weight`;
    const adapted = this.method?.modules.some((module) => module.name === vocabulary.module);
    if (adapted || this.parameters.has(name)) return undefined;
    return this.base.table(name).map(({ tensor }) => tensor);
  }

  #context(options: ForwardOptions): ForwardContext {
    const parameter = (name: string): Tensor => this.parameters.get(name).tensor;
    const { random, isActive, rankMask, onDelta, hooks = [] } = options;
    const find = (name: string): Tensor | undefined =>
      this.parameters.has(name) ? parameter(name) : this.base.weights.get(name)?.tensor;
    const weight = (name: string): Tensor => {
      const found = find(name);
      if (!found) throw new Error(`the model has no weight ${name}`);
      return found;
    };
    const run: PeftRun = {
      parameter,
      weight,
      bias: (module) => find(biasName(this.base.config, this.head, module)),
      ...(random && { random }),
      ...(isActive && { isActive }),
      ...(rankMask && { rankMask }),
      ...(onDelta && { onDelta }),
    };
    return {
      config: this.base.config,
      layers: this.base.layers,
      weight,
      table: (name) =>
        this.parameters.has(name) ? [parameter(name)] : this.base.table(name).map((part) => part.tensor),
      hooks: [...(this.method ? [this.method.hooks(run)] : []), ...hooks],
    };
  }

  /** Input specs of a batch shape. @param count rows that the head reads, where that is not one or all of a sequence */
  inputSpecs(batch: number, seq: number, count?: number): PerInput<InputSpec> {
    const grid: InputSpec = { shape: [batch, seq], dtype: 'i32' };
    const rows: InputSpec = { shape: [count ?? batch], dtype: 'i32' };
    const { config } = this.base;
    const words: InputSpec = { shape: [batch * seq, config.embeddingSize], dtype: 'f32' };
    const rotary: InputSpec = { shape: [seq, config.headDim], dtype: 'f32' };
    const grids = { inputIds: grid, positionIds: grid, tokenTypeIds: grid, attentionMask: grid };
    return {
      ...grids,
      ...((count !== undefined || !this.#readsEvery) && { rows }),
      ...(this.base.wordEmbedding && { words }),
      ...(config.architecture.rotary && { rotary }),
    };
  }

  /** Input values of a batch. */
  inputValues(batch: Batch): PerInput<HostArray> {
    const { inputIds, attentionMask, tokenTypeIds } = batch;
    const { config, wordEmbedding } = this.base;
    const rotary = this.#rotary(batch.seq);
    return {
      inputIds,
      attentionMask,
      tokenTypeIds,
      positionIds: positionIds(config, batch),
      ...(!this.#readsEvery && { rows: headRows(config, this.head, batch) }),
      ...(wordEmbedding && { words: wordEmbedding.rows(inputIds) }),
      ...(rotary && { rotary }),
    };
  }

  #rotary(seq: number): Float32Array | undefined {
    if (!this.#tables.has(seq)) this.#tables.set(seq, rotaryInput(this.base.config, seq));
    return this.#tables.get(seq);
  }

  get #readsEvery(): boolean {
    return headOf(this.base.config, this.head).reads === 'every-token';
  }
}

/** The token of each sequence that a head reads, as a row of the hidden states [batch·seq]. */
function headRows(config: ModelConfig, head: HeadKind, { batch, seq, inputIds, attentionMask }: Batch): Int32Array {
  if (headOf(config, head).reads === 'first-token') return Int32Array.from({ length: batch }, (_, row) => row * seq);
  // As transformers tells it: the last token that is not the pad token, where the configuration names one.
  const isToken = (at: number): boolean =>
    config.hasPadToken ? inputIds[at] !== config.padTokenId : attentionMask[at] === 1;
  return Int32Array.from({ length: batch }, (_, row) => {
    let at = (row + 1) * seq - 1;
    while (at > row * seq && !isToken(at)) at--;
    return at;
  });
}
