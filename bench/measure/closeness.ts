/** Room: bench/measure. Equality before timing: a candidate that computes something else is not timed. */
import { UserError } from '../../engine/errors.ts';

/** Largest difference as a part of the largest magnitude expected. Infinite for other lengths or values that are no numbers. */
export function relativeError(found: ArrayLike<number>, expected: ArrayLike<number>): number {
  if (found.length !== expected.length || found.length === 0) return Infinity;
  let difference = 0;
  let magnitude = 0;
  for (let i = 0; i < found.length; i++) {
    const error = Math.abs(found[i]! - expected[i]!);
    if (!Number.isFinite(error)) return Infinity;
    difference = Math.max(difference, error);
    magnitude = Math.max(magnitude, Math.abs(expected[i]!));
  }
  return difference === 0 ? 0 : difference / magnitude;
}

/** @throws UserError naming what differs and by how much */
export function assertClose(
  what: string,
  found: ArrayLike<number>,
  expected: ArrayLike<number>,
  tolerance: number,
): void {
  const error = relativeError(found, expected);
  if (error <= tolerance) return;
  const by = Number.isFinite(error)
    ? `differs by ${error.toExponential(1)}`
    : 'has another length or values that are no numbers';
  throw new UserError(`${what}: the result ${by}, expected at most ${tolerance.toExponential(0)}; it was not timed.`);
}
