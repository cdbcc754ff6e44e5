/**
 * Room: examples. An op of your own: the cumulative sum of each row, with its WGSL kernel and its vjp, checked by finite differences.
 *
 *     npx tsx examples/custom-op.ts
 */
import { emit, Engine, gradients, mul, square, sum, type Op, type Tensor } from 'light-peft/engine';
import { assemble, mainHead, spread, u32Params, type Kernel } from 'light-peft/kernels';

type Rows = Readonly<{ rows: number; cols: number; reverse: number }>;

/** x f32 [rows, cols] → y f32 [rows, cols]; a row an invocation. */
function cumsumKernel({ rows, cols, reverse }: Rows): Kernel {
  const binding = (name: string, role: 'in' | 'out') => ({ name, role, dtype: 'f32' }) as const;
  return assemble({
    name: 'cumsum',
    bindings: [binding('x', 'in'), binding('y', 'out')],
    params: u32Params({ rows, cols, reverse }),
    body: `${mainHead(64)}
  let row = group * 64u + lane;
  if (row >= p.rows) { return; }
  var total = 0.0;
  for (var i = 0u; i < p.cols; i++) {
    let at = row * p.cols + select(i, p.cols - 1u - i, p.reverse == 1u);
    total += x[at];
    y[at] = total;
  }
}`,
    vector: false,
    workgroups: spread(Math.ceil(rows / 64)),
    flops: rows * cols,
    bytes: 8 * rows * cols,
  });
}

const cumsumOp: Op<Rows> = {
  name: 'cumsum',
  lowering: { kind: 'kernel', kernel: ({ attrs }) => cumsumKernel(attrs) },
  vjp: ({ attrs }, [dy]) => [dy && emit(cumsumOp, [dy], { ...attrs, reverse: 1 - attrs.reverse }, dy.shape)],
};
const cumsum = (x: Tensor, [rows, cols] = x.shape as [number, number]): Tensor =>
  emit(cumsumOp, [x], { rows, cols, reverse: 0 }, x.shape);

using engine = await Engine.open();
using program = await engine.compile('cumsum', { x: { shape: [3, 5], dtype: 'f32' } }, ({ x }) => {
  const loss = sum(square(cumsum(mul(x, 0.5))));
  return { outputs: { loss, dx: gradients(loss, [x])[0]! } };
});
const values = Float32Array.from({ length: 15 }, (_, i) => Math.sin(3 * i));
const lossAt = async (i: number, step: number): Promise<number> => {
  program.run({ x: values.map((v, j) => (j === i ? v + step : v)) });
  return (await program.read('loss'))[0]!;
};
await lossAt(0, 0);
const dx = await program.read('dx');
let error = 0;
for (const [i, slope] of dx.entries())
  error = Math.max(error, Math.abs(((await lossAt(i, 0.05)) - (await lossAt(i, -0.05))) / 0.1 - slope));
console.log('largest error of the gradient:', error);
