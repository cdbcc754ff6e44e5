/** Room: models. Memory for the keys and values of one sequence, so that generating a token need not compute those before it. */
import type { Engine } from '../engine/engine.ts';
import type { Update } from '../engine/compile/graph.ts';
import type { Tensor } from '../engine/graph/tensor.ts';
import { dynamicUpdateSlice } from '../engine/ops/dynamic-update-slice.ts';
import type { Variable } from '../engine/variable.ts';
import type { BaseModel } from './base-model.ts';
import { rotaryInput } from './rotary.ts';
import type { KvCacheView } from './transformer.ts';

interface LayerMemory {
  readonly keys: Variable;
  readonly values: Variable;
}

/** What programs over the cache are traced with; `updates` is complete once the forward pass is traced. */
interface Traced {
  readonly cache: KvCacheView;
  readonly updates: readonly Update[];
}

export class KvCache {
  /** Tokens that fit. */
  readonly capacity: number;
  /** i32 [1, capacity], all 1: a causal query sees nothing behind itself, whatever lies there. */
  readonly mask: Variable;
  /** f32 [capacity, headDim], for models with rotary positions. */
  readonly rotary: Variable | undefined;
  readonly #engine: Engine;
  /** Undefined: pruning left the layer no heads. */
  readonly #layers: readonly (LayerMemory | undefined)[];

  /** f32 [capacity, kvHeads·headDim] for keys and for values of every layer: pruned heads have none. */
  constructor(engine: Engine, { config, layers }: BaseModel, capacity: number) {
    this.#engine = engine;
    this.capacity = capacity;
    const state = { kind: 'state' } as const;
    this.#layers = layers.map(({ heads, kvHeads }, i) => {
      if (heads === 0) return undefined;
      const shape = [capacity, kvHeads * config.headDim];
      return {
        keys: engine.variable(`keys.${i}`, shape, state),
        values: engine.variable(`values.${i}`, shape, state),
      };
    });
    const ones = new Int32Array(capacity).fill(1);
    this.mask = engine.variable('cache.mask', [1, capacity], { ...state, dtype: 'i32', data: ones });
    const table = rotaryInput(config, capacity);
    this.rotary = table && engine.variable('cache.rotary', [capacity, config.headDim], { ...state, data: table });
  }

  /** @param position i32 [1]: the place of a run's first token */
  trace(position: Tensor): Traced {
    const updates: Update[] = [];
    const store = (target: Variable, rows: Tensor): Tensor => {
      const value = dynamicUpdateSlice(target.tensor, rows, { position });
      updates.push({ target, value });
      return value;
    };
    const append: KvCacheView['append'] = (layer, keys, values) => {
      const memory = this.#layers[layer];
      if (!memory) throw new Error(`layer ${layer} has no heads to keep keys of`);
      return [store(memory.keys, keys), store(memory.values, values)];
    };
    return { cache: { capacity: this.capacity, position, append }, updates };
  }

  /** Bytes of keys and values. */
  get bytes(): number {
    return this.#memories.reduce((sum, { keys, values }) => sum + keys.storage.bytes + values.storage.bytes, 0);
  }

  free(): void {
    const tables = this.rotary ? [this.mask, this.rotary] : [this.mask];
    for (const variable of [...this.#memories.flatMap(({ keys, values }) => [keys, values]), ...tables])
      this.#engine.free(variable);
  }

  get #memories(): readonly LayerMemory[] {
    return this.#layers.filter((memory) => memory !== undefined);
  }
}
