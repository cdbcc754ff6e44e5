/** Room: engine/ops. Trainable masks over columns: heads, neurons, ranks. Their gradient comes with the input's, in one pass. */
import * as kernels from '../../kernels/mask.ts';
import { showShape } from '../graph/shape.ts';
import { emit, emitMany, type Op, type Tensor } from '../graph/tensor.ts';
import { reshape } from './leaf.ts';
import { sumCols } from './reduce.ts';

interface MaskAttrs {
  readonly rows: number;
  readonly cols: number;
  readonly inner: number;
  readonly parts: number;
}

const maskOp: Op<MaskAttrs> = {
  name: 'mask_columns',
  lowering: { kind: 'elementwise', expression: ([x, m]) => ({ text: `${x} * ${m}` }) },
  vjp: ({ attrs, inputs }, [dy]) => {
    if (!dy) return [];
    const [x, m] = inputs as [Tensor, Tensor];
    const [dx, dm] = emitMany(maskGradOp, [dy, x, m], attrs, [{ shape: x.shape }, { shape: [attrs.parts, m.size] }]);
    return [dx, reshape(sumCols(dm, attrs.parts, m.size), m.shape)];
  },
};

const maskGradOp: Op<MaskAttrs> = {
  name: 'mask_columns_backward',
  lowering: {
    kind: 'kernel',
    overwrites: 0,
    kernel: ({ attrs }, traits, { inPlace }) => kernels.maskGrad(attrs, traits, inPlace),
  },
};

/**
 * x ∘ m with each mask entry covering `cols / m.size` neighbouring columns (docs/method.md §2).
 * @param x f32 [..., cols]
 * @param m f32 [n], n a divisor of cols: n = heads for a context, n = cols for neurons or ranks
 */
export function maskColumns(x: Tensor, m: Tensor): Tensor {
  const cols = x.shape.at(-1) ?? 1;
  const inner = cols / m.size;
  if (!Number.isInteger(inner))
    throw new Error(`maskColumns: ${m.size} entries do not divide the columns of ${showShape(x.shape)}`);
  const rows = x.size / cols;
  const grouped = reshape(x, [rows, m.size, inner]);
  const attrs = { rows, cols, inner, parts: kernels.maskParts(rows, cols) };
  return reshape(emit(maskOp, [grouped, reshape(m, [m.size, 1])], attrs, grouped.shape), x.shape);
}
