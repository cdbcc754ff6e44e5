/**
 * Room: the package. `light-peft`: PEFT and Light-PEFT on pretrained transformers, on any WebGPU device.
 *
 * The way of most programs: `Engine.open` → `loadModel` → `getPeftModel` → `estimate` → `decide` → `prune` → `train` → `evaluate` →
 * `savePretrained`. Methods and adapter formats are registries (`registerMethod`, `registerAdapterFormat`). Tensors, ops and programs are
 * `light-peft/engine`, WGSL is `light-peft/kernels`, data is `light-peft/data`, tests of kernels are `light-peft/testing`.
 *
 * This file exports and does nothing else; each room's `index.ts` says what of it is public.
 * @module light-peft
 */
export {
  DeviceLostError,
  Engine,
  NoAdapterError,
  setWarningHandler,
  UserError,
  type WarningHandler,
} from './engine/index.ts';
export * from './models/index.ts';
export * from './peft/index.ts';
export * from './pruning/index.ts';
export * from './peft-model/index.ts';
export * from './train/index.ts';
export * from './generate/index.ts';
