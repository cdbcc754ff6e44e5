/**
 * Room: generate. Text from causal language models: prompts go in by chunks, keys and values are cached, one program is replayed for every
 * token; sampling, constraints and stop texts as in transformers; several adapters on one base.
 *
 * It imports peft-model and the rooms below, not train. It may not know of experiments, reports, or the command line.
 *
 * First files to read: `generate.ts`, `generator.ts`.
 */
export { generateAll, type Answer, type GenerationCallbacks, type GenerationRequest } from './generate.ts';
