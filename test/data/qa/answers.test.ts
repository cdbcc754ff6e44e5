/** Protects: which answer scores give, and that answers are judged as SQuAD's evaluation judges them. */
import { describe, expect, it } from 'vitest';
import type { EncodedExample } from '../../../data/encoded-example.ts';
import { ANSWER_DEFAULTS, answerMetrics, answerText, type AnswerOptions } from '../../../data/qa/answers.ts';

/** `[0] q [2] The dog’s big bed. [8]`, a token a word, some with the space before it. */
const TEXT = "The dog's big bed.";
const OFFSETS = [0, 3, 3, 7, 7, 9, 9, 13, 14, 17, 17, 18];

function question(answers: readonly string[], span: readonly [number, number] = [0, 0]): EncodedExample {
  const length = 10;
  return {
    ids: new Int32Array(length),
    mask: new Int32Array(length).fill(1),
    typeIds: new Int32Array(length),
    label: -100,
    span,
    passage: { from: 3, to: 9, source: { text: TEXT, offsets: Int32Array.from(OFFSETS), answers } },
  };
}

/** Scores that are 0 but at these places. */
function scores(starts: Record<number, number>, ends: Record<number, number>): Float32Array {
  const all = new Float32Array(20);
  for (const [token, x] of Object.entries(starts)) all[2 * Number(token)] = x;
  for (const [token, x] of Object.entries(ends)) all[2 * Number(token) + 1] = x;
  return all;
}

describe('the answer', () => {
  it('is the text of the best span that does not end before it begins, inside the context', () => {
    const example = question([]);
    expect(answerText([{ example, scores: scores({ 4: 3 }, { 7: 2 }) }], ANSWER_DEFAULTS)).toBe("dog's big bed");
    expect(answerText([{ example, scores: scores({ 4: 3, 6: 1 }, { 3: 9, 7: 2 }) }], ANSWER_DEFAULTS)).toBe('The');
    expect(answerText([{ example, scores: scores({ 1: 9, 4: 3 }, { 1: 9, 4: 2 }) }], ANSWER_DEFAULTS)).toBe('dog');
  });

  it('is no longer than allowed', () => {
    const short = { ...ANSWER_DEFAULTS, maxAnswerLength: 2 };
    expect(answerText([{ example: question([]), scores: scores({ 4: 3, 6: 2 }, { 7: 3 }) }], short)).toBe('big bed');
  });

  it('may be empty only where that is allowed, and scores highest', () => {
    const none = scores({ 0: 5, 4: 3 }, { 0: 5, 5: 3 });
    expect(answerText([{ example: question([]), scores: none }], ANSWER_DEFAULTS)).toBe("dog's");
    expect(answerText([{ example: question([]), scores: none }], { ...ANSWER_DEFAULTS, allowEmptyAnswer: true })).toBe(
      '',
    );
    const some = scores({ 0: 2, 4: 3 }, { 0: 2, 5: 3 });
    expect(answerText([{ example: question([]), scores: some }], { ...ANSWER_DEFAULTS, allowEmptyAnswer: true })).toBe(
      "dog's",
    );
  });

  it('is empty where that scores higher by more than the threshold', () => {
    // No answer scores 10, the best answer 6.
    const windows = [{ example: question([]), scores: scores({ 0: 5, 4: 3 }, { 0: 5, 5: 3 }) }];
    const options = { ...ANSWER_DEFAULTS, allowEmptyAnswer: true };
    expect(answerText(windows, { ...options, nullThreshold: 4 })).toBe("dog's");
    expect(answerText(windows, { ...options, nullThreshold: 3.9 })).toBe('');
    expect(answerText(windows, { ...options, nullThreshold: -10 })).toBe('');
    expect(answerText(windows, { ...ANSWER_DEFAULTS, nullThreshold: -10 })).toBe("dog's");
    const other = { example: question([]), scores: scores({ 0: 2, 4: 3 }, { 0: 2, 5: 3 }) };
    expect(answerText([other], { ...options, nullThreshold: -3 })).toBe('');
    expect(answerText([other], { ...options, nullThreshold: -2 })).toBe("dog's");
  });

  it('is that of the window where it scores highest; none where every window would rather have none', () => {
    const first = { example: question([]), scores: scores({ 0: 2, 4: 3 }, { 0: 2, 5: 3 }) };
    const second = { example: { ...question([]), window: 1 }, scores: scores({ 0: 5, 6: 4 }, { 0: 5, 7: 3 }) };
    expect(answerText([first, second], ANSWER_DEFAULTS)).toBe('big bed');
    const allowed = { ...ANSWER_DEFAULTS, allowEmptyAnswer: true };
    expect(answerText([first, second], allowed)).toBe('big bed');
    expect(answerText([second], allowed)).toBe('');
  });

  it('is not told without a text', () => {
    const { passage, ...bare } = question([]);
    expect(passage).toBeDefined();
    expect(answerText([{ example: bare, scores: scores({}, {}) }], ANSWER_DEFAULTS)).toBeUndefined();
  });
});

