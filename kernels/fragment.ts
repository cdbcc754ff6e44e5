/**
 * Room: kernels. A `Fragment` is straight-line elementwise WGSL: the body of an elementwise kernel, the epilogue of a
 * matmul, or the prologue of a reduction. The compiler's fusion writes fragments; kernel generators splice them in.
 */
import type { DType, Param } from './kernel.ts';

/**
 * A tensor read by a fragment. With i the flat index of the element being computed, the element read is
 * `(i / inner) % count`: full tensors have inner 1 and count = size; a bias [N] on [M,N] inner 1, count N; a per-row
 * value [M] on [M,N] inner N, count M; a scalar count 1; a head mask [H] on [M, H·d] inner d, count H.
 */
export interface FragmentInput {
  readonly name: string;
  readonly dtype: DType;
  readonly inner: number;
  readonly count: number;
}

/** A tensor written by a fragment, at the index of the element that is computed. */
export interface FragmentOutput {
  readonly name: string;
  readonly dtype: DType;
  /** A WGSL expression of type V. */
  readonly value: string;
  /** The name of an input that this output overwrites in place (same tensor, same index), if any. */
  readonly inPlaceOf?: string;
}

/**
 * Code over the type alias `V` (`vec4<f32>` or `f32`, the surrounding kernel decides), one element or four neighbours at a time.
 * In `body` and in outputs' values: an input named `a` is the variable `a` of type V, already loaded and converted (i32 and
 * u32 inputs become f32 by value); an input of dtype u32 and count 1 is also the u32 `a_u`, unconverted; constants are
 * written `V(0.5)`; the kernel's own result, where it has one (matmul), is `acc`; `index` is the flat index (u32) of the
 * first element; helpers of wgsl-lib.ts may be called by name. Body entries are whole statements, each with its `;`.
 * i32 / u32 outputs are converted from V by value.
 */
export interface Fragment {
  readonly inputs: readonly FragmentInput[];
  /** Numbers kept out of the text so that kernels which differ only by them share a pipeline; the kernel appends them to its
   * uniform block and the body reads them as `p.<name>`. */
  readonly params?: readonly Param[];
  readonly body: readonly string[];
  readonly outputs: readonly FragmentOutput[];
}
