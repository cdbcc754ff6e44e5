/** Room: train. One loop over a data set: scores or losses in input order, and how fast they came. */
import { DataLoader, type Batch } from '../data/data-loader.ts';
import { sequencesOf } from '../data/encoded-example.ts';
import { mostChoices, type Examples } from '../data/example-store.ts';
import { objectiveOf, type ScoreMetrics } from '../data/objective.ts';
import { arePacked } from '../data/packing.ts';
import { ANSWER_DEFAULTS, type AnswerOptions } from '../data/qa/answers.ts';
import type { DataSet } from '../data/load/data-set.ts';
import type { TextFigures } from '../data/text/figures.ts';
import type { Engine } from '../engine/engine.ts';
import type { BatchShape } from '../engine/program-cache.ts';
import { logitsSession, lossSession, type InferenceSession } from '../peft-model/inference-session.ts';
import { likelihoodSession } from '../peft-model/likelihood-session.ts';
import type { ForwardOptions, PeftModel } from '../peft-model/peft-model.ts';
import { assertFinite } from './finite.ts';

/** Batches larger than this gain nothing at inference on any adapter measured, and cost memory. */
export const INFER_BATCH = 32;

export interface InferenceOptions {
  /** Examples at a time; 32 unless given. */
  readonly batchSize?: number | undefined;
  /** Stops between two batches: its reason is thrown. */
  readonly signal?: AbortSignal | undefined;
}

export interface InferenceCost {
  readonly seconds: number;
  readonly examples: number;
  readonly peakBytes: number;
}

/** Of language models. */
export interface LanguageMetrics {
  /** Tokens predicted. */
  readonly count: number;
  /** Mean over them of −log of their probability, in nats. */
  readonly loss: number;
  /** e to the loss. */
  readonly perplexity: number;
}

/** Figures of a data set, and what it took to get them. */
export interface Evaluation {
  readonly inference: InferenceCost;
  readonly metrics: ScoreMetrics | LanguageMetrics | TextFigures;
  /** Of every example, in order: the head's, or of text that is judged, one log-likelihood. Absent for other language data. */
  readonly scores?: readonly Float32Array[];
}

/** How figures are made. */
export interface EvaluateOptions extends Partial<AnswerOptions>, InferenceOptions {
  /** Of a task: its own, from the scores of every example in order; `DataSet` has them. */
  readonly figures?: DataSet['figures'];
  /** How text is judged in place of them; `DataSet` has it. */
  readonly text?: DataSet['text'];
  /** Masks of a plan that is not applied physically: `MaskedPlan.options()`. */
  readonly forward?: ForwardOptions | undefined;
}

/** What a run is evaluated on while it trains, and how. */
export interface EvaluationData extends EvaluateOptions {
  readonly examples: Examples;
}

/** Figures on labelled examples: accuracy and the like, or perplexity. */
export async function evaluate(
  model: PeftModel,
  examples: Examples,
  options: EvaluateOptions = {},
): Promise<Evaluation> {
  using evaluator = evaluatorOf(model, examples, options);
  return await evaluator.evaluate(options.signal);
}

/** Evaluates a model on the same examples again and again; its programs are compiled once. */
export interface Evaluator extends Disposable {
  /** Figures with the weights as they are. @throws the signal's reason, once it is aborted */
  evaluate(signal?: AbortSignal): Promise<Evaluation>;
}

export function evaluatorOf(model: PeftModel, examples: Examples, options: EvaluateOptions): Evaluator {
  const { figures, text, forward } = options;
  const objective = objectiveOf(model, examples);
  const { metrics: metricsOf } = objective;
  if (text?.kind === 'choices') {
    const pass = likelihoodPass(model, examples, options);
    return pass.evaluator(async (signal) => {
      const { scores, inference } = await likelihoodsOf(pass, signal);
      return { inference, scores, metrics: text.figures(scores) };
    });
  }
  if (!metricsOf) {
    const pass = new Pass(model, lossSession(model, objective, forward), examples, options);
    return pass.evaluator((signal) => meanLoss(pass, signal));
  }
  const pass = new Pass(model, logitsSession(model, forward), examples, options);
  return pass.evaluator(async (signal) => {
    const scores: Float32Array[] = [];
    const onScores = (index: number, values: Float32Array): unknown => (scores[index] = values.slice());
    const inference = await scoresOf(pass, examples, onScores, signal);
    const metrics = metricsOf(examples, scores, { ...ANSWER_DEFAULTS, ...options });
    const official = figures?.(scores) ?? {};
    // Those that the task names come first.
    return { inference, scores, metrics: { ...official, ...metrics, ...official } };
  });
}

/** A session over all batches of some examples. */
class Pass implements Disposable {
  readonly #engine: Engine;
  readonly #session: InferenceSession;
  readonly #batches: DataLoader;

  constructor(model: PeftModel, session: InferenceSession, examples: Examples, options: InferenceOptions) {
    this.#engine = model.engine;
    this.#session = session;
    this.#batches = inferenceBatches(model, examples, options);
  }

