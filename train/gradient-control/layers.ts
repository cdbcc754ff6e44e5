/** Room: train/gradient-control. Which layer a gradient belongs to: strategies work layer by layer. Pure functions. */
import type { PeftModel } from '../../peft-model/peft-model.ts';
import { ffnMaskName, headMaskName } from '../../pruning/masks.ts';

/** Layers that have PEFT modules, from the lowest on, and the output layer after them. */
export interface GradientLayers {
  /** What each is called: its number in the model, and `head`. */
  readonly names: readonly string[];
  /** The place of a parameter's layer among them. */
  readonly of: (parameter: string) => number;
}

/**
 * The layers of what a model trains. A layer all of whose modules were pruned away does not count. Modules on embeddings belong to the
 * lowest; what trains outside the layers, or in one that does not count, to the output layer.
 */
export function gradientLayers({ base, method }: Pick<PeftModel, 'base' | 'method'>): GradientLayers {
  const { block } = base.config.architecture;
  const modules = method?.modules ?? [];
  const counted = base.layers
    .map((_, layer) => ({ layer, prefix: `${block.prefix(layer)}.` }))
    .filter(({ prefix }) => modules.some(({ name }) => name.startsWith(prefix)));
  const embeddings = modules.filter(({ isEmbedding }) => isEmbedding).map(({ name }) => `${name}.`);
  return {
    names: [...counted.map(({ layer }) => String(layer)), 'head'],
    of: (parameter) => {
      if (embeddings.some((prefix) => parameter.startsWith(prefix))) return 0;
      const isMask = (layer: number): boolean => [headMaskName(layer), ffnMaskName(layer)].includes(parameter);
      const place = counted.findIndex(({ layer, prefix }) => parameter.startsWith(prefix) || isMask(layer));
      return place === -1 ? counted.length : place;
    },
  };
}
