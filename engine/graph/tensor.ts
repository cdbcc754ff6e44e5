/**
 * Room: engine/graph. Lazy tensors: calling an op only records a node. `compile` turns the nodes behind some results into a
 * program; autograd walks them and records more.
 */
import { BYTES, type DeviceTraits, type DType, type Kernel, type Param } from '../../kernels/kernel.ts';
import type { Fragment } from '../../kernels/fragment.ts';
import type { ProductBatch } from '../../kernels/matmul.ts';
import type { ConfigSelector } from '../../kernels/config.ts';
import { currentScope } from './scope.ts';
import { showShape, sizeOf, type Shape } from './shape.ts';

let nextId = 0;

/** One value of the graph: output `index` of `node`. Immutable. */
export class Tensor {
  readonly node: Node;
  readonly index: number;
  readonly shape: Shape;
  readonly dtype: DType;

  constructor(node: Node, index: number, shape: Shape, dtype: DType) {
    this.node = node;
    this.index = index;
    this.shape = shape;
    this.dtype = dtype;
  }

  /** Number of elements. */
  get size(): number {
    return sizeOf(this.shape);
  }

  /** Bytes of its elements. */
  get bytes(): number {
    return this.size * BYTES[this.dtype];
  }

  /** The op, shape and dtype, for errors. */
  toString(): string {
    return `${this.node.op.name}#${this.node.id} ${this.dtype}${showShape(this.shape)}`;
  }
}

/** An application of an op. Ids grow, so id order is a valid execution order. */
export interface Node<A = unknown> {
  readonly id: number;
  readonly op: Op<A>;
  readonly inputs: readonly Tensor[];
  readonly attrs: A;
  readonly outputs: readonly Tensor[];
  /** Where it was recorded; see `namedScope`. */
  readonly scope: string;
}

/** The attributes of a node, where it is an application of `op`. */
export function attrsOf<A>(op: Op<A>, node: Node): A | undefined {
  return node.op === (op as Op) ? (node.attrs as A) : undefined;
}

/** A WGSL expression of an elementwise op and the uniforms it needs. */
export interface ElementExpression {
  readonly text: string;
  readonly params?: readonly Param[];
}

/**
 * How the compiler executes an op:
 * - `leaf`: has no inputs; its data is bound from outside (variables, program inputs) or inlined (constants)
 * - `view`: same bytes, another shape
 * - `elementwise`: may be fused with its neighbours
 * - `anchor`: a kernel of its own that takes elementwise work along (matmul: epilogue; reduction: prologue)
 * - `kernel`: a kernel of its own
 */
export type Lowering<A> =
  | { readonly kind: 'leaf' }
  | { readonly kind: 'view' }
  | {
      readonly kind: 'elementwise';
      /** WGSL of an element, from those of its operands. */
      expression(args: readonly string[], node: Node<A>, uid: string): ElementExpression;
    }
  | {
      readonly kind: 'anchor';
      readonly takes: 'epilogue' | 'prologue';
      /** The kernel of a node. */
      kernel(
        node: Node<A>,
        fused: Fragment | undefined,
        traits: DeviceTraits,
        selectConfig: ConfigSelector,
        batch?: ProductBatch,
      ): Kernel;
    }
  | {
      readonly kind: 'kernel';
      /** The input, by index, whose memory output 0 can take over: `kernel` is then asked to bind it for both. */
      readonly overwrites?: number;
      /** The kernel of a node. */
      kernel(
        node: Node<A>,
        traits: DeviceTraits,
        how: { readonly selectConfig: ConfigSelector; readonly inPlace: boolean },
      ): Kernel;
    };

/** Cotangents of a node's outputs; undefined where nothing flows back. */
export type Cotangents = readonly (Tensor | undefined)[];

/** One operation: how it runs and how gradients pass through it. */
export interface Op<A = unknown> {
  readonly name: string;
  readonly lowering: Lowering<A>;
  /** Costs about what reading its result costs, as all elementwise ops do: rather computed again than kept. */
  readonly cheap?: true;
  /**
   * Vector-Jacobian product: cotangents of the outputs → cotangents of the inputs, as new graph.
   * `needs[i]` is false where input i's cotangent is not asked for; it may then be left undefined.
   * Absent where the op is not differentiable.
   */
  readonly vjp?: (node: Node<A>, cotangents: Cotangents, needs: readonly boolean[]) => Cotangents;
}

/**
 * Records a node with one output: how ops are made, those of one's own too.
 * @param attrs what the op's lowering and vjp read of this application; told apart by its JSON
 * @param dtype of the output; arithmetic is f32
 */
export function emit<A>(op: Op<A>, inputs: readonly Tensor[], attrs: A, shape: Shape, dtype: DType = 'f32'): Tensor {
  return emitMany(op, inputs, attrs, [{ shape, dtype }])[0];
}

/** Records a node with several outputs, f32 unless they say otherwise. @returns them in order */
export function emitMany<A, const O extends readonly { readonly shape: Shape; readonly dtype?: DType }[]>(
  op: Op<A>,
  inputs: readonly Tensor[],
  attrs: A,
  outputs: O,
): { readonly [K in keyof O]: Tensor } {
  const tensors: Tensor[] = [];
  const node = { id: nextId++, op, inputs, attrs, outputs: tensors, scope: currentScope() } as Node<A>;
  for (const [i, o] of outputs.entries()) tensors.push(new Tensor(node as Node, i, o.shape, o.dtype ?? 'f32'));
  return tensors as readonly Tensor[] as { readonly [K in keyof O]: Tensor };
}
