/**
 * Room: peft. Regular expressions of configurations on module names. Whoever writes one can, by mistake or not, make matching
 * backtrack without end (`(a+)+$`): what may do so runs under a clock that interrupts it.
 */
import { createContext, Script, type Context } from 'node:vm';
import { UserError } from '../engine/errors.ts';
import { preview } from '../engine/io/files.ts';

/** Time for all names together; a usual pattern takes microseconds a name. */
const BUDGET_MS = 2000;
/** What a match may take without being counted: a machine at its limit pauses a process for so long. */
const FREE_MS = 50;

/** Without quantifiers nothing is tried twice, and the clock can be left out. */
const QUANTIFIER = /[*+?{]/;

const MATCH = new Script('regexp.exec(name)');
let context: Context | undefined;

class Pattern {
  readonly #source: string;
  readonly #regexp: RegExp;
  readonly #isSafe: boolean;
  #left = BUDGET_MS;

  constructor(source: string, whole: string) {
    this.#source = source;
    this.#isSafe = !QUANTIFIER.test(source);
    this.#regexp = new RegExp(whole.replaceAll('(?P<', '(?<').replace(/\(\?P=(\w+)\)/g, '\\k<$1>'));
  }

  exec(name: string, key: string): RegExpExecArray | null {
    if (this.#isSafe) return this.#regexp.exec(name);
    context ??= createContext({});
    Object.assign(context, { regexp: this.#regexp, name });
    const started = performance.now();
    try {
      return MATCH.runInContext(context, { timeout: Math.ceil(this.#left) }) as RegExpExecArray | null;
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'ERR_SCRIPT_EXECUTION_TIMEOUT') throw error;
      const found = `found the regular expression ${preview(this.#source)}`;
      throw new UserError(
        `${key}: ${found}, which does not come to an end on "${name}"; write it without nested repetitions`,
      );
    } finally {
      const took = performance.now() - started;
      if (took > FREE_MS) this.#left = Math.max(1, this.#left - took);
    }
  }
}

const patterns = new Map<string, Pattern>();

/**
 * Matches a name with a regular expression written for Python's `re`, whose named groups JavaScript spells differently.
 * @param source as it was given
 * @param whole the expression around it, `source` included
 * @param key names it in errors, e.g. `target_modules`
 * @throws UserError for one that is malformed, or that takes more than seconds for all the names it is asked about
 */
export function execPattern(source: string, whole: string, name: string, key: string): RegExpExecArray | null {
  let found = patterns.get(whole);
  try {
    found ??= new Pattern(source, whole);
  } catch (error) {
    throw new UserError(`${key}: ${(error as Error).message}`);
  }
  patterns.set(whole, found);
  return found.exec(name, key);
}
