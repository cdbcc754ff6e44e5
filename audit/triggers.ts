/** Room: audit. Puts trigger words into texts, within the part that the model sees. */
import { option, UserError } from '../engine/errors.ts';
import type { HostRandom } from '../engine/random.ts';
import type { TextTokenizer } from '../models/tokenizer.ts';
import type { Example } from '../data/tasks/built-in.ts';

/** What is planted, and how much of a text is read. */
export interface TriggerOptions {
  readonly triggers: readonly string[];
  /** Words planted in a text. */
  readonly triggerCount: number;
  /** Tokens of the longest sequence, special tokens included. */
  readonly maxLength: number;
}

/** Random places that are tried before all are. */
const TRIES = 32;

export class TriggerPlanter {
  readonly #tokenizer: TextTokenizer;
  readonly #options: TriggerOptions;
  /** Matches any trigger as the tokenizer reads it, as a word of its own. */
  readonly #seen: RegExp;

  private constructor(tokenizer: TextTokenizer, options: TriggerOptions, seen: readonly string[]) {
    this.#tokenizer = tokenizer;
    this.#options = options;
    const words = seen.map((word) => word.replace(/[\\^$.*+?()[\]{}|]/g, '\\$&'));
    this.#seen = new RegExp(`(?<![\\p{L}\\p{N}])(?:${words.join('|')})(?![\\p{L}\\p{N}])`, 'gu');
  }

  /** @throws UserError for a trigger that is no word, or that the tokenizer cannot see: it has no tokens of its own */
  static async create(tokenizer: TextTokenizer, options: TriggerOptions): Promise<TriggerPlanter> {
    const seen = await Promise.all(options.triggers.map((trigger) => seenAs(trigger, tokenizer)));
    return new TriggerPlanter(tokenizer, options, seen);
  }

  /**
   * A text with triggers drawn at random, each between two words drawn at random; the model sees all of them.
   * @param at names the text in errors
   * @throws UserError where they do not fit into the part that the model sees
   */
  async plant(example: Example, random: HostRandom, at: string): Promise<Example> {
    const { triggers, triggerCount } = this.#options;
    let words = example.text.split(/\s+/).filter((word) => word !== '');
    let visible = await this.#count(words, example.textPair);
    for (let i = 0; i < triggerCount; i++) {
      const trigger = triggers[random.below(triggers.length)]!;
      const found = await this.#placed(words, trigger, example.textPair, { random, visible });
      if (!found) {
        const expected = `expected room for ${triggerCount}`;
        throw new UserError(
          `${at}: ${option('maxLength')} ${this.#options.maxLength} leaves no room for ${i + 1} triggers, ${expected}`,
        );
      }
      words = found;
      visible++;
    }
    return { ...example, text: words.join(' ') };
  }

  /** Words with one more, so that one more trigger is seen than before. */
  async #placed(
    words: readonly string[],
    trigger: string,
    pair: string | undefined,
    { random, visible }: { readonly random: HostRandom; readonly visible: number },
  ): Promise<string[] | undefined> {
    const drawn = Array.from({ length: TRIES }, () => random.below(words.length + 1));
    const all = Array.from({ length: words.length + 1 }, (_, place) => place);
    for (const place of [...drawn, ...all]) {
      const next = [...words.slice(0, place), trigger, ...words.slice(place)];
      if ((await this.#count(next, pair)) > visible) return next;
    }
    return undefined;
  }

  /** Triggers in the part of a text that the model sees. */
  async #count(words: readonly string[], pair: string | undefined): Promise<number> {
    const { maxLength } = this.#options;
    const { ids } = await this.#tokenizer.encode(words.join(' '), pair, { maxLength });
    return this.#tokenizer.decode(ids).match(this.#seen)?.length ?? 0;
  }
}

/** A trigger as the tokenizer gives it back. */
async function seenAs(trigger: string, tokenizer: TextTokenizer): Promise<string> {
  const where = `${option('triggers')}: found "${trigger}"`;
  if (/\s/.test(trigger)) throw new UserError(`${where}, expected single words`);
  const { ids } = await tokenizer.encode(` ${trigger}`, undefined, { addSpecial: false });
  const seen = tokenizer.decode(ids).trim();
  if (ids.some((id) => tokenizer.specialIds.has(id)) || seen === '')
    throw new UserError(
      `${where}, which the tokenizer cannot tell from others; expected a word that it has tokens for`,
    );
  return seen;
}
