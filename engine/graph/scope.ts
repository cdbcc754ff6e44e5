/**
 * Room: engine/graph. Names for parts of a graph, as JAX's `named_scope` and PyTorch's `record_function` give them: profiles and dumped
 * kernels say by them where a dispatch comes from. They change nothing that is computed.
 */

let current = '';

/**
 * Records all nodes that `build` emits under `name`; scopes within scopes are joined by `/`. Their vjps are recorded as
 * `backward(scope)`, what the compiler computes again as `recompute(scope)`.
 * @param build must not be asynchronous: the scope ends when it returns
 */
export function namedScope<T>(name: string, build: () => T): T {
  return inScope(current === '' ? name : `${current}/${name}`, build);
}

/** As `namedScope`, with the whole path in place of what is around. */
export function inScope<T>(path: string, build: () => T): T {
  const outer = current;
  current = path;
  try {
    return build();
  } finally {
    current = outer;
  }
}

/** The path of the scopes around; empty outside of all. */
export function currentScope(): string {
  return current;
}

/** A scope's path with a mark around it, e.g. `backward(layer.3/attention)`; no scope stays none. */
export function markScope(mark: 'backward' | 'recompute', path: string): string {
  return path === '' ? '' : `${mark}(${path})`;
}
