/**
 * Room: peft-model. One noun: `PeftModel`, a frozen base with PEFT modules and a task head, on the device. It is made fresh
 * (`getPeftModel`) or from disk (`PeftModel.fromPretrained`), saved (`savePretrained`), pruned, merged, switched (`MultiAdapterModel`), and
 * disposed of. `PeftModelState` is the same on the host; `merge` and `export` of folders work on it without a device.
 *
 * It imports pruning, data (batches and objectives), peft, models, engine and kernels. It may not know of training or evaluation.
 *
 * First files to read: `peft-model.ts`, `state.ts`, `pretrained.ts`.
 */
export { getPeftModel, type PeftModelOptions } from './create.ts';
export { PeftModel, type ForwardOptions } from './peft-model.ts';
export { MultiAdapterModel } from './multi-adapter-model.ts';
export type { PretrainedOptions } from './pretrained.ts';
export { exportDense, mergeAdapter } from './convert.ts';
export { prune } from './prune.ts';
export type { NamedHead, TaskHead } from './task-heads.ts';
export type { SliceOptions } from './slice-state.ts';
