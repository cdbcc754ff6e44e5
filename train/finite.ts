/** Room: train. Scores and losses that are no numbers any more, told before anything is made of them; and losses that go astray. */
import { option, UserError } from '../engine/errors.ts';
import { warn } from '../engine/warnings.ts';

/** Something computed became NaN or infinite. */
export class NonFiniteError extends UserError {}

/** @param what was computed, and where: `row 3: the scores` @throws NonFiniteError for NaN and infinity */
export function assertFinite(values: ArrayLike<number>, what: string): void {
  for (let i = 0; i < values.length; i++) {
    if (Number.isFinite(values[i])) continue;
    const cause = 'weights are too large for the arithmetic, or those of a failed training';
    throw new NonFiniteError(
      `${what} came out as ${values[i]}: ${cause}; try ${option('weights')} f32 and ${option('compute')} f32`,
    );
  }
}

const LARGE = 1e4;
const GROWTH = 100;

/** Warns once about a loss that is large, or a hundred times its least and above its first. */
export class LossWatch {
  #first: number | undefined;
  #least = Infinity;
  #hasWarned = false;

  /** @param first the step of the first loss, from 1 on */
  see(losses: readonly number[], first: number): void {
    for (const [i, loss] of losses.entries()) {
      this.#first ??= loss;
      const isLarge = loss > LARGE;
      if (isLarge || (loss > GROWTH * this.#least && loss > this.#first)) this.#say(loss, first + i, isLarge);
      this.#least = Math.min(this.#least, loss);
    }
  }

  #say(loss: number, step: number, isLarge: boolean): void {
    if (this.#hasWarned) return;
    this.#hasWarned = true;
    const sense = isLarge ? `more than ${LARGE}` : `over ${GROWTH} times its least, ${this.#least.toPrecision(3)}`;
    warn(`the loss is ${loss.toPrecision(4)} at step ${step}, ${sense}; a lower ${option('lr')} or clipping may help`);
  }
}
