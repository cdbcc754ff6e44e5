/** Room: engine/ops. Rows by index: embeddings, the first token of each sequence, the masked positions of a batch. */
import * as kernels from '../../kernels/gather.ts';
import { showShape } from '../graph/shape.ts';
import { emit, Tensor, type Op } from '../graph/tensor.ts';

const gatherOp: Op<kernels.GatherSpec> = {
  name: 'gather_rows',
  cheap: true,
  lowering: {
    kind: 'kernel',
    kernel: ({ attrs, inputs }, traits) =>
      kernels.gatherRows({ ...attrs, tableType: inputs[0]?.dtype === 'f16' ? 'f16' : 'f32' }, traits),
  },
  vjp: ({ attrs: { rows: parts, cols, count }, inputs }, [dy]) => {
    const [rows] = parts as readonly [number];
    if (parts.length > 1) throw new Error('gatherRows: no gradient flows to a table in parts');
    return [dy && emit(scatterOp, [inputs[1]!, dy], { rows, cols, count }, [rows, cols])];
  },
};

const scatterOp: Op<kernels.ScatterSpec> = {
  name: 'scatter_rows',
  lowering: { kind: 'kernel', kernel: ({ attrs }, traits) => kernels.scatterRows(attrs, traits) },
  vjp: ({ inputs }, [dTable]) => [undefined, dTable && gatherRows(dTable, inputs[0]!)],
};

/**
 * Rows of a table.
 * @param table f32 or f16 [rows, cols], or its parts in order where one binding could not hold it
 * @param ids i32, any shape; an id outside [0, rows) gives a row of zeros and no gradient
 * @returns f32 [ids.size, cols]
 * @throws Error where the table is no matrix
 */
export function gatherRows(table: Tensor | readonly Tensor[], ids: Tensor): Tensor {
  const parts = table instanceof Tensor ? [table] : table;
  const cols = parts[0]?.shape[1];
  if (cols === undefined || parts.some(({ shape }) => shape.length !== 2 || shape[1] !== cols)) {
    throw new Error(
      `gatherRows: the table must be a matrix, got ${parts.map(({ shape }) => showShape(shape)).join(', ')}`,
    );
  }
  const rows = parts.map(({ shape }) => shape[0]!);
  return emit(gatherOp, [...parts, ids], { rows, cols, count: ids.size }, [ids.size, cols]);
}
