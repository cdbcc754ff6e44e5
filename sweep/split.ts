/**
 * Room: sweep. What trials are measured on. Where one is chosen by its metric, the split that figures are reported on is not looked at:
 * trials are measured on the validation split, or on a part of the training data; `sweep final` reads the other.
 */
import { taskNamed } from '../data/tasks/registry.ts';
import type { TrialConfig } from '../report/sweep/schema.ts';
import { listOf, type SweepSpec } from './spec.ts';

/** Part of the training data that is set apart to choose by, where nothing is said. */
const SELECTION_SHARE = 0.1;

/** A configuration with the data that its trial is measured on. */
export function forSelection(config: TrialConfig, { metric, command, final }: SweepSpec): TrialConfig {
  const isMeasured = command === 'run' || command === 'train';
  const isChosen = 'selection-split' in config || 'eval-split' in config;
  if (metric === undefined || !isMeasured || isChosen || final !== undefined) return config;
  if (usesTestSplit(config)) return { ...config, 'eval-split': 'validation' };
  const { eval: _, ...others } = config;
  return { ...others, 'selection-split': SELECTION_SHARE };
}

/** The same configuration with the data of the final figures. @param given that of the trial */
export function forFinal(given: TrialConfig, { base, final = {} }: Pick<SweepSpec, 'base' | 'final'>): TrialConfig {
  const { 'selection-split': share, 'eval-split': split, ...config } = given;
  const isOther = split !== undefined || share !== undefined;
  if (isOther && usesTestSplit(given)) config['eval-split'] = 'test';
  if (base.eval !== undefined) config.eval ??= base.eval;
  return { ...config, ...final };
}

/** Whether the usual split of evaluation is the test's: there is a validation split besides. */
function usesTestSplit({ task }: TrialConfig): boolean {
  const tasks = listOf(task);
  return tasks.length > 0 && tasks.every((name) => taskNamed(name).evalSplit === 'test');
}