describe('figures', () => {
  const said = scores({ 4: 3 }, { 7: 3 });

  it.each([
    [['Dogs, the BIG bed!'], 1, 1],
    [['dogs bed'], 0, 0.8],
    [['nothing', 'big bed'], 0, 0.8],
    [['cat'], 0, 0],
    [[], 0, 0],
  ])('expected %j', (answers, exactMatch, f1) => {
    expect(answerMetrics([question(answers)], [said], ANSWER_DEFAULTS)).toMatchObject({ count: 1, exactMatch, f1 });
  });

  it('count questions, not windows', () => {
    const windows = [question(['big bed']), { ...question(['big bed'], [6, 7]), window: 1 }, question(['cat'])];
    const best = scores({ 6: 4 }, { 7: 4 });
    const found = answerMetrics(windows, [said, best, said], ANSWER_DEFAULTS);
    expect(found).toMatchObject({ count: 2, exactMatch: 0.5, f1: 0.5 });
  });

  it('an empty answer is right where none is expected', () => {
    const options = { ...ANSWER_DEFAULTS, allowEmptyAnswer: true };
    const none = scores({ 0: 5 }, { 0: 5 });
    expect(answerMetrics([question([])], [none], options)).toMatchObject({ exactMatch: 1, f1: 1 });
  });

  it('of questions with and without an answer stand beside those of all, with the best threshold', () => {
    // The score of none less that of the answer: −2, 4 and −6.
    const rows = [
      { example: question(["dog's"]), scores: scores({ 0: 2, 4: 3 }, { 0: 2, 5: 3 }) },
      { example: question([]), scores: scores({ 0: 5, 4: 3 }, { 0: 5, 5: 3 }) },
      { example: question(['cat']), scores: scores({ 4: 3 }, { 5: 3 }) },
    ];
    const examples = rows.map(({ example }) => example);
    const judge = (options: Partial<AnswerOptions>) =>
      answerMetrics(
        examples,
        rows.map((row) => row.scores),
        { ...ANSWER_DEFAULTS, ...options },
      );
    const best = { bestExactMatch: 2 / 3, bestExactMatchThreshold: -2, bestF1: 2 / 3, bestF1Threshold: -2 };
    const parts = { hasAnsTotal: 2, hasAnsExactMatch: 0.5, hasAnsF1: 0.5, noAnsTotal: 1, ...best };
    expect(judge({})).toMatchObject({ exactMatch: 1 / 3, noAnsExactMatch: 0, noAnsF1: 0, ...parts });
    expect(judge({ nullThreshold: -9 })).toEqual(judge({}));
    expect(judge({ allowEmptyAnswer: true })).toMatchObject({ exactMatch: 2 / 3, noAnsExactMatch: 1, ...parts });
    const atBest = judge({ allowEmptyAnswer: true, nullThreshold: best.bestF1Threshold });
    expect(atBest.f1).toBe(best.bestF1);
    const strict = { hasAnsExactMatch: 0, noAnsExactMatch: 1, exactMatch: 1 / 3 };
    expect(judge({ allowEmptyAnswer: true, nullThreshold: -7 })).toMatchObject(strict);
    const alone = answerMetrics(examples.slice(0, 1), [rows[0]!.scores], ANSWER_DEFAULTS);
    expect(Object.keys(alone).sort()).toEqual(['count', 'exactMatch', 'f1', 'loss']);
  });

  it('of words: an answer of articles alone is no answer in SQuAD 2.0, and has no F1 in SQuAD 1.1', () => {
    const says = (text: Float32Array, answers: readonly string[]) =>
      answerMetrics([question(answers)], [text], ANSWER_DEFAULTS);
    const the = scores({ 3: 9 }, { 3: 9 });
    expect(says(the, ['The'])).toMatchObject({ exactMatch: 1, f1: 0 });
    expect(says(the, [])).toMatchObject({ exactMatch: 1, f1: 1, noAnsTotal: 1 });
  });

  it('of tokens compare places; questions without an answer are left out; the loss is in float64 over the own tokens', () => {
    const tokens = (span?: readonly [number, number]): EncodedExample => {
      const { passage: _, span: __, ...bare } = question([]);
      return { ...bare, ...(span && { span }), passage: { from: 1, to: 10 } };
    };
    const found = answerMetrics([tokens([4, 5]), tokens(), tokens([4, 7])], [said, said, said], ANSWER_DEFAULTS);
    expect(found).toMatchObject({ count: 2, exactMatch: 0.5, f1: (4 / 6 + 1) / 2 });
    const total = Math.log(9 + Math.exp(3));
    expect(found.loss).toBeCloseTo((total - 3 + (total - 0 + total - 3) / 2) / 2, 6);
  });
});
