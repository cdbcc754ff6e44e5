/**
 * Room: engine. `light-peft/engine`: tensors and programs on a WebGPU device.
 * @module light-peft/engine
 */
export { Engine, type Traced, type VariableOptions } from './engine.ts';
export { UserError } from './errors.ts';
export { add, mul } from './ops/elementwise.ts';
export { matmul } from './ops/matmul.ts';
