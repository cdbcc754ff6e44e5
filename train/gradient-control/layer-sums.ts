/** Room: train/gradient-control. Sums over the layers of packed gradients, and factors for each layer, on the device. */
import type { Engine } from '../../engine/engine.ts';
import type { Tensor } from '../../engine/graph/tensor.ts';
import { PARAMETER_ALIGNMENT as BLOCK, type ParameterGroup } from '../../engine/nn/parameters.ts';
import { add, equal, iota, mul } from '../../engine/ops/elementwise.ts';
import { gatherRows } from '../../engine/ops/gather.ts';
import { reshape } from '../../engine/ops/leaf.ts';
import { sumCols, sumLast } from '../../engine/ops/reduce.ts';
import type { Variable } from '../../engine/variable.ts';
import type { GradientLayers } from './layers.ts';

/** Parameters begin at multiples of a block, so that each block is of one layer. Padding between them is 0. */
export class LayerSums {
  readonly count: number;
  readonly #engine: Engine;
  /** The layer of each block, by group: i32 [blocks]. */
  readonly #layers: readonly Variable[];

  constructor(engine: Engine, groups: readonly ParameterGroup[], layers: GradientLayers) {
    this.#engine = engine;
    this.count = layers.names.length;
    this.#layers = groups.map(({ parameters, offsets, flat }) => {
      const data = new Int32Array(flat.size / BLOCK);
      parameters.forEach(({ name }, p) => data.fill(layers.of(name), offsets[p]! / BLOCK));
      return engine.variable('gradients.layers', [data.length], { dtype: 'i32', kind: 'state', data });
    });
  }

  /** a · b in each layer, f32 [count]. @param a packed, one tensor a group */
  dot(a: readonly Tensor[], b: readonly Tensor[]): Tensor {
    const parts = this.#layers.map(({ tensor: layers }, g) => {
      const blocks = layers.size;
      const products = sumLast(reshape(mul(a[g]!, b[g]!), [blocks, BLOCK]));
      const isIn = equal(reshape(layers, [blocks, 1]), iota([blocks, this.count]));
      return sumCols(mul(isIn, reshape(products, [blocks, 1])), blocks, this.count);
    });
    return parts.reduce((x, y) => add(x, y));
  }

  /** Packed gradients with a factor for each layer. @param factor f32 [count] */
  scaled(packed: readonly Tensor[], factor: Tensor): Tensor[] {
    return this.#layers.map(({ tensor: layers }, g) => {
      const of = gatherRows(reshape(factor, [this.count, 1]), layers);
      const scaled = mul(reshape(packed[g]!, [layers.size, BLOCK]), of);
      return reshape(scaled, packed[g]!.shape);
    });
  }

  free(): void {
    for (const layers of this.#layers) this.#engine.free(layers);
  }
}
