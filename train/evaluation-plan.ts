/** Room: train. From options to what is measured on the way: when, on which data, and by which figure evaluations are compared. */
import { sequencesOf } from '../data/encoded-example.ts';
import { objectiveOf } from '../data/objective.ts';
import { ANSWER_DEFAULTS } from '../data/qa/answers.ts';
import { option, UserError } from '../engine/errors.ts';
import { didYouMean } from '../engine/nearest.ts';
import type { HeadKind } from '../models/architecture.ts';
import type { PeftModel } from '../peft-model/peft-model.ts';
import { comparable, mainMetric, type BestBy } from './best.ts';
import { evaluatorOf, type Evaluation, type EvaluationData } from './evaluate.ts';
import type { EvaluationOptions } from './options.ts';
import { averageName, figureOfTask, figuresOf, together, type TasksToEvaluate } from './task-figures.ts';

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
export function bestBy(model: HeadOfTask, data: Evaluated | undefined, options: EvaluationOptions): BestBy | undefined {
  checkEvaluationOptions(options);
  const { evalStrategy = 'no', metricForBestModel, earlyStoppingPatience, earlyStoppingThreshold } = options;
  if (evalStrategy === 'no') return undefined;
  const tasks = tasksOf(data);
  if (tasks.length === 0 || tasks.some(([, { examples }]) => examples.length === 0))
    throw new UserError(
      `${option('evalStrategy')} ${evalStrategy}: there is nothing to evaluate on, give ${option('eval')} or ${option('selectionSplit')}`,
    );
  const names = namesOfAll(model, tasks);
  const metric = metricForBestModel === undefined ? mainMetric(names) : namedMetric(metricForBestModel, names);
  return { metric, patience: earlyStoppingPatience, threshold: earlyStoppingThreshold };
}

/** The evaluations that the options ask for. @throws UserError as `bestBy` */
export function evaluationPlan(
  model: PeftModel,
  data: Evaluated | undefined,
  options: EvaluationOptions,
): EvaluationPlan | undefined {
  const by = bestBy(model, data, options);
  if (!by || !data) return undefined;
  const evaluators = tasksOf(data).map(([name, { examples, ...how }]) => ({
    name,
    evaluator: evaluatorOf(model.forTask(name), examples, how),
  }));
  const { evalStrategy, evalSteps = 0, loadBestModel } = options;
  return {
    isDue: (steps, perEpoch) => steps % (evalStrategy === 'steps' ? evalSteps : perEpoch) === 0,
    measure: async (signal) => {
      const byTask = new Map<string, Evaluation>();
      for (const { name, evaluator } of evaluators) byTask.set(name, await evaluator.evaluate(signal));
      return figuresOfAll(byTask);
    },
    by,
    loadsBest: loadBestModel,
    [Symbol.dispose]: () => evaluators.forEach(({ evaluator }) => evaluator[Symbol.dispose]()),
  };
}

/** What is evaluated: one set, or several tasks' by name. */
export type Evaluated = EvaluationData | TasksToEvaluate;

type Tasks = readonly (readonly [name: string, data: EvaluationData])[];

function tasksOf(data: Evaluated | undefined): Tasks {
  if (data instanceof Map) return [...(data as TasksToEvaluate)];
  return data ? [['', data as EvaluationData]] : [];
}

/** Figures of one set; or of each task with its name before them, and their mean. */
function figuresOfAll(byTask: ReadonlyMap<string, Evaluation>): Record<string, number> {
  const { average } = together(byTask);
  const all = [...byTask].map(([task, { metrics }]) => ({ task, figures: figuresOf(metrics) }));
  if (all.length === 1) return all[0]!.figures;
  const named = all.flatMap(({ task, figures }) =>
    Object.entries(figures).map(([name, value]) => [figureOfTask(task, name), value] as const),
  );
  const main = all.map(({ figures }) => mainMetric(comparable(figures)));
  return { [averageName(main)]: average, ...Object.fromEntries(named) };
}

/** The figures that an evaluation of one set, or of several tasks, will have. */
function namesOfAll(model: HeadOfTask, tasks: Tasks): readonly string[] {
  const [only] = tasks;
  if (tasks.length === 1) return metricNames(model, only![1]);
  const own = tasks.map(([task, data]) => metricNames(model.forTask?.(task) ?? model, data));
  const named = tasks.flatMap(([task], i) => own[i]!.map((name) => figureOfTask(task, name)));
  return [averageName(own.map(mainMetric)), ...named];
}

/** A model, or the head that one will have. */
interface HeadOfTask {
  readonly head: HeadKind;
  readonly labels: readonly string[];
  forTask?(name: string): HeadOfTask;
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
