/**
 * Room: peft-model. `PeftModel`: a frozen base, PEFT modules and a task head, on the device. It is what is trained, evaluated, pruned,
 * merged and saved. It imports the rooms below (pruning, data, peft, models, engine) and knows nothing of training.
 */
import type { InputSpec } from '../engine/compile/program.ts';
import type { Engine, HostArray } from '../engine/engine.ts';
import { namedScope } from '../engine/graph/scope.ts';
import type { Tensor } from '../engine/graph/tensor.ts';
import { Parameters, type ParameterSpec } from '../engine/nn/parameters.ts';
import type { RandomState } from '../engine/ops/elementwise.ts';
import { gatherRows } from '../engine/ops/gather.ts';
import { crossEntropies, linearCrossEntropies } from '../engine/ops/vocabulary.ts';
import type { HeadKind, ModelConfig } from '../models/architecture.ts';
import type { BaseModel } from '../models/base-model.ts';
import type { Checkpoint } from '../models/checkpoint.ts';
import type { ForwardHooks } from '../models/forward-hooks.ts';
import { applyHead, headOf, headShapes } from '../models/heads.ts';
import { keepLayerOutputs } from '../models/layer-outputs.ts';
import { positionIds } from '../models/positions.ts';
import { rotaryInput } from '../models/rotary.ts';
import { hiddenStates, type ForwardContext, type KvCacheView } from '../models/transformer.ts';
import type { PeftConfig } from '../peft/config.ts';
import { valueOf, type PeftMethod, type PeftRun, type StateDict } from '../peft/module.ts';
import type { Decision } from '../pruning/decide.ts';
import { planFor } from '../pruning/plan.ts';
import type { Batch } from '../data/data-loader.ts';
import type { Objective } from '../data/objective.ts';
import { mergeIntoBase, type Merged } from './merge.ts';
import { readPretrained, writeState, type PretrainedOptions } from './pretrained.ts';
import { sliceState, type SliceOptions } from './slice-state.ts';
import { parameterSpecs, type PeftModelState } from './state.ts';
import { furtherHeadShapes, headNamed, taskWeight, type NamedHead } from './task-heads.ts';

/**
 * Something for every program input of a forward pass; `rows`, the tokens the head reads, where it reads one of each sequence;
 * `wordEmbedding` where the word embedding stays on the host; `rotary` for models with such positions; `segmentIds` of packed rows.
 */
type PerInput<T> = Readonly<Record<'inputIds' | 'positionIds' | 'tokenTypeIds' | 'attentionMask', T>> & {
  readonly rows?: T;
  readonly words?: T;
  readonly rotary?: T;
  readonly segmentIds?: T;
};

/** i32, but `wordEmbedding` and `rotary`. */
export type BatchInputs = PerInput<Tensor> & { readonly cache?: KvCacheView };

/** What a forward pass may be given beyond the weights. */
export interface ForwardOptions {
  /** Present while training with dropout. */
  readonly random?: RandomState;
  /** Whether a module takes part; all do unless said otherwise. */
  readonly isActive?: PeftRun['isActive'];
  /** f32 [ranks] per module: 0 leaves a rank out. */
  readonly rankMask?: PeftRun['rankMask'];
  /** Sees each module's Δ and what Δ is added to, both [tokens, features]. */
  readonly onDelta?: PeftRun['onDelta'];
  /** Sees what each adapter's bottleneck holds, f32 [tokens, ranks]. */
  readonly onBottleneck?: PeftRun['onBottleneck'];
  /** Masks and the like, applied after the PEFT modules. */
  readonly hooks?: readonly ForwardHooks[];
}

/** What multiplies the learning rate of a parameter, by its name; undefined for one that does not train. */
export type LearningRate = (name: string) => number | undefined;

/** The base a model stands on: its weights on the device, and where they came from. */
export interface PeftModelBase {
  readonly base: BaseModel;
  /** Absent: random weights; such a model saves no plan. */
  readonly checkpoint?: Checkpoint | undefined;
  /** Whether other models use the base too: disposing of this one leaves it. */
  readonly shared?: boolean | undefined;
}

/**
 * A frozen base with PEFT modules and a task head, on the device. It owns its buffers: dispose of it, or declare it with `using`.
 */
