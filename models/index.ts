/**
 * Room: models. Transformers from Hugging Face folders: `config.json` and the weights, and one forward pass for all families. A family is
 * data (`families/`, an `Architecture`): names of weights, norms, positions, heads. PEFT modules, masks and the like reach into the
 * forward pass by `ForwardHooks`; with none it is the plain model. Tokenizers and chat templates are here too.
 *
 * It imports engine and kernels. It may not know of adapters, pruning, training, or data sets.
 *
 * First files to read: `architecture.ts` (a model as data), `transformer.ts` (the forward pass), `base-model.ts` (weights on the device).
 */
export { loadModel, type Checkpoint } from './checkpoint.ts';
export type { HeadKind, ModelConfig } from './architecture.ts';
export type { BaseModel } from './base-model.ts';
export * from './hub/index.ts';
export type { ForwardHooks } from './forward-hooks.ts';
export { loadChatFormat, type ChatFormat, type Message, type RenderOptions } from './chat/chat-format.ts';
export type { Rendered } from './chat/template.ts';
