/** Room: engine/ops. A tensor as one entry of a larger one that is 0 elsewhere: what flows back from a part to the whole. */
import type { Shape } from '../graph/shape.ts';
import { emit, type ElementExpression, type Op, type Tensor } from '../graph/tensor.ts';
import { reshape } from './leaf.ts';

interface SelectScatterAttrs {
  /** Elements [start, end) of the result are the tensor's. */
  readonly start: number;
  readonly end: number;
}

const selectScatterOp: Op<SelectScatterAttrs> = {
  name: 'select_scatter',
  lowering: {
    kind: 'elementwise',
    expression: ([x], { attrs }, uid): ElementExpression => ({
      text: `select(V(0.0), ${x}, within(index, p.start_${uid}, p.end_${uid}) != V(0.0))`,
      params: [
        { name: `start_${uid}`, type: 'u32', value: attrs.start },
        { name: `end_${uid}`, type: 'u32', value: attrs.end },
      ],
    }),
  },
};

/** [...rest] → [n, ...rest], 0 but for entry `i` (PyTorch’s `select_scatter` into zeros). Not differentiable. */
export function selectScatter(x: Tensor, i: number, n: number): Tensor {
  const shape: Shape = [n, ...x.shape];
  return emit(selectScatterOp, [reshape(x, [1, ...x.shape])], { start: i * x.size, end: (i + 1) * x.size }, shape);
}
