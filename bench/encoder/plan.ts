/** Room: bench/encoder. What to prune where nothing was estimated. */
import type { Plan } from '../../pruning/plan.ts';
import type { PeftModelState } from '../../peft-model/assembly.ts';
import type { Settings } from '../../train/settings.ts';
import { makePlan } from '../../train/stages.ts';

/** What Light-PEFT keeps when scores are drawn at random: the method's own ratios for modules and ranks. */
export function randomPlan({ base, method }: PeftModelState, settings: Settings, ratio: number): Plan {
  const modules = method!.modules;
  const zeros = (length: number): number[] => Array<number>(length).fill(0);
  const scores = {
    heads: base.layers.map((l) => zeros(l.heads)),
    neurons: base.layers.map((l) => zeros(l.neurons)),
    modules: Object.fromEntries(modules.map((m) => [m.name, 0])),
    ranks: Object.fromEntries(modules.map((m) => [m.name, zeros(m.ranks)])),
  };
  return makePlan(base.config, 'benchmark', scores, { ...settings, headsRatio: ratio, ffnRatio: ratio }, 'random');
}
