/** Room: kernels. Kernels that can be generated in several ways, among which the caller may choose. */

/** A task and the configs that can do it. */
export interface KernelConfigs {
  /** E.g. `matmul`. */
  readonly family: string;
  /** The task's class: its sizes rounded up to powers of two, its layouts and types. Tasks of one class share a choice. */
  readonly task: string;
  /** The default first. */
  readonly names: readonly string[];
  /** Source of a config for its class: it changes when the generator does. */
  source(name: string): string;
}

/** Names one of the configs, which generators then get as an argument: from a table, a cache, or by timing them. */
export type ConfigSelector = (configs: KernelConfigs) => string;

/** Selects what the generators' own tables say: the first. */
export const selectDefault: ConfigSelector = ({ names }) => names[0]!;

/** The next power of two: how tasks are classed by a size. */
export function nextPowerOfTwo(size: number): number {
  return 2 ** Math.ceil(Math.log2(Math.max(size, 1)));
}

/** The config of that name, or the first. @throws Error for a name that is not among them */
export function findConfig<C extends { readonly name: string }>(configs: readonly C[], name?: string): C {
  const found = name === undefined ? configs[0] : configs.find((config) => config.name === name);
  if (found) return found;
  throw new Error(`no config ${name} among ${configs.map((config) => config.name).join(', ')}`);
}
