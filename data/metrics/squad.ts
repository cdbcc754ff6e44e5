/** Room: data/metrics. The figures of SQuAD 1.1 and 2.0, as their evaluation scripts have them. Pure functions. */
import { scoreAnswer, scoreAnswerOrNone, type AnswerScore, type AnswerTexts } from './answers.ts';
import { meanOf } from './classes.ts';

/** Of a question: its answer's score, and what tells whether there is none. */
export interface ScoredAnswer extends AnswerScore {
  /** Whether an answer is expected. */
  readonly isAnswerable: boolean;
  /** Whether the answer is ''. */
  readonly isEmpty: boolean;
  /** How much speaks for no answer: a probability, or the score of none less that of the answer. */
  readonly noAnswerScore?: number;
}

/** Figures of questions some of which have no answer; fractions. What has no questions, or no `noAnswerScore`, is absent. */
export interface NoAnswerMetrics {
  /** Of the questions with an answer. */
  readonly hasAnsTotal?: number;
  readonly hasAnsExactMatch?: number;
  readonly hasAnsF1?: number;
  /** Of the questions without one. */
  readonly noAnsTotal?: number;
  readonly noAnsExactMatch?: number;
  readonly noAnsF1?: number;
  /** The most that a threshold can give, and the least such threshold; 0 where giving no answer at all is as good. */
  readonly bestExactMatch?: number;
  readonly bestExactMatchThreshold?: number;
  readonly bestF1?: number;
  readonly bestF1Threshold?: number;
}

/** Figures of answers: of all questions, and of both kinds where there are both. */
export interface SquadMetrics extends NoAnswerMetrics {
  /** Questions. */
  readonly count: number;
  readonly exactMatch: number;
  readonly f1: number;
}

/** An answer with what speaks for none. */
export interface SquadAnswer extends AnswerTexts {
  readonly noAnswerScore?: number;
}

/**
 * SQuAD 1.1's figures; SQuAD 2.0's where a question expects no answer.
 * @param answers before any threshold
 * @param threshold a question whose `noAnswerScore` is above has no answer
 */
export function squadMetrics(answers: readonly SquadAnswer[], threshold = Infinity): SquadMetrics {
  const score = answers.every(({ expected }) => expected.length > 0) ? scoreAnswer : scoreAnswerOrNone;
  const scored = answers.map(({ noAnswerScore, ...texts }) => ({
    ...score(texts),
    isAnswerable: texts.expected.length > 0,
    isEmpty: texts.answer === '',
    ...(noAnswerScore !== undefined && { noAnswerScore }),
  }));
  return scoredAnswerMetrics(scored, threshold);
}

/** As `squadMetrics`, of answers that are scored already. */
export function scoredAnswerMetrics(scored: readonly ScoredAnswer[], threshold = Infinity): SquadMetrics {
  const given = scored.map((answer) => afterThreshold(answer, threshold));
  const parts = scored.every(({ isAnswerable }) => isAnswerable) ? {} : partsOf(given);
  const isJudged = scored.every(({ noAnswerScore }) => noAnswerScore !== undefined);
  return {
    count: scored.length,
    exactMatch: meanOf(given.map(({ exactMatch }) => exactMatch)),
    f1: meanOf(given.map(({ f1 }) => f1)),
    ...parts,
    ...('noAnsTotal' in parts && isJudged && bestOf(scored)),
  };
}

function afterThreshold(answer: ScoredAnswer, threshold: number): ScoredAnswer {
  if ((answer.noAnswerScore ?? -Infinity) <= threshold) return answer;
  const right = Number(!answer.isAnswerable);
  return { ...answer, exactMatch: right, f1: right, isEmpty: true };
}

function partsOf(given: readonly ScoredAnswer[]): NoAnswerMetrics {
  const answerable = given.filter(({ isAnswerable }) => isAnswerable);
  const others = given.filter(({ isAnswerable }) => !isAnswerable);
  return {
    ...(answerable.length > 0 && {
      hasAnsTotal: answerable.length,
      hasAnsExactMatch: meanOf(answerable.map(({ exactMatch }) => exactMatch)),
      hasAnsF1: meanOf(answerable.map(({ f1 }) => f1)),
    }),
    noAnsTotal: others.length,
    noAnsExactMatch: meanOf(others.map(({ exactMatch }) => exactMatch)),
    noAnsF1: meanOf(others.map(({ f1 }) => f1)),
  };
}

function bestOf(scored: readonly ScoredAnswer[]): NoAnswerMetrics {
  const [exact, f1] = [bestThreshold(scored, 'exactMatch'), bestThreshold(scored, 'f1')];
  return {
    bestExactMatch: exact.score,
    bestExactMatchThreshold: exact.threshold,
    bestF1: f1.score,
    bestF1Threshold: f1.threshold,
  };
}

/**
 * From no answers at all, questions get their answers, those least likely to have none first. Questions of equal `noAnswerScore` come
 * one by one in their order, as in SQuAD's script, though no threshold parts them.
 */
function bestThreshold(scored: readonly ScoredAnswer[], key: keyof AnswerScore): { score: number; threshold: number } {
  let sum = scored.filter(({ isAnswerable }) => !isAnswerable).length;
  let best = { score: sum, threshold: 0 };
  for (const answer of [...scored].sort((a, b) => a.noAnswerScore! - b.noAnswerScore!)) {
    if (answer.isAnswerable) sum += answer[key];
    else if (!answer.isEmpty) sum--;
    if (sum > best.score) best = { score: sum, threshold: answer.noAnswerScore! };
  }
  return { ...best, score: best.score / Math.max(1, scored.length) };
}
