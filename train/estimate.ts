/**
 * Room: train. Stage one of Light-PEFT: trains PEFT modules, head and masks together for a few steps and watches how important
 * each head, neuron, module and rank turns out to be (light-peft.md §1–2).
 */
import type { InputSpec } from '../engine/compile/program.ts';
import type { Update } from '../engine/compile/graph.ts';
import type { HostArray } from '../engine/engine.ts';
import type { Tensor } from '../engine/graph/tensor.ts';
import type { PeftMethod } from '../peft/module.ts';
import {
  COUNTED_INPUT,
  ImportanceAccumulators,
  normRatio,
  type Importance,
  type ModuleRatio,
} from '../pruning/importance.ts';
import { ffnMaskName, headMaskName, maskHooks, maskPenalty, type MaskOptions } from '../pruning/masks.ts';
import type { PeftModel, ForwardOptions } from '../peft-model/peft-model.ts';
import type { StepTransform, StepGraph } from './trainer.ts';

/** What the estimation leaves for the decision. */
export interface Estimates extends Importance {
  /** A row per layer. */
  readonly headMasks: readonly number[][];
  readonly ffnMasks: readonly number[][];
  readonly countedSteps: number;
}

/** Attach to a training run whose parameters include the masks of `maskSpecs`. */
export class Estimation implements StepTransform {
  readonly inputs: Readonly<Record<string, InputSpec>> = { counted: COUNTED_INPUT };
  readonly #classifier: PeftModel;
  readonly #options: MaskOptions;
  readonly #steps: number;
  readonly #accumulators: ImportanceAccumulators;
  #ratios: ModuleRatio[] = [];

  /** @param steps T_e; those from ⌊T_e/2⌋ on are counted */
  constructor(classifier: PeftModel, method: PeftMethod, options: MaskOptions, steps: number) {
    this.#classifier = classifier;
    this.#options = options;
    this.#steps = steps;
    this.#accumulators = new ImportanceAccumulators(classifier.engine, method);
  }

  /** Accumulators, to be saved with a checkpoint. */
  get state(): ImportanceAccumulators['state'] {
    return this.#accumulators.state;
  }

  forward(): ForwardOptions {
    this.#ratios = [];
    return {
      onDelta: (module, delta, base) => this.#ratios.push({ module, ratio: normRatio(delta, base) }),
      hooks: [maskHooks((name) => this.#classifier.parameters.get(name).tensor)],
    };
  }

  penalty(parameter: (name: string) => Tensor): Tensor {
    return maskPenalty(this.#classifier.base.layers.length, parameter, this.#options);
  }

  values(step: number): Readonly<Record<string, HostArray>> {
    return { counted: Float32Array.of(step >= Math.floor(this.#steps / 2) ? 1 : 0) };
  }

  updates({ inputs, gradients, parameter }: StepGraph): Update[] {
    const { attentionMask, counted } = inputs as Record<'attentionMask' | 'counted', Tensor>;
    return this.#accumulators.accumulate(this.#ratios, parameter, gradients, attentionMask, counted);
  }

  async read(): Promise<Estimates> {
    const countedSteps = this.#steps - Math.floor(this.#steps / 2);
    const importance = await this.#accumulators.read(countedSteps);
    const values = await this.#classifier.parameters.read();
    const masks = (nameOf: (layer: number) => string): number[][] =>
      this.#classifier.base.layers.map((_, layer) => [...(values.get(nameOf(layer)) as Float32Array)]);
    return { ...importance, headMasks: masks(headMaskName), ffnMasks: masks(ffnMaskName), countedSteps };
  }

  free(): void {
    this.#accumulators.free();
  }
}
