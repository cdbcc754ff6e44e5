/** Room: engine. Tensors that stay on the device between runs: weights, trainables, optimizer state. */
import { BYTES, type DType } from '../kernels/kernel.ts';
import type { MemoryKind, Storage } from './device/memory.ts';
import { showShape, sizeOf, type Shape } from './graph/shape.ts';
import type { Tensor } from './graph/tensor.ts';
import { variableLeaf, type Resident } from './ops/leaf.ts';

/** Resident data with a name, a shape and a leaf in the graph. Created by `engine.variable`. */
export class Variable implements Resident {
  readonly name: string;
  readonly shape: Shape;
  readonly dtype: DType;
  readonly kind: MemoryKind;
  readonly storage: Storage;
  /** Reads the variable in a graph: its value at the start of the program. */
  readonly tensor: Tensor;

  constructor(name: string, shape: Shape, dtype: DType, kind: MemoryKind, storage: Storage) {
    this.name = name;
    this.shape = shape;
    this.dtype = dtype;
    this.kind = kind;
    this.storage = storage;
    this.tensor = variableLeaf(this, shape, dtype);
  }

  get size(): number {
    return sizeOf(this.shape);
  }

  /**
   * Part of this variable's memory under a name and shape of its own.
   * @param offset elements from the start; offset · bytes must fit the device's offset alignment
   */
  view(name: string, offset: number, shape: Shape): Variable {
    const bytes = sizeOf(shape) * BYTES[this.dtype];
    const start = offset * BYTES[this.dtype];
    if (start + bytes > this.storage.bytes) {
      throw new Error(
        `view ${name} ${showShape(shape)} at ${offset} does not fit ${this.name} ${showShape(this.shape)}`,
      );
    }
    const storage = { buffer: this.storage.buffer, offset: this.storage.offset + start, bytes };
    return new Variable(name, shape, this.dtype, this.kind, storage);
  }
}
