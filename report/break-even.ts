/** Room: report. From which number of steps on early pruning has earned the time of its estimation. */

/** How long a method took. */
export interface Timed {
  /** Mean wall time of each stage and of all, seconds. */
  readonly seconds: {
    readonly estimate: number;
    readonly prune: number;
    readonly train: number;
    /** Of a distillation: the teacher's passes. */
    readonly distill: number;
    /** The fine-tuning of a teacher that is the reference. */
    readonly teacher: number;
    readonly total: number;
  };
  /** Optimizer steps of each stage, the fewest of any seed; undefined where a run has no curve. */
  readonly steps: { readonly estimate: number; readonly train: number | undefined };
  /** Of a step of fine-tuning once its kernels are compiled, where that was kept, else the mean of all; undefined without steps. */
  readonly secondsPerStep: number | undefined;
}

/**
 * Optimizer steps, those of the estimation included, from which the wall time of all stages is below the reference's: the measured wall
 * times, and for every step more or fewer the time of a step of fine-tuning.
 * @param speed tokens per second against the reference's
 * @returns Infinity where a step is not faster than the reference's, or where the reference itself had to be there as a teacher; undefined where nothing was spent before fine-tuning, or the
 *   steps are not known
 */
export function breakEven(own: Timed, reference: Timed, speed: number): number | undefined {
  const perStep = reference.secondsPerStep;
  const { estimate, prune, distill, teacher } = own.seconds;
  if (perStep === undefined || estimate + prune + distill + teacher === 0) return undefined;
  if (teacher > 0) return Infinity;
  const [mine, other] = [startOf(own, perStep / speed), startOf(reference, perStep)];
  if (mine === undefined || other === undefined) return undefined;
  const gain = perStep - perStep / speed;
  return gain > 0 ? Math.max(own.steps.estimate, Math.ceil((mine - other) / gain)) : Infinity;
}

/** Wall time as a line over steps: its value at step 0. */
function startOf({ seconds, steps }: Timed, perStep: number): number | undefined {
  return steps.train === undefined ? undefined : seconds.total - (steps.estimate + steps.train) * perStep;
}
