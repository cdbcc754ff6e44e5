/** Protects: an op of one's own — kernel, vjp, a place in fused programs — needs no more than the public entries. */
import { expect, it } from 'vitest';
import { emit, Engine, gradients, mul, namedScope, square, sum, type Op, type Tensor } from '../../engine/index.ts';
import { assemble, mainHead, spread, u32Params, type Kernel } from '../../kernels/index.ts';

interface CumulativeSum {
  readonly rows: number;
  readonly cols: number;
  /** Whether it runs from the last column to the first. */
  readonly reverse: boolean;
}

/** Bindings: x f32 [rows, cols], then y f32 [rows, cols]. A row a lane. */
function cumulativeSumKernel({ rows, cols, reverse }: CumulativeSum): Kernel {
  return assemble({
    name: 'cumulative_sum',
    bindings: [
      { name: 'x', dtype: 'f32', role: 'in' },
      { name: 'y', dtype: 'f32', role: 'out' },
    ],
    params: u32Params({ rows, cols, reverse: Number(reverse) }),
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

const cumulativeSumOp: Op<CumulativeSum> = {
  name: 'cumulative_sum',
  lowering: { kind: 'kernel', kernel: ({ attrs }) => cumulativeSumKernel(attrs) },
  vjp: ({ attrs }, [dy]) => [dy && emit(cumulativeSumOp, [dy], { ...attrs, reverse: !attrs.reverse }, dy.shape)],
};

/** y[r, c] = Σ_{i ≤ c} x[r, i]. @param x f32 [rows, cols] */
function cumulativeSum(x: Tensor): Tensor {
  const [rows, cols] = x.shape as [number, number];
  return emit(cumulativeSumOp, [x], { rows, cols, reverse: false }, x.shape);
}

it('runs between fused ops and is differentiated', async () => {
  using engine = await Engine.open();
  const x = engine.variable('x', [2, 3], { kind: 'state', data: Float32Array.of(1, 2, 3, -1, 0, 2) });
  using program = await engine.compile('custom', {}, () => {
    const y = namedScope('mine', () => cumulativeSum(mul(x.tensor, 2)));
    return { outputs: { y, dx: gradients(sum(square(y)), [x.tensor])[0]! } };
  });
  program.run();
  expect([...(await program.read('y'))]).toEqual([2, 6, 12, -2, -2, 2]);
  // dL/dx = 2 · Σ_{i ≥ c} 2·y_i
  expect([...(await program.read('dx'))]).toEqual([80, 72, 48, -8, 0, 8]);
  const own = program.dispatches.filter(({ kernel }) => kernel.name === 'cumulative_sum');
  expect(own.map(({ ops }) => ops.map(({ scopes }) => scopes))).toEqual([[['mine']], [['backward(mine)']]]);
});
