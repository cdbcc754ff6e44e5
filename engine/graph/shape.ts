/** Room: engine/graph. Shapes and how one broadcasts into another. */

/** Sizes of a tensor's dimensions, row-major; [] is a number's. */
export type Shape = readonly number[];

export function sizeOf(shape: Shape): number {
  return shape.reduce((product, n) => product * n, 1);
}

export function sameShape(a: Shape, b: Shape): boolean {
  return a.length === b.length && a.every((n, i) => n === b[i]);
}

export function showShape(shape: Shape): string {
  return `[${shape.join(', ')}]`;
}

/**
 * The common shape of broadcast operands (numpy's rule).
 * @throws Error naming both shapes where they do not broadcast
 */
export function broadcastShapes(a: Shape, b: Shape): Shape {
  const rank = Math.max(a.length, b.length);
  return Array.from({ length: rank }, (_, i) => {
    const x = a[a.length - rank + i] ?? 1;
    const y = b[b.length - rank + i] ?? 1;
    if (x !== y && x !== 1 && y !== 1) throw new Error(`shapes ${showShape(a)} and ${showShape(b)} do not broadcast`);
    return x === 1 ? y : x;
  });
}

/** Element i of the larger tensor reads element `(i / inner) % count` of the smaller. */
export interface BroadcastPattern {
  readonly inner: number;
  readonly count: number;
}

/**
 * How `from` is read when computing `to`. Only one run of equal dimensions, with ones before and after it, is a pattern;
 * anything else must be expanded first.
 * @throws Error naming both shapes otherwise
 */
export function broadcastPattern(from: Shape, to: Shape): BroadcastPattern {
  const count = sizeOf(from);
  if (count === 1) return { inner: 1, count: 1 };
  const offset = to.length - from.length;
  const first = from.findIndex((n) => n !== 1);
  let last = from.length - 1;
  while (from[last] === 1) last--;
  for (let i = first; i <= last; i++) {
    if (from[i] !== to[i + offset])
      throw new Error(`${showShape(from)} is no single run of dimensions of ${showShape(to)}`);
  }
  return { inner: sizeOf(to.slice(last + offset + 1)), count };
}