  run(onValues: (batch: Batch, values: Float32Array) => void, signal: AbortSignal | undefined): Promise<InferenceCost> {
    return forEachBatch(this.#engine, this.#session, this.#batches, onValues, signal);
  }

  evaluator(evaluate: Evaluator['evaluate']): Evaluator {
    return { evaluate, [Symbol.dispose]: () => this.#session.dispose() };
  }

  [Symbol.dispose](): void {
    this.#session.dispose();
  }
}

/**
 * How likely the labelled tokens of every example are after those before them.
 * @param examples for a causal language model
 * @returns of each the sum over its labelled tokens of the log of their probability, in nats; one value an example
 */
export async function logLikelihoods(
  model: PeftModel,
  examples: Examples,
  options: InferenceOptions = {},
): Promise<Likelihoods> {
  using pass = likelihoodPass(model, examples, options);
  return await likelihoodsOf(pass, options.signal);
}

interface Likelihoods {
  readonly scores: readonly Float32Array[];
  readonly inference: InferenceCost;
}

function likelihoodPass(
  model: PeftModel,
  examples: Examples,
  { forward, ...options }: InferenceOptions & Pick<EvaluateOptions, 'forward'>,
): Pass {
  let longest = 1;
  for (const { tokenLabels } of examples) longest = Math.max(longest, labelledCount(tokenLabels!));
  return new Pass(model, likelihoodSession(model, longest, forward), examples, options);
}

async function likelihoodsOf(pass: Pass, signal: AbortSignal | undefined): Promise<Likelihoods> {
  const scores: Float32Array[] = [];
  const inference = await pass.run(({ indices }, values) => {
    indices.forEach((index, i) => {
      assertFinite([values[i]!], `example ${index + 1}: the likelihood`);
      scores[index] = Float32Array.of(values[i]!);
    });
  }, signal);
  return { scores, inference };
}

/** Mean loss over the predicted tokens, summed in double precision. */
async function meanLoss(pass: Pass, signal: AbortSignal | undefined): Promise<Evaluation> {
  let [sum, count] = [0, 0];
  const inference = await pass.run(({ labels, indices }, [loss]) => {
    assertFinite([loss!], `example ${indices[0]! + 1}: the loss of its batch`);
    const labelled = labelledCount(labels);
    sum += labelled * loss!;
    count += labelled;
  }, signal);
  const loss = sum / Math.max(1, count);
  return { inference, metrics: { count, loss, perplexity: Math.exp(loss) } };
}

function labelledCount(labels: ArrayLike<number> & Iterable<number>): number {
  let count = 0;
  for (const label of labels) count += Number(label >= 0);
  return count;
}

/** Scores of a data set. */
export interface Inference extends InferenceCost {
  /** f32 [examples, labels], in the order of the examples; where one has fewer choices than others, −∞ for the rest. */
  readonly logits: Float32Array;
  readonly labels: Int32Array;
}

/**
 * Scores of every example, for heads that read one token of each.
 * @param options masks of a plan that is not applied physically
 */
export async function infer(
  model: PeftModel,
  examples: Examples,
  options: ForwardOptions = {},
  inference: InferenceOptions = {},
): Promise<Inference> {
  let logits = new Float32Array();
  const most = mostChoices(examples);
  const onScores = (index: number, scores: Float32Array): void => {
    const width = Math.max(most, scores.length);
    if (logits.length === 0) logits = new Float32Array(examples.length * width).fill(-Infinity);
    logits.set(scores, index * width);
  };
  using pass = new Pass(model, logitsSession(model, options), examples, inference);
  const cost = await scoresOf(pass, examples, onScores, inference.signal);
  return { logits, labels: Int32Array.from(examples, ({ label }) => label), ...cost };
}

/**
 * Scores of every example: of its classes, its choices, or every token of its row.
 * @param onScores is given an example's place, and its scores in memory that is used again
 */
function scoresOf(
  pass: Pass,
  examples: Examples,
  onScores: (index: number, scores: Float32Array) => unknown,
  signal: AbortSignal | undefined,
): Promise<InferenceCost> {
  return pass.run((batch, values) => {
    const rows = batch.count / batch.indices.length;
    const width = (values.length / batch.batch) * rows;
    batch.indices.forEach((index, i) => {
      const own = rows > 1 ? (width / rows) * sequencesOf(examples.at(index)!).length : width;
      const scores = values.subarray(i * width, i * width + own);
      assertFinite(scores, `example ${index + 1}: a score`);
      onScores(index, scores);
    });
  }, signal);
}

function inferenceBatches(
  { base }: PeftModel,
  examples: Examples,
  { batchSize = INFER_BATCH }: InferenceOptions,
): DataLoader {
  if (arePacked(examples)) throw new Error('packed rows are for training: give the examples that they were packed of');
  return new DataLoader(examples, {
    batchSize,
    order: 'length',
    seed: 0,
    padId: base.config.padTokenId,
    maxLength: base.config.maxTokens,
  });
}

/** Batches in order, as often as asked for. */
export interface BatchSequence<B> {
  epoch(epoch: number): Iterable<B>;
}

/**
 * Runs a session on every batch. All shapes are compiled, and new kernels run once, before the clock starts: drivers may leave
 * compilation to a kernel's first run.
 * @throws the signal's reason, once it is aborted
 */
export async function forEachBatch<B extends BatchShape & Partial<Pick<Batch, 'indices'>>>(
  engine: Engine,
  session: InferenceSession<B>,
  batches: BatchSequence<B>,
  onValues: (batch: B, values: Float32Array) => void,
  signal?: AbortSignal,
): Promise<InferenceCost> {
  const { value, peakBytes } = await engine.measurePeak(async () => {
    for (const batch of batches.epoch(0)) {
      signal?.throwIfAborted();
      const known = engine.pipelines.built;
      await session.prepare(batch);
      if (engine.pipelines.built > known) await session.run(batch);
    }
    let examples = 0;
    const started = performance.now();
    for (const batch of batches.epoch(0)) {
      signal?.throwIfAborted();
      onValues(batch, await session.run(batch));
      examples += batch.indices?.length ?? batch.batch;
    }
    return { examples, seconds: (performance.now() - started) / 1000 };
  });
  return { ...value, peakBytes };
}
