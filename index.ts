/** Room: the package. `light-peft`: the public API. */
export { Engine } from './engine/engine.ts';
export { UserError } from './engine/errors.ts';
