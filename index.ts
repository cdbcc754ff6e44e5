/**
 * Room: the package. `light-peft`: the public API.
 * @module light-peft
 */
export { Engine } from './engine/engine.ts';
export { UserError } from './engine/errors.ts';
