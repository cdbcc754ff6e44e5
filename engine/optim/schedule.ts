/** Room: engine/optim. Learning-rate schedules, as in Hugging Face transformers. */

/** transformers' `constant_with_warmup` and `linear`. */
export type ScheduleName = 'constant' | 'linear';

/**
 * Multiplier of the learning rate at a step.
 * `linear` rises from 0 over the warm-up and falls to 0 at the end; `constant` stays at 1 after the warm-up.
 * @param step counts from 0
 * @param total steps of the whole run
 * @param warmupRatio part of the run spent rising, in [0, 1)
 */
export function scheduleAt(name: ScheduleName, step: number, total: number, warmupRatio: number): number {
  const warmup = Math.ceil(total * warmupRatio);
  if (step < warmup) return step / Math.max(1, warmup);
  if (name === 'constant') return 1;
  return Math.max(0, (total - step) / Math.max(1, total - warmup));
}
