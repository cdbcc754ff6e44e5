/** Tests only: a run as its callbacks hear of it, without a model. */
import type { TrainerCallback } from '../../../train/callbacks.ts';

/** Part of a run of 12 steps, in epochs of 5, with an evaluation every 3 steps. */
export async function tell(log: TrainerCallback, from: number, to: number, scale = 1): Promise<void> {
  await log.onTrainBegin?.(from, 12);
  for (let step = from + 1; step <= to; step++) {
    const loss = Math.fround(scale / step);
    await log.onStep?.({ step, epoch: step / 5, loss, taskLoss: loss / 2, lr: 1e-3 / step, gradNorm: 10 * loss });
    if (step % 3 === 0) {
      await log.onEvaluate?.({ step, epoch: step / 5, metrics: { accuracy: step / 12, loss }, isBest: true });
    }
  }
  await log.onTrainEnd?.();
}
