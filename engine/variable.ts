/** Room: engine. Tensors that stay on the device between runs: weights, trainables, optimizer state. */
import { BYTES, type DType } from '../kernels/kernel.ts';
import type { MemoryKind, Storage } from './device/memory.ts';
import type { HostArray } from './device/uploads.ts';
import { showShape, sizeOf, type Shape } from './graph/shape.ts';
import type { Tensor } from './graph/tensor.ts';
import { variableLeaf, type Resident } from './ops/leaf.ts';

/** How a variable is made. */
export interface VariableOptions {
  /** f32 unless given. */
  readonly dtype?: DType;
  readonly kind: MemoryKind;
  /** In the storage type; f16 as raw bits. Zeros unless given. */
  readonly data?: HostArray;
  /** Its shape on the device, as `Variable` has it; `shape` unless given. */
  readonly stored?: Shape;
}

/** Makes, fills and frees variables: an engine. */
export interface VariableStore {
  variable(name: string, shape: Shape, options: VariableOptions): Variable;
  fill(variable: Variable, pieces: AsyncIterable<HostArray>): Promise<void>;
  free(variable: Variable): void;
}

/** Resident data with a name, a shape and a leaf in the graph. Created by `engine.variable`. */
export class Variable implements Resident {
  readonly name: string;
  /** As the host reads and writes it. */
  readonly shape: Shape;
  readonly dtype: DType;
  readonly kind: MemoryKind;
  readonly storage: Storage;
  /** Reads the variable in a graph: its value at the start of the program, in the shape it is stored in. */
  readonly tensor: Tensor;

  /** @param stored its shape on the device, zeros past the end of each dimension of `shape` */
  constructor(name: string, shape: Shape, dtype: DType, kind: MemoryKind, storage: Storage, stored: Shape = shape) {
    this.name = name;
    this.shape = shape;
    this.dtype = dtype;
    this.kind = kind;
    this.storage = storage;
    this.tensor = variableLeaf(this, stored, dtype);
  }

  get size(): number {
    return sizeOf(this.shape);
  }

  /** The shape in which graphs see it. */
  get stored(): Shape {
    return this.tensor.shape;
  }

  /**
   * Part of this variable's memory under a name and shape of its own.
   * @param offset elements from the start; offset · bytes must fit the device's offset alignment
   */
  view(name: string, offset: number, shape: Shape, stored: Shape = shape): Variable {
    const bytes = sizeOf(stored) * BYTES[this.dtype];
    const start = offset * BYTES[this.dtype];
    if (start + bytes > this.storage.bytes) {
      throw new Error(
        `view ${name} ${showShape(shape)} at ${offset} does not fit ${this.name} ${showShape(this.shape)}`,
      );
    }
    const storage = { buffer: this.storage.buffer, offset: this.storage.offset + start, bytes };
    return new Variable(name, shape, this.dtype, this.kind, storage, stored);
  }

  /**
   * The matrix cut along its rows into views that a device can bind; itself where it fits.
   * @param limit bytes of the largest binding
   */
  rowParts(limit: number): readonly Variable[] {
    if (this.storage.bytes <= limit) return [this];
    const [rows, cols] = this.stored as [number, number];
    const rowBytes = cols * BYTES[this.dtype];
    const step = ALIGNMENT / greatestCommonDivisor(ALIGNMENT, rowBytes);
    const most = Math.floor(limit / rowBytes / step) * step;
    if (most === 0) throw new Error(`${this.name}: ${step} rows of ${rowBytes} bytes exceed a binding of ${limit}`);
    const each = Math.ceil(rows / Math.ceil(rows / most) / step) * step;
    return Array.from({ length: Math.ceil(rows / each) }, (_, i) =>
      this.view(`${this.name}.${i}`, i * each * cols, [Math.min(each, rows - i * each), cols]),
    );
  }
}

/** What the start of a binding must be a multiple of, on every device. */
const ALIGNMENT = 256;

function greatestCommonDivisor(a: number, b: number): number {
  return b === 0 ? a : greatestCommonDivisor(b, a % b);
}
