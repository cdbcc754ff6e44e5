/** Room: bench/measure. How a cost grows: the exponent of a power law through measured points. */
import { linearRegression, linearRegressionLine, rSquared } from 'simple-statistics';

export interface PowerFit {
  /** e of cost = a · size^e. */
  readonly exponent: number;
  readonly factor: number;
  /** Of the logarithms: 1 where the points lie on the line. */
  readonly rSquared: number;
}

/**
 * Least squares on the logarithms.
 * @param points (size, cost) pairs, all above 0, at least two sizes
 */
export function fitPower(points: readonly (readonly [size: number, cost: number])[]): PowerFit {
  if (points.some(([size, cost]) => !(size > 0 && cost > 0)))
    throw new Error('fitPower: sizes and costs must be above 0');
  if (new Set(points.map(([size]) => size)).size < 2) throw new Error('fitPower: two sizes at least');
  const logs = points.map(([size, cost]) => [Math.log(size), Math.log(cost)]);
  const line = linearRegression(logs);
  return { exponent: line.m, factor: Math.exp(line.b), rSquared: rSquared(logs, linearRegressionLine(line)) };
}
