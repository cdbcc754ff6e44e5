/** Room: engine/profile. A dispatch as tables, traces and dumped kernels tell of it: its sizes and where it comes from. */
import type { Dispatch } from '../compile/lower.ts';

/** A product by m, n and its depths, attention by its sizes, anything else by its largest tensor. */
export function shapeOf({ kernel, bound }: Pick<Dispatch, 'kernel' | 'bound'>): string {
  const sizes = new Map(kernel.params.map(({ name, value }) => [name, String(value)]));
  const named = (names: readonly string[]): string => names.map((name) => `${name} ${sizes.get(name)}`).join(' ');
  const depths = kernel.params.filter(({ name }) => /^k\d+$/.test(name)).map(({ value }) => value);
  if (depths.length > 0) return `${named(['m', 'n'])} k ${depths.join('+')}`;
  if (sizes.has('heads') && sizes.has('seq')) return named(['batch', 'seq', 'heads']);
  const [largest] = [...bound].sort((a, b) => b.size - a.size);
  return largest ? largest.shape.join('×') || '1' : '';
}

/** The scopes of its ops, each once; those outside of all left out. */
export function scopesOf({ ops }: Pick<Dispatch, 'ops'>): string[] {
  return [...new Set(ops.flatMap(({ scopes }) => scopes))].filter((scope) => scope !== '');
}
