/**
 * Room: peft. Which modules a configuration means, by the rules of Hugging Face PEFT 0.21 (`check_target_module_exists`,
 * `get_pattern_key`). Pure functions of module names.
 */
import { UserError } from '../engine/errors.ts';
import { execPattern } from './pattern.ts';

/** The part of a configuration that chooses modules. */
export interface TargetRule {
  /**
   * Names (a module matches by its whole name or by its last parts), `all-linear`, or a regular expression on whole names;
   * undefined leaves it to the model's family (`withDefaultTargets`).
   */
  readonly targetModules: readonly string[] | string | undefined;
  /** The same two forms; wins over `targetModules`. */
  readonly excludeModules?: readonly string[] | string | undefined;
  /** Only layers of these numbers; where absent, all. Has no effect on a module targeted by its whole name. */
  readonly layersToTransform?: readonly number[] | undefined;
  /** Names of the list of layers, e.g. `layer`; where empty, the first number in the module's name counts. */
  readonly layersPattern?: readonly string[];
  /** Modules trained whole; nothing inside them is ever targeted. */
  readonly modulesToSave?: readonly string[];
}

const ALL_LINEAR = 'all-linear';

/**
 * Whether a configuration targets the linear module `name`.
 * @param head the output head (`classifier`, `lm_head.decoder`), which `all-linear` leaves out with all it contains
 */
export function matchesTarget(name: string, rule: TargetRule, head?: string): boolean {
  const { targetModules, excludeModules, modulesToSave = [] } = rule;
  if (excludeModules !== undefined && matchesNames(name, excludeModules, 'exclude_modules')) return false;
  if (isSaved(name, modulesToSave)) return false;
  if (targetModules === undefined) throw new Error('target_modules are not known yet');
  if (typeof targetModules !== 'string') {
    return targetModules.includes(name) || (hasSuffix(name, targetModules) && isInLayers(name, rule));
  }
  if (targetModules.toLowerCase() !== ALL_LINEAR) return isFullMatch(targetModules, name, 'target_modules');
  return head === undefined || (name !== head && !name.startsWith(`${head}.`));
}

/**
 * The targeted ones of a model's linear modules, in the order given.
 * @throws UserError where a configuration targets none
 */
export function targetedModules(linears: readonly string[], rule: TargetRule, head?: string): string[] {
  const targeted = linears.filter((name) => matchesTarget(name, rule, head));
  if (targeted.length > 0) return targeted;
  const found = JSON.stringify(rule.targetModules);
  throw new UserError(
    `target_modules: ${found} matches no linear module; the model has such as ${linears[0] ?? 'none'}`,
  );
}

/** Whether a module is one of `modulesToSave` or lies inside one, and so is never targeted. */
function isSaved(name: string, modulesToSave: readonly string[]): boolean {
  return modulesToSave.some((saved) => execPattern(saved, `(^|.*\\.)${saved}($|\\..*)`, name, 'modules_to_save'));
}

/**
 * Whether a tensor trains with a module of `modulesToSave`, as PEFT wraps them: a module whose whole path ends so, dots or not
 * (`classifier` means DistilBERT's `pre_classifier` too).
 */
export function isInSaved(tensor: string, modulesToSave: readonly string[]): boolean {
  const parts = tensor.split('.');
  const modules = parts.slice(1).map((_, i) => parts.slice(0, i + 1).join('.'));
  return modules.some((module) => modulesToSave.some((saved) => module.endsWith(saved)));
}

/**
 * The value of the first pattern that matches the end of a module's name, or `fallback`: `(.*\.)?(pattern)$`.
 * @param key names the patterns in errors: `rank_pattern`, `alpha_pattern`
 */
export function patternValue(
  name: string,
  patterns: Readonly<Record<string, number>>,
  fallback: number,
  key: string,
): number {
  const found = Object.entries(patterns).find(([source]) => matchesPattern(source, name, key));
  return found ? found[1] : fallback;
}

/** Whether a pattern of ranks or alphas is for a module. @param key as in `patternValue` */
export function matchesPattern(source: string, name: string, key: string): boolean {
  return execPattern(source, `^(.*\\.)?(${source})$`, name, key) !== null;
}

/** Whether a module is among names (as `targetModules`) or matches a regular expression. */
export function matchesNames(name: string, names: readonly string[] | string, key: string): boolean {
  return typeof names === 'string' ? isFullMatch(names, name, key) : names.includes(name) || hasSuffix(name, names);
}

function hasSuffix(name: string, suffixes: readonly string[]): boolean {
  return suffixes.some((suffix) => name.endsWith(`.${suffix}`));
}

function isInLayers(name: string, { layersToTransform, layersPattern = [] }: TargetRule): boolean {
  if (layersToTransform === undefined || layersToTransform.length === 0) return true;
  const digits =
    layersPattern.length === 0
      ? /^.*?\.[^.]*\.(\d+)\./.exec(name)?.[1]
      : layersPattern
          .map((list) => execPattern(list, `^(?:|.*?\\.)${list}\\.(\\d+)\\.`, name, 'layers_pattern')?.at(-1))
          .find((d) => d !== undefined);
  return digits !== undefined && layersToTransform.includes(Number(digits));
}

function isFullMatch(source: string, name: string, key: string): boolean {
  return execPattern(source, `^(?:${source})$`, name, key) !== null;
}
