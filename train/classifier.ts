/** Room: train. A sequence classifier: frozen base, PEFT modules and a task head, with one compiled program per batch shape. */
import type { InputSpec } from '../engine/compile/program.ts';
import type { Engine, HostArray } from '../engine/engine.ts';
import type { Tensor } from '../engine/graph/tensor.ts';
import type { Parameters } from '../engine/nn/parameters.ts';
import type { RandomState } from '../engine/ops/elementwise.ts';
import type { BaseModel } from '../models/base-model.ts';
import { encode, type ForwardContext } from '../models/encoder.ts';
import { classify } from '../models/heads.ts';
import type { Intervention } from '../models/intervention.ts';
import { positionIds } from '../models/positions.ts';
import type { PeftMethod, PeftRun } from '../peft/module.ts';
import type { Batch } from './data/batches.ts';

/** Something for every program input of a forward pass; `words` only where the word embedding stays on the host. */
type PerInput<T> = Readonly<
  Record<'inputIds' | 'positionIds' | 'tokenTypeIds' | 'attentionMask' | 'firstTokens', T>
> & {
  readonly words?: T;
};

/** i32, but `words`. */
export type BatchInputs = PerInput<Tensor>;

/** What a forward pass may be given beyond the weights. */
export interface ForwardOptions {
  /** Present while training with dropout. */
  readonly random?: RandomState;
  readonly isActive?: PeftRun['isActive'];
  readonly rankMask?: PeftRun['rankMask'];
  readonly probe?: PeftRun['probe'];
  /** Masks and the like, applied after the PEFT modules. */
  readonly interventions?: readonly Intervention[];
}

export class Classifier {
  readonly engine: Engine;
  readonly base: BaseModel;
  /** Absent: the head alone on the frozen base. */
  readonly method: PeftMethod | undefined;
  /** PEFT factors and head (and masks while estimating), by name; they go before the base's weights. */
  readonly parameters: Parameters;
  readonly labels: number;

  constructor(engine: Engine, base: BaseModel, method: PeftMethod | undefined, parameters: Parameters, labels: number) {
    this.engine = engine;
    this.base = base;
    this.method = method;
    this.parameters = parameters;
    this.labels = labels;
  }

  /** Class scores, f32 [batch, labels]. */
  logits(inputs: BatchInputs, options: ForwardOptions = {}): Tensor {
    const parameter = (name: string): Tensor => this.parameters.get(name).tensor;
    const { random, isActive, rankMask, probe, interventions = [] } = options;
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
      bias: (module) => find(`${module}.bias`),
      ...(random && { random }),
      ...(isActive && { isActive }),
      ...(rankMask && { rankMask }),
      ...(probe && { probe }),
    };
    const context: ForwardContext = {
      config: this.base.config,
      layers: this.base.layers,
      weight,
      interventions: [...(this.method ? [this.method.intervention(run)] : []), ...interventions],
    };
    return classify(context, encode(context, inputs), inputs.firstTokens);
  }

  /** Input specs of a batch shape. */
  inputSpecs(batch: number, seq: number): PerInput<InputSpec> {
    const grid: InputSpec = { shape: [batch, seq], dtype: 'i32' };
    const firstTokens: InputSpec = { shape: [batch], dtype: 'i32' };
    const words: InputSpec = { shape: [batch * seq, this.base.config.hiddenSize], dtype: 'f32' };
    const grids = { inputIds: grid, positionIds: grid, tokenTypeIds: grid, attentionMask: grid };
    return { ...grids, firstTokens, ...(this.base.words && { words }) };
  }

  /** Input values of a batch. */
  inputValues({ batch, seq, inputIds, attentionMask, tokenTypeIds }: Batch): PerInput<HostArray> {
    return {
      inputIds,
      attentionMask,
      tokenTypeIds,
      positionIds: positionIds(this.base.config, inputIds, batch, seq),
      firstTokens: Int32Array.from({ length: batch }, (_, row) => row * seq),
      ...(this.base.words && { words: this.base.words.rows(inputIds) }),
    };
  }
}
