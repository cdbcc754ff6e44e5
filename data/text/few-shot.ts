/** Room: data/text. Examples before a row, drawn as lm-evaluation-harness 0.4.13 draws them. Pure. */
import { isDeepStrictEqual } from 'node:util';
import { option, UserError } from '../../engine/errors.ts';
import type { TaskRow } from '../tasks/task.ts';
import { PythonRandom } from './python-random.ts';
import { ANSWER_DELIMITER, EXAMPLE_DELIMITER, type TextTask } from './text-task.ts';

/** The harness's `fewshot_random_seed`. */
const SEED = 1234;

/** Draws for one row after the other: what a row gets depends on the rows before it. */
export class FewShot {
  readonly #task: TextTask;
  readonly #pool: readonly TaskRow[];
  readonly #count: number;
  readonly #random = new PythonRandom(SEED);

  /**
   * @param pool the training split in its order
   * @throws UserError where it has too few rows
   */
  constructor(task: TextTask, pool: readonly TaskRow[], count: number) {
    this.#task = task;
    this.#pool = pool;
    this.#count = count;
    const most = pool.length - (this.#isApart ? 0 : 1);
    if (count > most)
      throw new UserError(`${option('numFewshot')}: found ${count}, the training split has examples for ${most}`);
  }

  /** The examples before a row, as text. */
  before(row: TaskRow): string {
    return this.#drawnFor(row)
      .map((example) => solved(this.#task, example) + EXAMPLE_DELIMITER)
      .join('');
  }

  /** Where the harness evaluates on a test split, no training row can be the one that is judged. */
  get #isApart(): boolean {
    return this.#task.kind === 'choices' && this.#task.hasTest === true;
  }

  #drawnFor(row: TaskRow): readonly TaskRow[] {
    if (this.#isApart) return this.#random.sample(this.#pool, this.#count);
    const isOther = (drawn: TaskRow): boolean => !isDeepStrictEqual(drawn, row);
    const drawn = this.#random
      .sample(this.#pool, this.#count + 1)
      .filter(isOther)
      .slice(0, this.#count);
    return drawn.length === this.#count ? drawn : this.#random.sample(this.#pool.filter(isOther), this.#count);
  }
}

/** A row with its right answer. */
function solved(task: TextTask, row: TaskRow): string {
  if (task.kind === 'answer') return `${task.context(row)}${ANSWER_DELIMITER}${task.answer(row)}`;
  const { context, answer } = task.choices(row)[task.gold(row)!]!;
  return context + ANSWER_DELIMITER + answer;
}
