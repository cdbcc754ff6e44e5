/** Tests only: an engine without a device. Variables live on the host, so that whatever files make of it can be run through. */
import type { Engine, HostArray } from '../../engine/engine.ts';
import type { Shape } from '../../engine/graph/shape.ts';
import { f16ToF32 } from '../../engine/io/float16.ts';

interface HostVariable {
  readonly name: string;
  readonly shape: Shape;
  readonly dtype: string;
  readonly kind: string;
  readonly size: number;
  data: Float32Array;
}

/** Has what loading, pruning and checkpoints use. */
export function hostEngine(): Engine {
  const variable = (name: string, shape: Shape, { dtype = 'f32', kind = 'weights', data }: Given): HostVariable => {
    const size = shape.reduce((a, b) => a * b, 1);
    return { name, shape, dtype, kind, size, data: data ? toFloats(data) : new Float32Array(size) };
  };
  const engine: Partial<Record<keyof Engine, unknown>> = {
    limits: { maxStorageBufferBindingSize: 2 ** 27 },
    traits: { f16: true },
    needF16: () => undefined,
    variable,
    allocateContiguous: (names: readonly string[], shape: Shape, options: Given) =>
      names.map((name) => variable(name, shape, options)),
    makeContiguous: (variables: readonly HostVariable[]) => variables,
    fill: async (target: HostVariable, pieces: AsyncIterable<HostArray>) => {
      let at = 0;
      for await (const piece of pieces) {
        target.data.set(toFloats(piece), at);
        at += piece.length;
      }
      if (at !== target.size) throw new Error(`${target.name} holds ${target.size} values, got ${at}`);
    },
    read: ({ data }: HostVariable) => Promise.resolve(data.slice()),
    free: () => undefined,
  };
  return engine as Engine;
}

interface Given {
  readonly dtype?: string;
  readonly kind?: string;
  readonly data?: HostArray;
}

function toFloats(data: HostArray): Float32Array {
  return data instanceof Uint16Array ? f16ToF32(data) : Float32Array.from(data);
}
