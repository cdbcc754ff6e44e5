/** Room: engine/profile. What the adapter reaches with a large product and a large copy: the floor of every kernel. */
import { neg } from '../ops/elementwise.ts';
import { matmul } from '../ops/matmul.ts';
import type { Engine } from '../engine.ts';

/** Per second. */
export interface Rates {
  readonly flops: number;
  readonly bytes: number;
}

/** Rows and columns of the product, and elements of the copy: large for the adapter, yet measured in a second. */
const SIZES = { software: { side: 1024, elements: 2 ** 22 }, gpu: { side: 4096, elements: 2 ** 26 } } as const;
const RUNS = 9;

/** Measures both rates by timestamps, the best of a few runs. Allocates its operands only meanwhile. */
export async function measureRates(engine: Engine): Promise<Rates> {
  const { side, elements } = SIZES[engine.traits.software ? 'software' : 'gpu'];
  return { flops: await productRate(engine, side), bytes: await copyRate(engine, elements) };
}

async function productRate(engine: Engine, side: number): Promise<number> {
  const data = Float32Array.from({ length: side * side }, (_, i) => (i % 17) / 16 - 0.5);
  const x = engine.variable('rates.x', [side, side], { kind: 'state', data });
  try {
    const seconds = await secondsOf(engine, () => matmul(x.tensor, x.tensor, { transposeB: true }));
    return (2 * side ** 3) / seconds;
  } finally {
    engine.free(x);
  }
}

async function copyRate(engine: Engine, elements: number): Promise<number> {
  const x = engine.variable('rates.x', [elements], { kind: 'state' });
  try {
    return (8 * elements) / (await secondsOf(engine, () => neg(x.tensor)));
  } finally {
    engine.free(x);
  }
}

async function secondsOf(engine: Engine, value: () => ReturnType<typeof neg>): Promise<number> {
  const program = await engine.compile('rates', {}, () => ({ outputs: { value: value() } }));
  try {
    program.run();
    const samples: number[] = [];
    for (let i = 0; i < RUNS; i++) samples.push((await program.profile()).reduce((a, b) => a + b, 0));
    return Math.min(...samples) / 1e9;
  } finally {
    program.dispose();
  }
}
