/**
 * Room: peft. Matrices of the vocabulary that PEFT saves without `modules_to_save`: `save_embedding_layers="auto"` writes those of a model
 * whose vocabulary was resized. Here they are modules saved whole; LoRA on one becomes part of it.
 */
import type { ModelConfig } from '../models/architecture.ts';
import { savedHead } from '../models/config.ts';
import { tiedModules } from '../models/heads.ts';
import { vocabularyWeights } from '../models/weights.ts';
import { configFor, methodOf, type PeftConfig } from './config.ts';
import type { Adapter, AdapterTensor } from './files.ts';
import type { PeftModule } from './module.ts';
import { isInSaved } from './targets.ts';
import { headOfTask } from './tasks.ts';

/** Names that these weights may have in an adapter's files, by those used here. */
export function vocabularyNames(model: ModelConfig): ReadonlySet<string> {
  const { prefix, otherPrefixes = [] } = model.architecture;
  const others = (name: string): string[] =>
    name.startsWith(prefix) ? otherPrefixes.map((other) => other + name.slice(prefix.length)) : [];
  return new Set(vocabularyWeights(model).flatMap((name) => [name, ...others(name)]));
}

/** An adapter with every matrix of the vocabulary that it holds among its saved modules. */
export function withSavedVocabulary(adapter: Adapter, model: ModelConfig): Adapter {
  const names = vocabularyNames(model);
  const { tensors, baseWeights = new Map<string, AdapterTensor>(), config } = adapter;
  const { savedVocabSize = model.vocabSize } = model;
  const isSaved = (name: string): boolean => isInSaved(name, config.modulesToSave);
  const resized = new Map(
    [...baseWeights].filter(([name, { shape }]) => names.has(name) && shape[0] !== savedVocabSize),
  );
  const added = new Map([
    ...resized,
    ...[...tensors].filter(([name]) => names.has(name) && name.endsWith('.weight') && !isSaved(name)),
  ]);
  if (added.size === 0) return adapter;
  // Of two that are tied one may be there for both.
  const tied = tiedNames(model, config).filter((name) => !tensors.has(name));
  const shared = tiedNames(model, config).flatMap((name) => added.get(name) ?? [])[0];
  for (const name of tied) if (shared && !added.has(name)) added.set(name, shared);
  const modules = [...added.keys()].map((name) => name.split('.').at(-2)!);
  const whole = folded({ ...adapter, tensors: new Map([...tensors, ...added]) }, resized);
  return { ...whole, config: { ...whole.config, modulesToSave: [...new Set([...config.modulesToSave, ...modules])] } };
}

/** LoRA on matrices that are no longer the base's: they hold what it adds. */
function folded(adapter: Adapter, resized: ReadonlyMap<string, AdapterTensor>): Adapter {
  if (resized.size === 0) return adapter;
  const { config, baseWeights = new Map<string, AdapterTensor>(), ...rest } = adapter;
  const tensors = new Map(adapter.tensors);
  const values = new Map([...tensors].map(([name, { data }]) => [name, data]));
  const isResized = ({ name }: PeftModule): boolean => resized.has(`${name}.weight`);
  for (const module of adapter.modules.filter(isResized)) {
    const method = methodOf(config, [module]);
    const name = `${module.name}.weight`;
    const { shape, data } = resized.get(name)!;
    for (const factor of method.factors(module)) tensors.delete(factor.name);
    tensors.set(name, { shape, data: method.merge!(module, values, data, 'merge') });
  }
  const modules = adapter.modules.filter((module) => !isResized(module));
  const left = new Map([...baseWeights].filter(([name]) => !resized.has(name)));
  return { ...rest, config: configFor(modules, config), modules, tensors, ...(left.size > 0 && { baseWeights: left }) };
}

/** The two matrices that the model of an adapter ties; none for a head without, or with its own. */
function tiedNames(model: ModelConfig, config: PeftConfig): string[] {
  const head = headOfTask(model, config) ?? savedHead(model);
  const tied = head && tiedModules(model, head);
  return tied ? [`${tied.words}.weight`, `${tied.scores}.weight`] : [];
}
