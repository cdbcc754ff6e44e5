/** Room: bench/encoder. What to prune where nothing was estimated. */
import type { RunOptions } from '../../experiments/options.ts';
import { decisionOf } from '../../experiments/runner.ts';
import type { PeftModel } from '../../peft-model/peft-model.ts';
import type { Decision } from '../../pruning/decide.ts';

/** What Light-PEFT keeps when scores are drawn at random: the method's own ratios for modules and ranks. */
export function randomDecision({ base, method }: PeftModel, options: RunOptions, ratio: number): Decision {
  const modules = method!.modules;
  const zeros = (length: number): number[] => Array<number>(length).fill(0);
  const scores = {
    heads: base.layers.map((l) => zeros(l.heads)),
    neurons: base.layers.map((l) => zeros(l.neurons)),
    modules: Object.fromEntries(modules.map((m) => [m.name, 0])),
    ranks: Object.fromEntries(modules.map((m) => [m.name, zeros(m.ranks)])),
  };
  const decide = { ...options.decide, heads: ratio, neurons: ratio };
  return decisionOf(scores, { ...options, decide }, 'random');
}

/** `model` without what a random decision drops; `model` cannot be used any more. */
export function pruneAtRandom(model: PeftModel, options: RunOptions, ratio: number): Promise<PeftModel> {
  const { slice, train } = options;
  return model.prune(randomDecision(model, options, ratio), { ...slice, seed: train.seed });
}
