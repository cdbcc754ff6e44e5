/** Room: engine/ops. Rows written into a larger matrix: keys and values into their cache, chunks into a whole. */
import * as kernels from '../../kernels/write-rows.ts';
import { showShape } from '../graph/shape.ts';
import { emit, type Op, type Tensor } from '../graph/tensor.ts';
import { slice } from './copy.ts';
import { constant } from './elementwise.ts';

const dynamicUpdateSliceOp: Op<kernels.WriteRowsSpec> = {
  name: 'dynamic_update_slice',
  lowering: {
    kind: 'kernel',
    overwrites: 0,
    kernel: ({ attrs }, traits, { inPlace }) => kernels.writeRows(attrs, traits, inPlace),
  },
  vjp: ({ attrs: { batch, start, count, cols, position } }, [dy], needs) => {
    if (!dy) return [];
    if (batch > 1 || position) throw new Error('dynamicUpdateSlice: no gradient flows through several sequences');
    return [
      needs[0] ? dynamicUpdateSlice(dy, constant(0, [count, cols]), { start }) : undefined,
      needs[1] ? slice(dy, 0, start, count) : undefined,
    ];
  },
};

/**
 * `into` with `rows` in place of some of its own, from row `start` (plus `position`) of every sequence on; what would lie past
 * a sequence's end is dropped. Differentiable for one sequence without `position`.
 *
 * As the update of the variable that `into` reads, it is written in place: only the new rows are touched, and what reads the
 * result in the same program reads the variable.
 * @param into f32 [batch·capacity, cols]
 * @param rows f32 [batch·count, cols]
 * @param position i32 [1]
 * @returns f32, of the shape of `into`
 * @throws Error naming the shapes where they do not fit
 */
export function dynamicUpdateSlice(
  into: Tensor,
  rows: Tensor,
  { batch = 1, start = 0, position }: { batch?: number; start?: number; position?: Tensor } = {},
): Tensor {
  const cols = into.shape.at(-1) ?? 1;
  const [capacity, count] = [into.size / cols / batch, rows.size / cols / batch];
  if (rows.shape.at(-1) !== cols || !Number.isInteger(capacity) || !Number.isInteger(count)) {
    throw new Error(
      `dynamicUpdateSlice: ${showShape(rows.shape)} does not fit ${showShape(into.shape)}, batch ${batch}`,
    );
  }
  const attrs = { batch, capacity, count, cols, start, position: position !== undefined };
  const inputs = position ? [into, rows, position] : [into, rows];
  return emit(dynamicUpdateSliceOp, inputs, attrs, into.shape);
}
