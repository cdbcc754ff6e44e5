/** Room: engine/optim. Learning-rate schedules, as in Hugging Face transformers. Pure functions. */

/** transformers' names, but that all may have a warm-up. */
export const SCHEDULES = [
  'constant',
  'linear',
  'cosine',
  'cosine_with_restarts',
  'polynomial',
  'inverse_sqrt',
] as const;

/** A schedule's name. */
export type ScheduleName = (typeof SCHEDULES)[number];

/** How the learning rate goes over a run. */
export interface Schedule {
  readonly name: ScheduleName;
  /** Steps of the whole run. */
  readonly total: number;
  /** Steps spent rising from 0. */
  readonly warmup: number;
  /** Of `cosine_with_restarts`: how often it falls to 0; of `cosine` how many waves there are. Half a wave and once unless given. */
  readonly cycles?: number | undefined;
  /** Of `polynomial`; 1 unless given. */
  readonly power?: number | undefined;
  /** Of `polynomial`: the multiplier at the end, 10⁻⁷ unless given. */
  readonly end?: number | undefined;
}

/** Steps that `inverse_sqrt` takes to fall to 1/√2 where there is no warm-up. */
const INVERSE_SQRT_STEPS = 10_000;

/**
 * Multiplier of the learning rate at a step: it rises from 0 over the warm-up, and goes on by the schedule.
 * @param step counts from 0
 */
export function scheduleAt({ name, total, warmup, cycles, power = 1, end = 1e-7 }: Schedule, step: number): number {
  const timescale = warmup || INVERSE_SQRT_STEPS;
  if (step < warmup) return step / Math.max(1, warmup);
  const done = (step - warmup) / Math.max(1, total - warmup);
  switch (name) {
    case 'constant':
      return 1;
    case 'linear':
      return Math.max(0, (total - step) / Math.max(1, total - warmup));
    case 'cosine':
      return Math.max(0, 0.5 * (1 + Math.cos(Math.PI * (cycles ?? 0.5) * 2 * done)));
    case 'cosine_with_restarts':
      return done >= 1 ? 0 : Math.max(0, 0.5 * (1 + Math.cos(Math.PI * (((cycles ?? 1) * done) % 1))));
    case 'polynomial':
      return step > total ? end : (1 - end) * (1 - done) ** power + end;
    case 'inverse_sqrt':
      return 1 / Math.sqrt((step + timescale - warmup) / timescale);
  }
}
