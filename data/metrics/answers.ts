/**
 * Room: data/metrics. Whether an answer's text is one of those expected, as the evaluation scripts of SQuAD 1.1 (Rajpurkar et al. 2016),
 * SQuAD 2.0 (2018) and ReCoRD tell it. Pure functions.
 */

/** An answer beside those expected; none expected: the question has no answer. */
export interface AnswerTexts {
  /** '' for none. */
  readonly answer: string;
  readonly expected: readonly string[];
}

/** Of one answer: whether it is right, and the F1 of its words. */
export interface AnswerScore {
  readonly exactMatch: number;
  readonly f1: number;
}

/**
 * As SQuAD 1.1 and ReCoRD judge: the best over the expected answers. An answer of articles and punctuation alone has no words: its F1
 * is 0.
 */
export function scoreAnswer({ answer, expected }: AnswerTexts): AnswerScore {
  return bestScore(answer, expected, 0);
}

/**
 * As SQuAD 2.0 judges: expected answers without words do not count, and where none is left the empty answer is right. Nothing is
 * right beside nothing.
 */
export function scoreAnswerOrNone({ answer, expected }: AnswerTexts): AnswerScore {
  const real = expected.filter((text) => plainWords(text).length > 0);
  return bestScore(answer, real.length > 0 ? real : [''], 1);
}

/** @param ofNothing F1 of two texts without words */
function bestScore(answer: string, expected: readonly string[], ofNothing: number): AnswerScore {
  const words = plainWords(answer);
  const rows = expected.map((text) => {
    const other = plainWords(text);
    const areEmpty = words.length === 0 && other.length === 0;
    return {
      exactMatch: Number(words.join(' ') === other.join(' ')),
      f1: areEmpty ? ofNothing : overlap(words, other),
    };
  });
  return {
    exactMatch: Math.max(0, ...rows.map(({ exactMatch }) => exactMatch)),
    f1: Math.max(0, ...rows.map(({ f1 }) => f1)),
  };
}

/** What Python counts as white space; it is not what `\s` matches. */
const WHITE_SPACE = /[\t-\r\x1c-\x20\x85\xa0\u1680\u2000-\u200a\u2028\u2029\u202f\u205f\u3000]+/;

/** Lower case, without ASCII punctuation and English articles. */
function plainWords(text: string): string[] {
  return text
    .toLowerCase()
    .replace(/[!-/:-@[-`{-~]/g, '')
    .replace(/(?<![\p{L}\p{N}_])(?:a|an|the)(?![\p{L}\p{N}_])/gu, ' ')
    .split(WHITE_SPACE)
    .filter((word) => word !== '');
}

/** F1 of two bags; 0 where one is empty. */
export function overlap(a: readonly string[], b: readonly string[]): number {
  const left = new Map<string, number>();
  for (const word of b) left.set(word, (left.get(word) ?? 0) + 1);
  let common = 0;
  for (const word of a) {
    const n = left.get(word) ?? 0;
    if (n > 0) {
      left.set(word, n - 1);
      common++;
    }
  }
  return common === 0 ? 0 : (2 * common) / (a.length + b.length);
}
