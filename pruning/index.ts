/**
 * Room: pruning. Light-PEFT's two algorithms (docs/method.md): masks and importance, which the estimation trains and sums up; the decision,
 * a pure function of scores; the plan, a file; and the cut, by slicing weights and factors or, without cutting, by masks of 0.
 *
 * It imports peft, models, engine and kernels (data is a room it could see and does not need). It may not know of the trainer: masks and
 * accumulators are tensors, which a training step is given.
 *
 * First files to read: `decide.ts`, `plan.ts`, `slice.ts`.
 */
export { decide, randomScores, type DecideOptions, type Decision, type ImportanceScores } from './decide.ts';
export { MaskedPlan } from './masked-plan.ts';
export { readPlan, type Plan } from './plan.ts';
export { readEstimate, scoresOf, type EstimateResult } from './scores-file.ts';
export type { ImportanceScore } from './unit-scores.ts';
