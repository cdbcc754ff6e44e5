/**
 * Room: engine. `light-peft/engine`: lazy tensors, gradients and compiled programs on WebGPU.
 *
 * Ops record a graph of `Tensor`s; nothing runs. `gradients` adds the backward pass to the graph. `engine.compile` fuses it, plans its
 * memory and builds a `Program`, whose `run` only writes inputs and encodes dispatches. What stays between runs is a `Variable`.
 * An op of one's own is an `Op` recorded by `emit`: a lowering to a kernel of `light-peft/kernels`, and a vjp of other ops.
 *
 * Below: `graph/` (tensors) ← `ops/` ← `autograd/`, `compile/` ← `engine.ts` ← `nn/`, `optim/`, `profile/`, `tune/`; `device/` and `io/`
 * know no tensors. The room imports `kernels/` and nothing to the left of itself: it knows no layer, no model, no adapter, no pruning.
 * @module light-peft/engine
 */
export { Engine, type HostArray, type Traced } from './engine.ts';
export { Variable, type VariableOptions } from './variable.ts';
export type { AdapterDescription } from './device/device.ts';
export type { Memory, MemoryKind, Storage } from './device/memory.ts';

// Graphs
export { emit, emitMany, Tensor, type Cotangents, type ElementExpression, type Node } from './graph/tensor.ts';
export type { Lowering, Op } from './graph/tensor.ts';
export type { Shape } from './graph/shape.ts';
export { namedScope } from './graph/scope.ts';
export { gradients } from './autograd/gradients.ts';

// Programs
export type { CompileOptions, InputSpec, Program, ProgramMemory } from './compile/program.ts';
export type { Dispatch } from './compile/lower.ts';
export type { ActivationType, Recompute } from './compile/recompute.ts';
export type { Update } from './compile/graph.ts';

// Elementwise ops; operands broadcast, and numbers are tensors
export { abs, add, constant, div, equal, exp, greaterEqual, iota, log, maximum, minimum } from './ops/elementwise.ts';
export { mul, neg, relu, sign, sqrt, square, sub, tanh, where } from './ops/elementwise.ts';
export { gelu, geluTanh, silu } from './ops/elementwise.ts';
export { finiteOrZero, identity, isNonFinite, stopGradient } from './ops/elementwise.ts';
export { dropout, type RandomState } from './ops/elementwise.ts';
export { maskColumns } from './ops/mask.ts';

// Products, sums, losses
export { matmul } from './ops/matmul.ts';
export { expand, sum, sumCols, sumLast, sumToSize } from './ops/reduce.ts';
export { crossEntropy } from './ops/cross-entropy.ts';
export { fusedLinearCrossEntropy, vocabularyLogits } from './ops/vocabulary.ts';

// Layers
export { attention, type AttentionSpec } from './ops/attention.ts';
export { rotary, rotaryTable } from './ops/rotary.ts';
export { layerNorm } from './ops/layernorm.ts';
export { rmsNorm } from './ops/rmsnorm.ts';
export { checkpoint } from './ops/saved-for-backward.ts';

// Shapes, rows, copies
export { reshape } from './ops/leaf.ts';
export { cast, copy, permute, selectIndex, slice } from './ops/copy.ts';
export { selectScatter } from './ops/select-scatter.ts';
export { gatherRows } from './ops/gather.ts';
export { dynamicUpdateSlice } from './ops/dynamic-update-slice.ts';

// Training
export { Parameters, type ParameterGroup, type ParameterSpec } from './nn/parameters.ts';
export { AdamW, ADAMW_DEFAULTS, ADAMW_INPUTS, type AdamWOptions, type AdamWStep } from './optim/adamw.ts';
export { scheduleAt, SCHEDULES, type Schedule, type ScheduleName } from './optim/schedule.ts';
export { hostRandom, philox, type HostRandom } from './random.ts';

// Files
export { openSafetensors, writeSafetensors } from './io/safetensors.ts';
export type { TensorData, TensorEntry, TensorFile } from './io/safetensors.ts';
export { loadWeight, type Placing } from './io/load.ts';
export { bf16ToF32, f16ToF32, f32ToF16 } from './io/float16.ts';

// Seeing what runs
export { KernelDump } from './profile/kernel-dump.ts';
export { Profiler, type ProgramProfile, type TimedDispatch } from './profile/profiler.ts';
export { memoryLowerBound } from './compile/memory-lower-bound.ts';

// Errors
export { DeviceLostError, NoAdapterError } from './device/device.ts';
export { UserError } from './errors.ts';
export { setWarningHandler, warn, type WarningHandler } from './warnings.ts';
