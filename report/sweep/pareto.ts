/** Room: report/sweep. Which points no other point beats on both figures. Pure. */
import type { Direction } from './schema.ts';

export interface Point {
  readonly x: number;
  readonly y: number;
}

/**
 * The points for which no other is at least as good on both figures and better on one; equal points stay together.
 * @returns them from the smallest x to the largest
 */
export function paretoFront<T extends Point>(points: readonly T[], x: Direction, y: Direction): T[] {
  const [signX, signY] = [signOf(x), signOf(y)];
  const best = [...points].sort((a, b) => signX * (b.x - a.x) || signY * (b.y - a.y));
  const front: T[] = [];
  for (const point of best) {
    const last = front.at(-1);
    const isSame = last?.x === point.x && last.y === point.y;
    if (!last || isSame || signY * (point.y - last.y) > 0) front.push(point);
  }
  return front.sort((a, b) => a.x - b.x || a.y - b.y);
}

function signOf(direction: Direction): 1 | -1 {
  return direction === 'maximize' ? 1 : -1;
}
