/** Room: peft. Options and configurations against the modules of a model: what they name must be there. */
import { option, UserError } from '../engine/errors.ts';
import { nearestNames } from '../engine/nearest.ts';
import { fullLayers, type HeadKind, type ModelConfig } from '../models/architecture.ts';
import { frozenWeightShapes } from '../models/base-model.ts';
import { targetableLayers, headShapes } from '../models/heads.ts';
import type { PeftConfig } from './config.ts';
import type { PeftOptions } from './options.ts';
import { isInSaved, matchesNames, matchesPattern, matchesTarget } from './targets.ts';

/** Names of all weights of a model with a head. */
function weightNames(config: ModelConfig, head: HeadKind): string[] {
  return [...frozenWeightShapes(config, head).keys(), ...headShapes(config, head, 1).keys()];
}

/**
 * @param peft what the options make of a model
 * @throws UserError for an option that matches no module, with names that are like it
 */
export function assertOptionsMatch(options: PeftOptions, peft: PeftConfig, config: ModelConfig, head: HeadKind): void {
  const layers = targetableLayers(config, fullLayers(config), head).map(({ name }) => name);
  const targeted = layers.filter((name) => matchesTarget(name, peft));
  const weights = weightNames(config, head);
  const need = (key: string, asked: string, isThere: boolean, among: readonly string[], what: string): void => {
    if (isThere) return;
    const near = nearestNames(asked, among.flatMap(endings), 3);
    const hint = near.length > 0 ? `; did you mean ${near.join(', ')}?` : `, which has such as ${among[0] ?? 'none'}`;
    throw new UserError(`${option(key)}: "${asked}" is no ${what} of the model${hint}`);
  };
  for (const name of options.modulesToSave ?? [])
    need(
      'modulesToSave',
      name,
      weights.some((weight) => isInSaved(weight, [name])),
      weights.map(moduleOf),
      'module',
    );
  for (const key of ['rankPattern', 'alphaPattern'] as const) {
    for (const name of Object.keys(options[key] ?? {}))
      need(
        key,
        name,
        targeted.some((layer) => matchesPattern(name, layer, key)),
        targeted,
        'module with factors',
      );
  }
  for (const key of ['excludeModules', 'feedforwardModules'] as const) {
    const among = key === 'excludeModules' ? layers : targeted;
    for (const rule of rulesOf(options[key]))
      need(
        key,
        [rule].flat().join(','),
        among.some((layer) => matchesNames(layer, rule, key)),
        among,
        'module',
      );
  }
}

/** Every name for itself, or one regular expression. */
function rulesOf(rule: string | readonly string[] | undefined): (string | readonly string[])[] {
  return rule === undefined ? [] : typeof rule === 'string' ? [rule] : rule.map((name) => [name]);
}

function moduleOf(weight: string): string {
  return weight.slice(0, weight.lastIndexOf('.'));
}

/** What names end in, as options have them: `query`, `self.query` … */
function endings(name: string): string[] {
  const parts = name.split('.').filter((part) => !/^\d+$/.test(part));
  return parts.map((_, i) => parts.slice(i).join('.'));
}

/** Of PEFT's own list for classifiers, one is enough. */
const DEFAULT_SAVED: readonly string[] = ['classifier', 'score'];

/**
 * @param held names of an adapter's modules, and of its tensors
 * @throws UserError for a module that the configuration targets, or saves, and the adapter lacks
 */
export function assertHolds(
  held: { readonly modules: ReadonlySet<string>; readonly tensors: ReadonlySet<string> },
  peft: PeftConfig,
  config: ModelConfig,
  head: HeadKind,
  dir: string,
): void {
  // Adapters of other formats, and bottleneck adapters, name all that they have.
  const layers = peft.method === 'bottleneck' ? [] : targetableLayers(config, fullLayers(config), head);
  const lacks = layers.find(({ name }) => !held.modules.has(name) && isTargeted(name, peft));
  if (lacks)
    throw new UserError(`${dir}: no factors of ${lacks.name}, which target_modules of adapter_config.json names`);
  const weights = weightNames(config, head);
  for (const saved of peft.modulesToSave) {
    const inside = weights.filter((name) => isInSaved(name, [saved]));
    const missing = inside.find((name) => !held.tensors.has(name));
    if (missing !== undefined)
      throw new UserError(`${dir}: tensor "${missing}" is missing, though modules_to_save names "${saved}"`);
  }
  const { modulesToSave } = peft;
  const isAny = weights.some((name) => isInSaved(name, modulesToSave));
  if (modulesToSave.length === 0 || isAny || modulesToSave.every((name) => DEFAULT_SAVED.includes(name))) return;
  throw new UserError(`${dir}: modules_to_save: ${modulesToSave.join(', ')} is no module of the model`);
}

/** `all-linear` leaves out what scores the vocabulary, and embeddings are no linear layers. */
function isTargeted(name: string, peft: PeftConfig): boolean {
  return peft.targetModules !== undefined && peft.targetModules !== 'all-linear' && matchesTarget(name, peft);
}
