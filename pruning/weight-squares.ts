/**
 * Room: pruning. Squared norms of the weights that belong to single heads and neurons: those that slicing cuts with them (docs/method.md §5).
 * Computed on the device, in whatever type the weights are stored.
 */
import type { Engine } from '../engine/engine.ts';
import type { Program } from '../engine/compile/program.ts';
import type { Tensor } from '../engine/graph/tensor.ts';
import { add, square } from '../engine/ops/elementwise.ts';
import { sumCols, sumLast } from '../engine/ops/reduce.ts';
import { linearLayers, type LayerShape, type ModelConfig, type PlacedLinear } from '../models/architecture.ts';

/** Squared norms of a layer's weights. */
export interface LayerSquares {
  /** Of all weights of each head: rows of query, key and value, columns of the output; a shared key/value head counts for each reader. */
  readonly heads: readonly number[];
  /** Of all weights of each neuron: its rows of the first matrices, its column of the second. */
  readonly neurons: readonly number[];
  /** Of the columns that read the contexts, and of those that read the neurons. */
  readonly contextColumns: readonly number[];
  readonly neuronColumns: readonly number[];
}

/** A matrix as parts along its rows. */
type Table = (name: string) => readonly Tensor[];

export class WeightSquares implements Disposable {
  readonly #config: ModelConfig;
  readonly #layers: readonly LayerShape[];
  readonly #parts: ReadonlyMap<string, number>;
  readonly #program: Program;

  private constructor(
    config: ModelConfig,
    layers: readonly LayerShape[],
    parts: ReadonlyMap<string, number>,
    program: Program,
  ) {
    this.#config = config;
    this.#layers = layers;
    this.#parts = parts;
    this.#program = program;
  }

  /** @param layers sizes of the layers as they are */
  static async of(
    engine: Engine,
    config: ModelConfig,
    layers: readonly LayerShape[],
    table: Table,
  ): Promise<WeightSquares> {
    const linears = linearLayers(config, layers).filter(({ inFeatures, outFeatures }) => inFeatures * outFeatures > 0);
    const sums = new Map(linears.map((linear) => [linear.name, squaresOf(linear, table(`${linear.name}.weight`))]));
    const parts = new Map([...sums].map(([name, { length }]) => [name, length]));
    const outputs = [...sums].flatMap(([name, all]) => all.map((sum, i) => [`${name}.${i}`, sum] as const));
    const program = await engine.compile('weight norms', {}, () => ({ outputs: Object.fromEntries(outputs) }));
    return new WeightSquares(config, layers, parts, program);
  }

  /** Of the weights as they are now. */
  async read(): Promise<LayerSquares[]> {
    this.#program.run();
    const namesOf = ([name, parts]: [string, number]) => Array.from({ length: parts }, (_, i) => `${name}.${i}`);
    const values = await this.#program.readAll([...this.#parts].flatMap(namesOf));
    const found = new Map(
      [...this.#parts].map((entry) => {
        const all = namesOf(entry).flatMap((name) => [...values.get(name)!]);
        return [entry[0], Float32Array.from(all)];
      }),
    );
    const linears = linearLayers(this.#config, this.#layers).filter(({ name }) => found.has(name));
    return this.#layers.map((shape, layer) => {
      const own = linears.filter((linear) => linear.layer === layer);
      const squares = own.map(({ role, name }) => ({ role, values: found.get(name)! }));
      return layerSquares(shape, this.#config.headDim, squares);
    });
  }

  [Symbol.dispose](): void {
    this.#program.dispose();
  }
}

const isOutput = ({ role }: Pick<PlacedLinear, 'role'>): boolean => role === 'attentionOutput' || role === 'down';

/** Of the columns of an output projection; else of the rows, by parts. */
function squaresOf(linear: PlacedLinear, parts: readonly Tensor[]): Tensor[] {
  if (!isOutput(linear)) return parts.map((part) => sumLast(square(part)));
  const columns = parts.map((part) => sumCols(square(part), part.shape[0]!, part.shape[1]!));
  return [columns.reduce((a, b) => add(a, b))];
}

/** Squares of the rows of a linear layer, or of its columns where it is an output projection. */
interface RoleSquares extends Pick<PlacedLinear, 'role'> {
  readonly values: Float32Array;
}

/** @param squares of the linear layers that a layer has; what lies beyond the layer's sizes are zeros that fill it up */
export function layerSquares(shape: LayerShape, headDim: number, squares: readonly RoleSquares[]): LayerSquares {
  const { heads, kvHeads, kvHeadOf, neurons } = shape;
  const group = (head: number): number => kvHeadOf?.[head] ?? Math.floor((head * kvHeads) / heads);
  const blocks: Partial<Record<PlacedLinear['role'], (head: number) => readonly number[]>> = {
    query: (head) => [head],
    key: (head) => [group(head)],
    value: (head) => [group(head)],
    queryKeyValue: (head) => [head, heads + group(head), heads + kvHeads + group(head)],
    attentionOutput: (head) => [head],
  };
  const ofHeads = squares.map(({ role, values }) => ({ blockOf: blocks[role], values }));
  const ofNeurons = squares.filter(({ role }) => !blocks[role]);
  const columns = (role: PlacedLinear['role'], count: number): number[] => [
    ...(squares.find((one) => one.role === role)?.values ?? []).slice(0, count),
  ];
  return {
    heads: indices(heads).map((head) =>
      total(ofHeads.flatMap(({ blockOf, values }) => (blockOf?.(head) ?? []).map((at) => run(values, at, headDim)))),
    ),
    neurons: indices(neurons).map((neuron) => total(ofNeurons.map(({ values }) => values[neuron]!))),
    contextColumns: columns('attentionOutput', heads * headDim),
    neuronColumns: columns('down', neurons),
  };
}

function indices(count: number): number[] {
  return Array.from({ length: count }, (_, i) => i);
}

/** Sum of the block of `size` values at a place. */
function run(values: Float32Array, at: number, size: number): number {
  return total([...values.subarray(at * size, (at + 1) * size)]);
}

function total(values: readonly number[]): number {
  return values.reduce((sum, value) => sum + value, 0);
}
