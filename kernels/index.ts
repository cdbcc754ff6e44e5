/**
 * Room: kernels. `light-peft/kernels`: generators of WGSL compute kernels, forward and backward.
 *
 * A generator is a pure function of a task (shapes, dtypes, options) and of `DeviceTraits`. It returns a `Kernel`: the module's text,
 * what is bound where, its uniforms, its workgroups, and its roofline (`flops`, `bytes`). Sizes are uniforms: tasks that differ by
 * nothing else share one text and so one pipeline. Elementwise work around a matmul, a reduction or by itself is a `Fragment` that is
 * spliced in. Where a task can be done in several ways, `…Configs` lists them, the best guess first, and `…TuningTask` describes the choice.
 *
 * This room imports nothing, opens no device, and may not know of tensors, models or files. `light-peft/testing` runs a kernel on this machine's
 * adapter; any other WebGPU program can, with `packParams(kernel.params)` as the uniform block behind the storage bindings.
 * @module light-peft/kernels
 */
export {
  BYTES,
  declare,
  MAX_WORKGROUPS,
  packParams,
  spread,
  type Binding,
  type DeviceTraits,
  type DType,
  type Kernel,
  type Param,
} from './kernel.ts';

// Matrix products
export {
  matmul,
  matmulConfigs,
  matmulTuningTask,
  mayDropProducts,
  FIRST_TOKEN_INPUT,
  RANDOM_INPUTS,
  type MatmulConfig,
  type MatmulSpec,
  type MatmulTerm,
  type ProductBatch,
  type ProductDrop,
} from './matmul.ts';
export type { KernelTemplate } from './matmul/spec.ts';
export type {
  MatrixAddress,
  SubgroupMatrixConfig,
  SubgroupMatrixShape,
  SubgroupMatrixSyntax,
} from './matmul/subgroup-matrix-syntax.ts';

// Attention
export {
  attentionBackwardKV,
  attentionBackwardQ,
  attentionConfigs,
  attentionForward,
  attentionTuningTask,
  type AttentionDirection,
  type AttentionSpec,
} from './attention.ts';
export { rotary, type RotarySpec } from './rotary.ts';

// Normalisation
export { layerNorm, layerNormBackward, layerNormBackwardParams, type LayerNormBackwardOptions } from './layernorm.ts';
export { rmsNorm, rmsNormBackward, rmsNormBackwardParams } from './rmsnorm.ts';
export { normParts, type NormSpec } from './norm.ts';

// Losses
export { crossEntropy, type CrossEntropySpec } from './cross-entropy.ts';
export { logSumExp, type LogSumExpSpec } from './log-sum-exp.ts';

// Elementwise work and reductions
export { elementwise } from './elementwise.ts';
export { colParts, reduceCols, reduceColsPartial, reduceRows, type MatrixReduction } from './reduce.ts';
export { maskGrad, maskParts, type MaskGradSpec } from './mask.ts';

// Moving data
export { gatherRows, scatterRows, type GatherSpec, type ScatterSpec } from './gather.ts';
export { stridedCopy, type StridedCopySpec } from './copy.ts';
export { writeRows, type WriteRowsSpec } from './write-rows.ts';

// To write a generator: fragments, text, rows dealt out to lanes, device policy, configs
export type { Fragment, FragmentInput, FragmentOutput } from './fragment.ts';
export { emitFragment, fragmentBytes, fragmentFlops, type EmitOptions, type EmittedFragment } from './emit-fragment.ts';
export { assemble, bind, mainHead, u32Params, vectorize, type KernelParts } from './assemble.ts';
export { prelude } from './wgsl-lib.ts';
export { each, list, range } from './text.ts';
export { rowGroups, rowMain, rowReduction, SUM_BLOCK, type RowGroups } from './row-group.ts';
export { policyOf, usesBroadcast, type DevicePolicy } from './policy.ts';
export { findConfig, nextPowerOfTwo, selectDefault, type ConfigSelector, type KernelConfigs } from './config.ts';
