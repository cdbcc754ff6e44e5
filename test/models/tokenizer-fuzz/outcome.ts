/** Tests only: everything that a tokenizer makes of texts, a line of JSON for each. `reference.py` writes the same. */
import { UserError } from '../../../engine/errors.ts';
import type { Encoded, TextTokenizer } from '../../../models/tokenizer.ts';

/** Of each text, and of pairs with the next one. */
export const ASKED = ['ids', 'pair', 'cut ids', 'cut pair', 'bare pair', 'windows', 'text', 'whole text'] as const;

/** Each entry holds what `ASKED` names, or says that the text was refused. */
export async function outcomes(tokenizer: TextTokenizer, texts: readonly string[]): Promise<string[]> {
  const lines: string[] = [];
  for (const [i, text] of texts.entries()) {
    const pair = texts[(i + 1) % texts.length]!;
    lines.push(JSON.stringify(await outcome(tokenizer, i, text, pair)));
  }
  return lines;
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
