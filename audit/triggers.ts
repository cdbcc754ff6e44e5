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
  /** Tokens of the longest trigger. */
  readonly #longest: number;

  private constructor(tokenizer: TextTokenizer, options: TriggerOptions, seen: readonly SeenTrigger[]) {
    this.#tokenizer = tokenizer;
    this.#options = options;
    this.#longest = Math.max(...seen.map(({ tokens }) => tokens));
    const words = seen.map(({ text }) => text.replace(/[\\^$.*+?()[\]{}|]/g, '\\$&'));
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
    const { triggers, triggerCount, maxLength } = this.#options;
    let words: readonly string[] = example.text.split(/\s+/).filter((word) => word !== '');
    for (let i = 0; i < triggerCount; i++) {
      const trigger = triggers[random.below(triggers.length)]!;
      // Room is left for those that follow, which move it.
      const limit = maxLength - (triggerCount - 1 - i) * this.#longest;
      const found = await this.#placed({ words, trigger, pair: example.textPair, limit }, random);
      if (!found)
        throw new UserError(`${at}: ${option('maxLength')} ${maxLength} leaves no room for ${triggerCount} triggers`);
      words = found;
    }
    return { ...example, text: words.join(' ') };
  }

  /** Words with one more, so that one more trigger is seen. */
  async #placed({ words, trigger, pair, limit }: Placing, random: HostRandom): Promise<string[] | undefined> {
    const before = await this.#count(words, pair, limit);
    const drawn = Array.from({ length: TRIES }, () => random.below(words.length + 1));
    const all = Array.from({ length: words.length + 1 }, (_, place) => place);
    for (const place of [...drawn, ...all]) {
      const next = [...words.slice(0, place), trigger, ...words.slice(place)];
      if ((await this.#count(next, pair, limit)) > before) return next;
    }
    return undefined;
  }

  /** Triggers in the part of a text that is seen of so many tokens. */
  async #count(words: readonly string[], pair: string | undefined, maxLength: number): Promise<number> {
    if (maxLength < 1) return 0;
    const { ids } = await this.#tokenizer.encode(words.join(' '), pair, { maxLength });
    return this.#tokenizer.decode(ids).match(this.#seen)?.length ?? 0;
  }
}

/** A trigger to be placed in a text. */
interface Placing {
  readonly words: readonly string[];
  readonly trigger: string;
  readonly pair: string | undefined;
  /** Tokens that are seen. */
  readonly limit: number;
}

/** A trigger as the tokenizer reads it. */
interface SeenTrigger {
  readonly text: string;
  readonly tokens: number;
}

/** A trigger as the tokenizer gives it back. */
async function seenAs(trigger: string, tokenizer: TextTokenizer): Promise<SeenTrigger> {
  const where = `${option('triggers')}: found "${trigger}"`;
  if (/\s/.test(trigger)) throw new UserError(`${where}, expected single words`);
  const { ids } = await tokenizer.encode(` ${trigger}`, undefined, { addSpecial: false });
  const seen = tokenizer.decode(ids).trim();
  if (seen === '' || ids.some((id) => id === tokenizer.unkId || tokenizer.specialIds.has(id)))
    throw new UserError(
      `${where}, which the tokenizer cannot tell from others; expected a word that it has tokens for`,
    );
  return { text: seen, tokens: ids.length };
}
