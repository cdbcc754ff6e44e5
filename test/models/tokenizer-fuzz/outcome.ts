/** Tests only: everything that a tokenizer makes of texts, a line of JSON for each. `reference.py` writes the same. */
import { mapInOrder } from '../../../data/map-in-order.ts';
import { UserError } from '../../../engine/errors.ts';
import type { Encoded, TextTokenizer } from '../../../models/tokenizer.ts';

/** Of each text, and of pairs with the next one. */
export const ASKED = ['ids', 'pair', 'cut ids', 'cut pair', 'bare pair', 'windows', 'text', 'whole text'] as const;

/** Each entry holds what `ASKED` names, or says that the text was refused. */
export function outcomes(tokenizer: TextTokenizer, texts: readonly string[]): Promise<string[]> {
  return mapInOrder([...texts.keys()], async (i) =>
    JSON.stringify(await outcome(tokenizer, i, texts[i]!, texts[(i + 1) % texts.length]!)),
  );
}

async function outcome(tokenizer: TextTokenizer, i: number, text: string, pair: string): Promise<unknown> {
  const maxLength = 5 + (i % 12);
  try {
    const alone = await tokenizer.encode(text);
    return [
      listOf(alone),
      listOf(await tokenizer.encode(text, pair)),
      listOf(await tokenizer.encode(text, undefined, { maxLength })),
      listOf(await tokenizer.encode(text, pair, { maxLength })),
      listOf(await tokenizer.encode(text, pair, { addSpecial: false })),
      (await tokenizer.encodeQuestion(QUESTION, text, 30, i % 5)).map((window) => [
        ...listOf(window),
        window.from,
        [...window.offsets],
      ]),
      tokenizer.decode(alone.ids),
      tokenizer.decode(alone.ids, true),
    ];
  } catch (error) {
    if (error instanceof UserError) return 'refused';
    throw error;
  }
}

/** Of at most 15 tokens in every vocabulary. */
const QUESTION = 'a film';

function listOf({ ids, typeIds }: Encoded): (readonly number[])[] {
  return [ids, typeIds];
}
