/**
 * Room: peft. PEFT methods: trainable modules attached to named layers of a frozen model, and their folders on disk. A method says which
 * factors a module has, along which axes (rank, in, out), and what it adds to the forward pass (`module.ts`). Files, importance, slicing,
 * merging and the optimizer follow from that. Methods (`config.ts`) and formats of folders (`adapter-formats.ts`) are registries.
 *
 * It imports models, engine and kernels. It may not know of pruning, data, or training.
 *
 * First files to read: `module.ts`, `method-base.ts`, `lora/lora.ts`.
 */
export {
  bottleneckConfig,
  doraConfig,
  ia3Config,
  loraConfig,
  peftConfig,
  type PeftConfigFor,
} from './create-config.ts';
export { registerMethod, type MethodType, type PeftConfig } from './config.ts';
export { registerAdapterFormat, type AdapterFormat } from './adapter-formats.ts';
export type { Adapter, AdapterTensor } from './files.ts';
export { ModuleMethod } from './method-base.ts';
export type { Factor, PeftMethod, PeftModule, PeftRun, Rng, StateDict } from './module.ts';
export type { PeftOptions, PeftOptionsInput } from './options.ts';
