/** Room: models. The hidden states between a model's layers, for those who look at more than the last. */
import type { Tensor } from '../engine/graph/tensor.ts';
import { linearName, type LayerShape, type ModelConfig } from './architecture.ts';
import type { ForwardHooks } from './forward-hooks.ts';

/** Hooks that keep what every layer gives, and what they kept. */
export interface LayerOutputs {
  readonly hooks: ForwardHooks;
  /** f32 [tokens, features] by layer; filled in by a forward pass with the hooks after all others. */
  readonly outputs: readonly Tensor[];
}

/** For one forward pass. */
export function keepLayerOutputs(config: ModelConfig, layers: readonly LayerShape[]): LayerOutputs {
  const outputs: Tensor[] = [];
  const last = new Map(layers.map((_, layer) => [linearName(config, layer, 'down'), layer]));
  const hooks: ForwardHooks = {
    sublayer: (name, y, _, normed) => {
      const layer = last.get(name);
      if (layer !== undefined) outputs[layer] = normed();
      return y;
    },
  };
  return { hooks, outputs };
}
