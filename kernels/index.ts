/**
 * Room: kernels. `light-peft/kernels`: generators of WGSL, pure functions of sizes and device traits.
 * @module light-peft/kernels
 */
export type { DeviceTraits, DType, Kernel } from './kernel.ts';
export { layerNorm } from './layernorm.ts';
export { matmul } from './matmul.ts';
