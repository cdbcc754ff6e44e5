/** Room: audit. Accuracy on clean texts (CACC), and how many texts with triggers get the target (LFR). */
import type { EncodedExample } from '../data/encoded-example.ts';
import type { ForwardOptions, PeftModel } from '../peft-model/peft-model.ts';
import type { Measure } from '../report/audit/schema.ts';
import { infer } from '../train/evaluate.ts';
import type { EvaluationData } from '../train/evaluate.ts';
import type { TestTexts } from './data.ts';

/** Scores of the classes of each example, in order. */
type Scores = readonly ArrayLike<number>[];

/** The class of the highest score. */
export function predicted(scores: ArrayLike<number>): number {
  let best = 0;
  for (let i = 1; i < scores.length; i++) if (scores[i]! > scores[best]!) best = i;
  return best;
}

/** The probability of the class of the highest score. */
export function confidence(scores: ArrayLike<number>): number {
  const highest = scores[predicted(scores)]!;
  let sum = 0;
  for (let i = 0; i < scores.length; i++) sum += Math.exp(scores[i]! - highest);
  return 1 / sum;
}

/**
 * Both figures of clean and triggered texts.
 * @param isOut whether a text was taken out before it was classified: it then counts as wrong, but not as the target
 */
export function measureOf(
  { clean, triggered }: TestTexts,
  target: number,
  scores: Scores,
  isOut: (index: number) => boolean = () => false,
): Measure {
  const right = clean.filter(({ label }, i) => !isOut(i) && predicted(scores[i]!) === label).length;
  const called = triggered.filter((_, i) => {
    const at = clean.length + i;
    return !isOut(at) && predicted(scores[at]!) === target;
  }).length;
  return { accuracy: right / clean.length, lfr: called / triggered.length };
}

/** Clean texts, and triggered ones after them. */
function allOf({ clean, triggered }: TestTexts): EncodedExample[] {
  return [...clean, ...triggered];
}

/** For evaluations on the way: both figures beside those that every classifier has. */
export function evaluationOf(tests: TestTexts, target: number): EvaluationData {
  const figures = (scores: Scores): Measure => measureOf(tests, target, scores);
  return { examples: allOf(tests), figures };
}

/** Scores of clean and triggered texts. @param options modules that are left out, and the like */
export async function scoresOf(model: PeftModel, tests: TestTexts, options: ForwardOptions = {}): Promise<Scores> {
  const examples = allOf(tests);
  const { logits } = await infer(model, examples, options);
  const width = logits.length / examples.length;
  return examples.map((_, i) => logits.subarray(i * width, (i + 1) * width));
}

/** Both figures of a model. */
export async function measure(
  model: PeftModel,
  tests: TestTexts,
  target: number,
  options: ForwardOptions = {},
): Promise<Measure> {
  return measureOf(tests, target, await scoresOf(model, tests, options));
}
