/** Room: engine/ops. Rows by index: embeddings, the first token of each sequence, the masked positions of a batch. */
import * as kernels from '../../kernels/gather.ts';
import { showShape } from '../graph/shape.ts';
import { emit, type Op, type Tensor } from '../graph/tensor.ts';

interface GatherAttrs {
  readonly rows: number;
  readonly cols: number;
  readonly count: number;
}

const gatherOp: Op<GatherAttrs> = {
  name: 'gather_rows',
  cheap: true,
  lowering: {
    kind: 'kernel',
    kernel: ({ attrs, inputs }, traits) =>
      kernels.gatherRows({ ...attrs, tableType: inputs[0]?.dtype === 'f16' ? 'f16' : 'f32' }, traits),
  },
  vjp: ({ attrs, inputs }, [dy]) => [dy && emit(scatterOp, [inputs[1] as Tensor, dy], attrs, [attrs.rows, attrs.cols])],
};

const scatterOp: Op<GatherAttrs> = {
  name: 'scatter_rows',
  lowering: { kind: 'kernel', kernel: ({ attrs }, traits) => kernels.scatterRows(attrs, traits) },
  vjp: ({ attrs, inputs }, [dTable]) => [
    undefined,
    dTable && emit(gatherOp, [dTable, inputs[0] as Tensor], attrs, [attrs.count, attrs.cols]),
  ],
};

/**
 * Rows of a table.
 * @param table f32 or f16 [rows, cols]
 * @param ids i32, any shape; an id outside [0, rows) gives a row of zeros and no gradient
 * @returns f32 [ids.size, cols]
 */
export function gatherRows(table: Tensor, ids: Tensor): Tensor {
  const [rows, cols] = table.shape;
  if (table.shape.length !== 2 || rows === undefined || cols === undefined) {
    throw new Error(`gatherRows: the table must be a matrix, got ${showShape(table.shape)}`);
  }
  return emit(gatherOp, [table, ids], { rows, cols, count: ids.size }, [ids.size, cols]);
}
