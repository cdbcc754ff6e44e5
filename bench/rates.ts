/** Room: bench. The best rates of the adapter, measured in the same run as what is compared with them. */
import { z } from 'zod';
import type { Tensor } from '../engine/graph/tensor.ts';
import { copy } from '../engine/ops/copy.ts';
import { matmul } from '../engine/ops/matmul.ts';
import { randomData } from './measure/data.ts';
import type { Rates } from './measure/roofline.ts';
import { interleave } from './measure/sample.ts';
import { OWN, ownCandidate, type BenchContext } from './suite.ts';

const ratesSchema = z.object({ flops: z.number(), bytes: z.number() });

/** Copies from what fits caches to what does not. */
const COPIES = { quick: [2 ** 16], full: [2 ** 18, 2 ** 20, 2 ** 22, 2 ** 24] };

const SQUARES = { quick: [128], full: [512, 1024] };

/** The fastest of square products and of copies, as a part of the suite; undefined where it failed. */
export function measureRates(context: BenchContext): Promise<Rates | undefined> {
  const sizes = context.quick ? 'quick' : 'full';
  return context.part('best rates', ratesSchema, async () => {
    let [flops, bytes] = [0, 0];
    for (const n of SQUARES[sizes])
      flops = Math.max(flops, (2 * n ** 3) / (await time(context, [n, n], 2, ([a, b]) => matmul(a!, b!))));
    for (const length of COPIES[sizes])
      bytes = Math.max(bytes, (8 * length) / (await time(context, [length], 1, ([x]) => copy(x!))));
    return { flops, bytes };
  });
}

/** Seconds of one op on some operands of a shape. */
async function time(
  { engine, timing }: BenchContext,
  shape: readonly number[],
  operands: number,
  op: (t: readonly Tensor[]) => Tensor,
): Promise<number> {
  const size = shape.reduce((a, b) => a * b, 1);
  const variables = Array.from({ length: operands }, (_, seed) =>
    engine.variable('operand', shape, { kind: 'state', data: randomData(size, seed + 1) }),
  );
  const program = await engine.compile('rate', {}, () => ({ outputs: { y: op(variables.map((v) => v.tensor)) } }));
  const { median } = (await interleave([ownCandidate(engine, () => program.run())], timing)).get(OWN)!;
  program.dispose();
  for (const variable of variables) engine.free(variable);
  return median;
}
