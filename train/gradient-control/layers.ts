/** Room: train/gradient-control. Which layer a gradient belongs to: a strategy works layer by layer. Pure functions. */
import type { PeftModel } from '../../peft-model/peft-model.ts';

/** Layers that have PEFT modules, from the lowest on, and the output layer after them. */
export interface GradientLayers {
  /** What each is called: of layers their number in the model, then `head`. */
  readonly names: readonly string[];
  /** The place of a parameter's layer among them. */
  readonly of: (parameter: string) => number;
}

/**
 * The layers of what a model trains. A layer all of whose modules were pruned away does not count. Modules on embeddings belong to the
 * lowest; what trains outside the layers, or in one that does not count, to the output layer.
 * @param trained names of all parameters that train
 */
export function gradientLayers({ base, method }: PeftModel, trained: readonly string[]): GradientLayers {
  const { block } = base.config.architecture;
  const prefixes = base.layers.map((_, layer) => `${block.prefix(layer)}.`);
  const modules = method?.modules ?? [];
  const isAdapted = (prefix: string): boolean =>
    modules.some(({ name }) => name.startsWith(prefix)) &&
    trained.some((name) => name.startsWith(prefix));
  const counted = [...prefixes.entries()].filter(([, prefix]) => isAdapted(prefix));
  const embeddings = modules.filter(({ isEmbedding }) => isEmbedding).map(({ name }) => `${name}.`);
  const head = counted.length;
  return {
    names: [...counted.map(([layer]) => String(layer)), 'head'],
    of: (parameter) => {
      if (embeddings.some((prefix) => parameter.startsWith(prefix))) return 0;
      const place = counted.findIndex(([layer, prefix]) => parameter.startsWith(prefix) || isMaskOf(parameter, layer));
      return place === -1 ? head : place;
    },
  };
}
