/** Room: kernels. Kernels that can be generated in several ways, among which the caller may choose. */

/** A task and the variants that can do it. */
export interface Variants {
  /** E.g. `matmul`. */
  readonly family: string;
  /** The task's class: its sizes rounded up to powers of two, its layouts and types. Tasks of one class share a choice. */
  readonly task: string;
  /** The default first. */
  readonly names: readonly string[];
  /** Source of a variant for its class: it changes when the generator does. */
  source(name: string): string;
}

/** Names one of the variants. Generators get the choice as an argument. */
export type Choose = (variants: Variants) => string;

/** What the generators' own tables say. */
export const chooseDefault: Choose = ({ names }) => names[0]!;

/** The next power of two: how tasks are classed by a size. */
export function roundUp(size: number): number {
  return 2 ** Math.ceil(Math.log2(Math.max(size, 1)));
}

/** The variant of that name, or the first. @throws Error for a name that is not among them */
export function pick<V extends { readonly name: string }>(variants: readonly V[], name: string | undefined): V {
  const found = name === undefined ? variants[0] : variants.find((variant) => variant.name === name);
  if (found) return found;
  throw new Error(`no variant ${name} among ${variants.map((variant) => variant.name).join(', ')}`);
}
