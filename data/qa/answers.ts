/** Room: data/qa. From scores of starts and ends to an answer, and how good answers are, as SQuAD's evaluation tells it. Pure. */
import { overlap, scoreAnswer, scoreAnswerOrNone, type AnswerScore } from '../metrics/answers.ts';
import { meanOf } from '../metrics/classes.ts';
import { scoredAnswerMetrics, type ScoredAnswer, type SquadMetrics } from '../metrics/squad.ts';
import type { EncodedExample, Passage } from '../encoded-example.ts';
import type { Examples } from '../example-store.ts';

/** Which spans can be answers. */
export interface AnswerOptions {
  /** Tokens of the longest answer. */
  readonly maxAnswerLength: number;
  /** Whether there may be none: where the first token's scores are above those of every answer. */
  readonly allowEmptyAnswer: boolean;
  /** By how much they have to be above. */
  readonly nullThreshold: number;
}

/** The command line's defaults. */
export const ANSWER_DEFAULTS: AnswerOptions = { maxAnswerLength: 30, allowEmptyAnswer: false, nullThreshold: 0 };

/**
 * Figures of answers, as SQuAD's evaluation has them: the share that is one of those expected, and the mean F1 of their words; of
 * tokenised data of tokens. Where some questions have no answer, those of both kinds, and the best threshold for none.
 */
export interface AnswerMetrics extends SquadMetrics {
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

/** A question's best answer, and the score of none less its own: every window has a say in that there is none. */
function bestOf(windows: readonly ScoredWindow[], options: AnswerOptions): Best & { readonly noAnswerScore: number } {
  const [first, ...others] = windows.map((window) => bestIn(window, options)) as [Best, ...Best[]];
  const best = others.reduce((a, b) => (b.score > a.score ? b : a), first);
  const none = Math.min(...windows.map((window) => scoreOf(window, NONE)));
  return { ...best, noAnswerScore: none - best.score };
}

/** Above which there is no answer. */
function thresholdOf({ allowEmptyAnswer, nullThreshold }: AnswerOptions): number {
  return allowEmptyAnswer ? nullThreshold : Infinity;
}

/** The text that answers a question. */
export interface TextAnswer {
  /** '' for none. */
  readonly text: string;
  /** The score of none less that of the best answer. */
  readonly noAnswerScore: number;
}

/**
 * The answer to a question; undefined where the example has no text.
 * @param windows of the question, at least one
 */
export function textAnswer(windows: readonly ScoredWindow[], options: AnswerOptions): TextAnswer | undefined {
  const best = bestOf(windows, options);
  const { noAnswerScore } = best;
  const text = textOf(best);
  return text === undefined ? undefined : { text: noAnswerScore > thresholdOf(options) ? '' : text, noAnswerScore };
}

/** '' where the window has nothing of the context; undefined where the example has no text. */
function textOf({ window, span: [start, end] }: Best): string | undefined {
  const { passage } = window.example;
  if (!passage?.source) return undefined;
  const { text, offsets } = passage.source;
  if (start < passage.from) return '';
  // Some tokenizers count the space before a word to it.
  return text.slice(offsets[2 * (start - passage.from)], offsets[2 * (end - passage.from) + 1]).trim();
}

/** The text alone of `textAnswer`. */
export function answerText(windows: readonly ScoredWindow[], options: AnswerOptions): string | undefined {
  return textAnswer(windows, options)?.text;
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
  const questions = questionsOf(known);
  const score = questions.every((windows) => isAnswerable(windows[0]!.example)) ? scoreAnswer : scoreAnswerOrNone;
  const scored = questions.map((windows): ScoredAnswer => {
    const { example } = windows[0]!;
    const best = bestOf(windows, options);
    const [answer, expected] = [textOf(best), example.passage?.source?.answers];
    return {
      ...(answer !== undefined && expected ? score({ answer, expected }) : scoreSpan(best.span, example.span!)),
      isAnswerable: isAnswerable(example),
      isEmpty: answer === '',
      noAnswerScore: best.noAnswerScore,
    };
  });
  const losses = ([0, 1] as const).map((which) =>
    meanOf(
      known.flatMap(({ example, span, scores: own }) =>
        span[which] < 0 ? [] : [crossEntropyAt(own, which, span[which], example.ids.length)],
      ),
    ),
  );
  return { ...scoredAnswerMetrics(scored, thresholdOf(options)), loss: meanOf(losses) };
}

/** Whether a question has an answer: of texts, whether one is expected. */
function isAnswerable({ passage, span = NONE }: EncodedExample): boolean {
  return passage?.source ? passage.source.answers.length > 0 : span[0] !== NONE[0] || span[1] !== NONE[1];
}

function wholeOf({ ids }: EncodedExample): Passage {
  return { from: 0, to: ids.length };
}

function crossEntropyAt(scores: ArrayLike<number>, which: 0 | 1, position: number, tokens: number): number {
  const column = Array.from({ length: tokens }, (_, token) => scores[2 * token + which]!);
  const peak = Math.max(...column);
  return peak + Math.log(column.reduce((sum, x) => sum + Math.exp(x - peak), 0)) - column[position]!;
}

/** Of tokens, where there is no text. */
function scoreSpan([start, end]: Span, expected: Span): AnswerScore {
  const places = (first: number, last: number): string[] =>
    Array.from({ length: Math.max(0, last - first + 1) }, (_, i) => String(first + i));
  const exact = start === expected[0] && end === expected[1];
  return { exactMatch: Number(exact), f1: overlap(places(start, end), places(...expected)) };
}
