/** Room: data/qa. From scores of starts and ends to an answer, and how good answers are, as SQuAD's evaluation tells it. Pure. */
import type { EncodedExample, Passage } from '../encoded-example.ts';
import type { Examples } from '../example-store.ts';

/** Which spans can be answers. */
export interface AnswerOptions {
  /** Tokens of the longest answer. */
  readonly maxAnswerLength: number;
  /** Whether there may be none: where the first token's scores are above those of every answer. */
  readonly allowEmptyAnswer: boolean;
}

/** The command line's defaults. */
export const ANSWER_DEFAULTS: AnswerOptions = { maxAnswerLength: 30, allowEmptyAnswer: false };

/** Figures of answers, as SQuAD's evaluation has them. */
export interface AnswerMetrics {
  /** Questions with known answers. */
  readonly count: number;
  /** Share of answers that are one of those expected; of texts without articles, punctuation and case. */
  readonly exactMatch: number;
  /** Mean over questions of the F1 of an answer's words with the best of those expected; of tokenised data of its tokens. */
  readonly f1: number;
  /** Mean over windows of the cross-entropies of start and end over their own tokens, in nats. */
  readonly loss: number;
}

type Span = readonly [start: number, end: number];

const NONE: Span = [0, 0];

/** A part of a context with what a model makes of it. */
export interface ScoredWindow {
  readonly example: EncodedExample;
  /** [2·tokens at least]: start and end of each token. */
  readonly scores: ArrayLike<number>;
}

interface Best {
  readonly window: ScoredWindow;
  /** `NONE` where the window has nothing of the context. */
  readonly span: Span;
  /** Start + end. */
  readonly score: number;
}

/** The answer of highest start + end score in a window. */
function bestIn(window: ScoredWindow, { maxAnswerLength }: AnswerOptions): Best {
  const { from, to } = window.example.passage ?? wholeOf(window.example);
  let best: Best = { window, span: NONE, score: -Infinity };
  for (let start = from; start < to; start++) {
    for (let end = start; end < Math.min(to, start + maxAnswerLength); end++) {
      const score = scoreOf(window, [start, end]);
      if (score > best.score) best = { window, span: [start, end], score };
    }
  }
  return best;
}

function scoreOf({ scores }: ScoredWindow, [start, end]: Span): number {
  return scores[2 * start]! + scores[2 * end + 1]!;
}

/** The best of a question's windows. There is none where every window would rather have none. */
function bestOf(windows: readonly ScoredWindow[], options: AnswerOptions): Best {
  const [first, ...others] = windows.map((window) => bestIn(window, options)) as [Best, ...Best[]];
  const best = others.reduce((a, b) => (b.score > a.score ? b : a), first);
  const none = Math.min(...windows.map((window) => scoreOf(window, NONE)));
  return options.allowEmptyAnswer && none > best.score ? { ...best, span: NONE } : best;
}

/**
 * The text that answers a question, '' for none; undefined where the example has no text.
 * @param windows of the question, at least one
 */
export function answerText(windows: readonly ScoredWindow[], options: AnswerOptions): string | undefined {
  const { window, span } = bestOf(windows, options);
  const { passage } = window.example;
  if (!passage?.source) return undefined;
  const { text, offsets } = passage.source;
  const [start, end] = span;
  if (start < passage.from) return '';
  // Some tokenizers count the space before a word to it.
  return text.slice(offsets[2 * (start - passage.from)], offsets[2 * (end - passage.from) + 1]).trim();
}

/** Windows by question. */
function questionsOf(windows: readonly ScoredWindow[]): ScoredWindow[][] {
  const questions: ScoredWindow[][] = [];
  for (const window of windows) {
    if (window.example.window) questions.at(-1)?.push(window);
    else questions.push([window]);
  }
  return questions;
}

/**
 * Figures of the answers that scores give, over all questions with known answers.
 * @param scores of every example [2·tokens at least]: start and end of each token
 */
export function answerMetrics(
  examples: Examples,
  scores: readonly ArrayLike<number>[],
  options: AnswerOptions,
): AnswerMetrics {
  const known = Array.from(examples).flatMap((example, i) =>
    example.span ? [{ example, span: example.span, scores: scores[i] as ArrayLike<number> }] : [],
  );
  const judged = questionsOf(known).map((windows) => {
    const { span = NONE, passage } = windows[0]!.example;
    if (passage?.source) return judgeText(answerText(windows, options) as string, passage.source.answers);
    return judgeSpan(bestOf(windows, options).span, span);
  });
  const mean = (values: readonly number[]): number =>
    values.reduce((sum, x) => sum + x, 0) / Math.max(1, values.length);
  const losses = ([0, 1] as const).map((which) =>
    mean(
      known.flatMap(({ example, span, scores: own }) =>
        span[which] < 0 ? [] : [crossEntropyAt(own, which, span[which], example.ids.length)],
      ),
    ),
  );
  return {
    count: judged.length,
    exactMatch: mean(judged.map(({ exact }) => Number(exact))),
    f1: mean(judged.map(({ f1 }) => f1)),
    loss: mean(losses),
  };
}

function wholeOf({ ids }: EncodedExample): Passage {
  return { from: 0, to: ids.length };
}

function crossEntropyAt(scores: ArrayLike<number>, which: 0 | 1, position: number, tokens: number): number {
  const column = Array.from({ length: tokens }, (_, token) => scores[2 * token + which]!);
  const peak = Math.max(...column);
  return peak + Math.log(column.reduce((sum, x) => sum + Math.exp(x - peak), 0)) - column[position]!;
}

interface Judgement {
  readonly exact: boolean;
  readonly f1: number;
}

/** Against the best of the expected answers; none expected means the empty one. */
function judgeText(answer: string, expected: readonly string[]): Judgement {
  const words = plainWords(answer);
  const rows = (expected.length > 0 ? expected : ['']).map((text) => {
    const other = plainWords(text);
    return { exact: words.join(' ') === other.join(' '), f1: overlap(words, other) };
  });
  return { exact: rows.some(({ exact }) => exact), f1: Math.max(...rows.map(({ f1 }) => f1)) };
}

/** Of tokens, where there is no text. */
function judgeSpan([start, end]: Span, expected: Span): Judgement {
  const places = (first: number, last: number): string[] =>
    Array.from({ length: Math.max(0, last - first + 1) }, (_, i) => String(first + i));
  const exact = start === expected[0] && end === expected[1];
  return { exact, f1: overlap(places(start, end), places(...expected)) };
}

/** Lower case, without ASCII punctuation and English articles (Rajpurkar et al. 2016). */
function plainWords(text: string): string[] {
  return text
    .toLowerCase()
    .replace(/[!-/:-@[-`{-~]/g, '')
    .replace(/(?<![\p{L}\p{N}_])(?:a|an|the)(?![\p{L}\p{N}_])/gu, ' ')
    .split(/\s+/)
    .filter((word) => word !== '');
}

/** F1 of two bags of words; of an empty one with another empty one 1. */
function overlap(a: readonly string[], b: readonly string[]): number {
  if (a.length === 0 || b.length === 0) return Number(a.length === b.length);
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
  return (2 * common) / (a.length + b.length);
}
