/** Room: engine. Arrays of one or two dimensions, row-major, that are stored with zeros at the end of each dimension. */
import type { HostArray } from './device/uploads.ts';
import { sameShape, sizeOf, type Shape } from './graph/shape.ts';

/** The array as it is stored. */
export function padded<A extends HostArray>(data: A, shape: Shape, stored: Shape): A {
  return sameShape(shape, stored) ? data : moved(data, shape, shape, stored);
}

/** What `padded` was given. */
export function unpadded<A extends HostArray>(data: A, shape: Shape, stored: Shape): A {
  return sameShape(shape, stored) ? data : moved(data, shape, stored, shape);
}

/** Copies the elements of `shape` from the rows of an array of one shape to those of another. */
function moved<A extends HostArray>(data: A, shape: Shape, from: Shape, to: Shape): A {
  const [rows, cols] = asMatrix(shape);
  const out = new (data.constructor as new (length: number) => A)(sizeOf(to));
  for (let row = 0; row < rows; row++) {
    const start = row * asMatrix(from)[1];
    out.set(data.subarray(start, start + cols), row * asMatrix(to)[1]);
  }
  return out;
}

function asMatrix(shape: Shape): readonly [number, number] {
  const [first = 1, second] = shape;
  return second === undefined ? [1, first] : [first, second];
}