export class PeftModel implements Disposable {
  readonly engine: Engine;
  readonly base: BaseModel;
  readonly checkpoint: Checkpoint | undefined;
  /** Absent: the head alone on the frozen base. */
  readonly method: PeftMethod | undefined;
  readonly peft: PeftConfig;
  readonly head: HeadKind;
  /** Class names by index; one for a number to predict, none where the head's outputs are no classes. */
  readonly labels: readonly string[];
  /** Heads of several tasks, the first of which is the model's own; undefined: it has one, without a name. */
  readonly heads: readonly NamedHead[] | undefined;
  /** What was pruned, if anything. */
  readonly plan: Decision | undefined;
  readonly #shared: boolean;
  #parameters: Parameters | undefined;
  /** Of a model as one task has it: the model with all tasks' heads, whose parameters it uses. */
  readonly #whole: PeftModel | undefined;
  /** What the head's weights are called among the whole model's parameters. */
  readonly #headNames: ReadonlyMap<string, string>;
  readonly #tasks = new Map<string, PeftModel>();
  /** What became of the buffers, where this model has them no more. */
  #gone: string | undefined;
  #merged: Merged | undefined;
  /** Rotary tables by sequence length. */
  readonly #tables = new Map<number, Float32Array | undefined>();

  /**
   * Uploads a state; `createPeftModel`, `getPeftModel` and `fromPretrained` make one.
   * @param task its name, and the model that it is one of, which has all values on the device already
   */
  constructor(
    engine: Engine,
    { base, checkpoint, shared = false }: PeftModelBase,
    state: PeftModelState,
    task?: { readonly name: string; readonly of: PeftModel },
  ) {
    this.engine = engine;
    this.base = base;
    this.checkpoint = checkpoint;
    this.#shared = shared;
    this.method = state.method;
    this.peft = state.peft;
    this.head = state.head;
    this.labels = state.labels;
    this.heads = state.heads;
    this.plan = state.plan;
    this.#whole = task?.of;
    const own = [...headShapes(base.config, state.head, state.labels.length).keys()];
    this.#headNames = new Map(task ? own.map((name) => [name, taskWeight(task.name, name)]) : []);
    if (!task) this.#parameters = new Parameters(engine, parameterSpecs(base, state));
  }

  /**
   * The model as one task has it: the same base and modules, with the head of that task. It is there for training, evaluation and
   * `savePretrained`, which writes a folder with that head alone, and lasts as long as this model does. Itself where there is one head.
   * @throws UserError for a task that has no head
   */
  forTask(name: string): PeftModel {
    const { heads, engine, base, checkpoint } = this;
    if (!heads || heads[0]!.name === name) return this;
    const { head, labels } = headNamed(heads, name, 'the model');
    const { method, peft, plan } = this;
    const state = { method, peft, head, labels, plan, values: new Map() };
    const model =
      this.#tasks.get(name) ?? new PeftModel(engine, { base, checkpoint, shared: true }, state, { name, of: this });
    this.#tasks.set(name, model);
    return model;
  }

  /**
   * Base and adapter from disk; a plan in the adapter's folder prunes the base on the way.
   * @param adapter a folder of PEFT, AdapterHub, or of `savePretrained`; undefined: the checkpoint's own head, without PEFT
   * @throws UserError where base, plan and adapter do not belong together
   */
  static async fromPretrained(
    engine: Engine,
    checkpoint: Checkpoint,
    adapter?: string,
    options: PretrainedOptions & { readonly sharing?: PeftModel | undefined } = {},
  ): Promise<PeftModel> {
    const { base, state } = await readPretrained(engine, checkpoint, adapter, options, options.sharing);
    return new PeftModel(engine, { base, checkpoint, shared: options.sharing !== undefined }, state);
  }

