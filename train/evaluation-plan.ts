/** Room: train. From options to what is measured on the way: when, on which data, and by which figure evaluations are compared. */
import { sequencesOf } from '../data/encoded-example.ts';
import { objectiveOf } from '../data/objective.ts';
import { ANSWER_DEFAULTS } from '../data/qa/answers.ts';
import { option, UserError } from '../engine/errors.ts';
import { didYouMean } from '../engine/nearest.ts';
import type { HeadKind } from '../models/architecture.ts';
import type { PeftModel } from '../peft-model/peft-model.ts';
import { comparable, mainMetric, type BestBy } from './best.ts';
import { evaluatorOf, type EvaluationData } from './evaluate.ts';
import type { EvaluationOptions } from './options.ts';

/** The evaluations of a run. Their programs are kept until it is disposed of. */
export interface EvaluationPlan extends Disposable {
  /** Whether one is due after so many steps; the last step always has one. */
  readonly isDue: (steps: number, perEpoch: number) => boolean;
  /** The figures now, by name. @throws the signal's reason, once it is aborted */
  readonly measure: (signal?: AbortSignal) => Promise<Readonly<Record<string, number>>>;
  readonly by: BestBy;
  /** Whether the weights of the best are kept, and are those that the run ends with. */
  readonly loadsBest: boolean;
}

/** Checks options of evaluation against each other. @throws UserError for one without that which it needs */
export function checkEvaluationOptions(options: EvaluationOptions & { readonly saveEvery?: number }): void {
  const { evalStrategy = 'no', evalSteps, saveTotalLimit, saveEvery = 0 } = options;
  if (evalStrategy === 'steps' && evalSteps === undefined)
    throw new UserError(`${option('evalStrategy')} steps: give ${option('evalSteps')} too`);
  if (evalStrategy !== 'steps' && evalSteps !== undefined)
    throw new UserError(`${option('evalSteps')}: found ${option('evalStrategy')} ${evalStrategy}, expected steps`);
  if (options.earlyStoppingThreshold !== undefined && options.earlyStoppingPatience === undefined)
    throw new UserError(`${option('earlyStoppingThreshold')}: needs ${option('earlyStoppingPatience')}`);
  if (evalStrategy !== 'no') return;
  if (saveTotalLimit !== undefined && saveEvery === 0)
    throw new UserError(`${option('saveTotalLimit')}: needs ${option('saveEvery')} or ${option('evalStrategy')}`);
  const needy = (['metricForBestModel', 'loadBestModel', 'earlyStoppingPatience'] as const).find(
    (name) => options[name] !== undefined && options[name] !== false,
  );
  if (needy)
    throw new UserError(
      `${option(needy)}: needs evaluations while training, give ${option('evalStrategy')} steps or epoch`,
    );
}

/**
 * By what the evaluations of a run are compared; undefined where it has none.
 * @param data as it is loaded; absent or empty: the user gave none
 * @throws UserError for options that exclude each other, no data, or a metric that the data does not have
 */
export function bestBy(
  model: { readonly head: HeadKind; readonly labels: readonly string[] },
  data: EvaluationData | undefined,
  options: EvaluationOptions,
): BestBy | undefined {
  checkEvaluationOptions(options);
  const { evalStrategy = 'no', metricForBestModel, earlyStoppingPatience, earlyStoppingThreshold } = options;
  if (evalStrategy === 'no') return undefined;
  if (!data || data.examples.length === 0)
    throw new UserError(
      `${option('evalStrategy')} ${evalStrategy}: there is nothing to evaluate on, give ${option('eval')} or ${option('selectionSplit')}`,
    );
  const names = metricNames(model, data);
  const metric = metricForBestModel === undefined ? mainMetric(names) : namedMetric(metricForBestModel, names);
  return { metric, patience: earlyStoppingPatience, threshold: earlyStoppingThreshold };
}

/** The evaluations that the options ask for. @throws UserError as `bestBy` */
export function evaluationPlan(
  model: PeftModel,
  data: EvaluationData | undefined,
  options: EvaluationOptions,
): EvaluationPlan | undefined {
  const by = bestBy(model, data, options);
  if (!by || !data) return undefined;
  const { examples, ...how } = data;
  const evaluator = evaluatorOf(model, examples, how);
  const { evalStrategy, evalSteps = 0, loadBestModel } = options;
  return {
    isDue: (steps, perEpoch) => steps % (evalStrategy === 'steps' ? evalSteps : perEpoch) === 0,
    measure: async (signal) => figuresOf((await evaluator.evaluate(signal)).metrics),
    by,
    loadsBest: loadBestModel,
    [Symbol.dispose]: () => evaluator[Symbol.dispose](),
  };
}

function figuresOf(metrics: object): Record<string, number> {
  return Object.fromEntries(Object.entries(metrics).filter(([, value]) => typeof value === 'number'));
}

/** @throws UserError for a figure that there is not */
function namedMetric(given: string, names: readonly string[]): string {
  // As transformers names them.
  const name = given.replace(/^eval_/, '');
  if (names.includes(name)) return name;
  throw new UserError(
    `${option('metricForBestModel')}: found "${given}"${didYouMean(name, names)}, expected one of ${names.join(', ')}`,
  );
}

/** The figures that an evaluation will have, by one of scores that say nothing. */
function metricNames(
  model: { readonly head: HeadKind; readonly labels: readonly string[] },
  { examples, figures, text, ...options }: EvaluationData,
): readonly string[] {
  const { metrics } = objectiveOf(model, examples);
  const blanks = new Map<number, Float32Array>();
  const ofWidth = (width: number): Float32Array => {
    const known = blanks.get(width) ?? new Float32Array(width);
    blanks.set(width, known);
    return known;
  };
  const blank = (width: (index: number) => number): Float32Array[] =>
    Array.from({ length: examples.length }, (_, i) => ofWidth(width(i)));
  if (text?.kind === 'choices') return comparable(text.figures(blank(() => 1)));
  if (!metrics) return ['loss', 'perplexity'];
  const scores = blank((index) => {
    const example = examples.at(index)!;
    if (model.head === 'multiple-choice') return sequencesOf(example).length;
    return model.head === 'question-answering' ? 2 * example.ids.length : Math.max(1, model.labels.length);
  });
  // Of the spans that can be answers the shortest say as much as all.
  const quick = { ...ANSWER_DEFAULTS, ...options, maxAnswerLength: 1 };
  return comparable({ ...figures?.(scores), ...metrics(examples, scores, quick) });
}