  /** PEFT factors, head and other weights that train, by name; they go before the base's weights. */
  get parameters(): Parameters {
    if (this.#gone !== undefined) throw new Error(`this model ${this.#gone}: it cannot be used any more`);
    return this.#whole?.parameters ?? this.#parameters!;
  }

  /** Current values of everything that trains. */
  async stateDict(): Promise<StateDict> {
    const values = await this.parameters.read();
    if (!this.#whole) return values;
    const { base, head, labels, heads } = this.#whole;
    const others = [...headShapes(base.config, head, labels.length), ...furtherHeadShapes(base.config, heads)];
    const own = [...this.#headNames].map(([name, stored]) => [name, valueOf(values, stored)] as const);
    for (const [name] of others) values.delete(name);
    return new Map([...values, ...own]);
  }

  /** Replaces values by name. @throws Error for a value that is missing or of another size */
  loadStateDict(values: StateDict): void {
    this.#assertWhole('loadStateDict');
    for (const variable of this.parameters.all) {
      const value = values.get(variable.name);
      if (!value) throw new Error(`no values for parameter ${variable.name}`);
      this.engine.write(variable, value);
    }
  }

  /**
   * Runs `work` while further parameters, e.g. masks, train beside the model's own.
   * @param learningRate what multiplies the learning rate of each of its own, by name; undefined: it stays as it is
   */
  async withParameters<T>(
    extra: readonly ParameterSpec[],
    work: () => Promise<T>,
    learningRate?: LearningRate,
  ): Promise<T> {
    await this.#rebuild(extra, learningRate);
    let result: T;
    try {
      result = await work();
    } catch (error) {
      // What went wrong counts, not that a lost device can't be read.
      await this.#rebuild([]).catch(() => undefined);
      throw error;
    }
    await this.#rebuild([]);
    return result;
  }

  /** The folder that a task adds to its base: PEFT's files, `labels.json` where there are classes, `plan.json` where something was pruned. */
  async savePretrained(dir: string): Promise<void> {
    const { plan, checkpoint, base } = this;
    if (plan && !checkpoint) throw new Error('savePretrained: a plan is of a checkpoint, and this base is of none');
    const whole = plan && checkpoint && planFor(base.config, await checkpoint.fingerprint(), plan);
    await writeState(dir, base, await this.#state(), whole);
  }

  /**
   * Cuts heads and neurons out of the base, and modules and ranks out of the method. The base's buffers go into the result: this model
   * cannot be used any more.
   * @param decision of `decide`
   */
  async prune(decision: Decision, options: SliceOptions = {}): Promise<PeftModel> {
    this.#assertWhole('prune');
    const { base, state } = await sliceState(this.engine, this, await this.#state(), decision, options);
    this.#parameters?.free();
    this.#gone = 'was pruned into another';
    return new PeftModel(this.engine, { base, checkpoint: this.checkpoint, shared: this.#shared }, state);
  }

  /**
   * Merges the modules into the base's weights on the device: the forward pass is then that of a plain model.
   * @throws UserError for a method that is not linear
   */
  async merge(): Promise<void> {
    const whole = this.#whole ?? this;
    whole.#merged ??= await mergeIntoBase(this.engine, this.base, await whole.#state());
  }

  /** Gives the base back the bits it had before `merge`. */
  unmerge(): void {
    const whole = this.#whole ?? this;
    whole.#merged?.undo();
    whole.#merged = undefined;
  }

  /** Whether `merge` is in force. */
  get isMerged(): boolean {
    return (this.#whole ?? this).#merged !== undefined;
  }

  /** Frees everything on the device, but a base that others share. Harmless when done twice, or after `prune`. */
  dispose(): void {
    if (this.#gone !== undefined || this.#whole) return;
    if (this.#shared) this.unmerge();
    this.#parameters?.free();
    if (!this.#shared) this.base.free();
    this.#gone = 'was disposed of';
  }

  /** As `dispose`, for `using`. */
  [Symbol.dispose](): void {
    this.dispose();
  }

  async #state(): Promise<PeftModelState> {
    const { method, peft, head, labels, heads, plan } = this;
    return { method, peft, head, labels, heads, plan, values: await this.stateDict() };
  }

  #assertWhole(what: string): void {
    if (this.#whole) throw new Error(`${what}: this is the model as one task has it; use the model itself`);
  }

  async #rebuild(extra: readonly ParameterSpec[], learningRate?: LearningRate): Promise<void> {
    this.#assertWhole('withParameters');
    const own = parameterSpecs(this.base, await this.#state());
    const rated = (spec: ParameterSpec): ParameterSpec => {
      const lrMultiplier = learningRate?.(spec.name);
      return lrMultiplier === undefined ? { ...spec, frozen: true } : { ...spec, lrMultiplier };
    };
    const specs = learningRate ? own.map(rated) : own;
    this.#parameters?.free();
    this.#parameters = new Parameters(this.engine, [...specs, ...extra]);
  }

  /** The head's scores; for classification f32 [batch, labels]. */
  logits(inputs: BatchInputs, options: ForwardOptions = {}): Tensor {
    const context = this.#context(options);
    return applyHead(context, this.head, hiddenStates(context, inputs), inputs.rows);
  }

  /** The head's scores on what each layer gives, from the lowest on; the last are `logits`. */
  layerLogits(inputs: BatchInputs, { hooks = [], ...options }: ForwardOptions = {}): Tensor[] {
    const kept = keepLayerOutputs(this.base.config, this.base.layers);
    const context = this.#context({ ...options, hooks: [...hooks, kept.hooks] });
    const last = hiddenStates(context, inputs);
    return [...kept.outputs.slice(0, -1), last].map((hidden) => applyHead(context, this.head, hidden, inputs.rows));
  }

  /**
   * The objective's mean loss over what is labelled, shape [].
   * @param labels as the objective wants them
   */
  loss(objective: Objective, inputs: BatchInputs, labels: Tensor, options: ForwardOptions = {}): Tensor {
    const table = objective.fusedLoss && this.#frozenTable;
    if (!objective.fusedLoss || !table) {
      const logits = this.logits(inputs, options);
      return namedScope('loss', () => objective.loss(logits, labels));
    }
    const hidden = hiddenStates(this.#context(options), inputs);
    const { fusedLoss } = objective;
    return namedScope('loss', () => fusedLoss(hidden, table, labels));
  }

  /**
   * −log of the probability of tokens after others, by a language model's head: f32 [count], 0 where a label is negative.
   * @param inputs with `rows` i32 [count]: the tokens before those asked for
   * @param labels i32 [count]
   */
  tokenLosses(inputs: BatchInputs & { readonly rows: Tensor }, labels: Tensor, options: ForwardOptions = {}): Tensor {
    const table = this.#frozenTable;
    if (!table) return crossEntropies(this.logits(inputs, options), labels);
    const hidden = gatherRows(hiddenStates(this.#context(options), inputs), inputs.rows);
    return namedScope('loss', () => linearCrossEntropies(hidden, table, labels));
  }

  /** The vocabulary's matrix where scores are products with it alone: then the loss needs no scores of all tokens at once. */
  get #frozenTable(): readonly Tensor[] | undefined {
    const { vocabulary } = headOf(this.base.config, this.head);
    if (!vocabulary || vocabulary.bias) return undefined;
    const name = `${vocabulary.module}.weight`;
    const adapted = this.method?.modules.some((module) => module.name === vocabulary.module);
    if (adapted || this.#trains(name)) return undefined;
    return this.base.table(name).map(({ tensor }) => tensor);
  }

  #trains(name: string): boolean {
    return this.parameters.has(this.#headNames.get(name) ?? name);
  }

  #context(options: ForwardOptions): ForwardContext {
    const parameter = (name: string): Tensor => this.parameters.get(this.#headNames.get(name) ?? name).tensor;
    const { random, isActive, rankMask, onDelta, onBottleneck, hooks = [] } = options;
    const find = (name: string): Tensor | undefined =>
      this.#trains(name) ? parameter(name) : this.base.weights.get(name)?.tensor;
    const weight = (name: string): Tensor => {
      const found = find(name);
      if (!found) throw new Error(`the model has no weight ${name}`);
      return found;
    };
    const run: PeftRun = {
      parameter,
      weight,
      bias: (module) => find(`${module}.bias`),
      random,
      isActive,
      rankMask,
      onDelta,
      onBottleneck,
    };
    return {
      config: this.base.config,
      layers: this.base.layers,
      weight,
      table: (name) => (this.#trains(name) ? [parameter(name)] : this.base.table(name).map((part) => part.tensor)),
      hooks: [...(this.method && !this.isMerged ? [this.method.hooks(run)] : []), ...hooks],
    };
  }

  /**
   * Input specs of a batch shape.
   * @param options `count`, rows that the head reads, where that is not one or all of a sequence; `packed`, whether the rows are of several
   * examples
   */
  inputSpecs(
    batch: number,
    seq: number,
    { count, packed = false }: { readonly count?: number | undefined; readonly packed?: boolean } = {},
  ): PerInput<InputSpec> {
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
      ...(packed && { segmentIds: grid }),
    };
  }

  /** Input values of a batch. */
  inputValues(batch: Batch): PerInput<HostArray> {
    const { inputIds, attentionMask, tokenTypeIds, segmentIds } = batch;
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
      ...(segmentIds && { segmentIds }),
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
