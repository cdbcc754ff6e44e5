/** Room: train. One loop over a data set: scores or losses in input order, and how fast they came. */
import { DataLoader, type Batch } from '../data/data-loader.ts';
import { sequencesOf } from '../data/encoded-example.ts';
import { mostChoices, type Examples } from '../data/example-store.ts';
import { objectiveOf, type Objective, type ScoreMetrics } from '../data/objective.ts';
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
}

/** What a run is evaluated on while it trains, and how. */
export interface EvaluationData extends EvaluateOptions {
  readonly examples: Examples;
}

/** Figures on labelled examples: accuracy and the like, or perplexity. */
export async function evaluate(
  model: PeftModel,
  examples: Examples,
  { figures, text, ...options }: EvaluateOptions = {},
): Promise<Evaluation> {
  const objective = objectiveOf(model, examples);
  if (text?.kind === 'choices') {
    const { scores, inference } = await logLikelihoods(model, examples, options);
    return { inference, scores, metrics: text.figures(scores) };
  }
  if (!objective.metrics) return evaluateLanguage(model, objective, examples, options);
  const scores: Float32Array[] = [];
  const onScores = (index: number, values: Float32Array): unknown => (scores[index] = values.slice());
  const inference = await inferEach(model, examples, onScores, {}, options);
  const metrics = objective.metrics(examples, scores, { ...ANSWER_DEFAULTS, ...options });
  const official = figures?.(scores) ?? {};
  // Those that the task names come first.
  return { inference, scores, metrics: { ...official, ...metrics, ...official } };
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
): Promise<{ readonly scores: readonly Float32Array[]; readonly inference: InferenceCost }> {
  const scores: Float32Array[] = [];
  let longest = 1;
  for (const { tokenLabels } of examples) longest = Math.max(longest, labelledCount(tokenLabels!));
  using session = likelihoodSession(model, longest);
  const batches = inferenceBatches(model, examples, options);
  const inference = await forEachBatch(
    model.engine,
    session,
    batches,
    ({ indices }, values) => {
      indices.forEach((index, i) => {
        assertFinite([values[i]!], `example ${index + 1}: the likelihood`);
        scores[index] = Float32Array.of(values[i]!);
      });
    },
    options,
  );
  return { scores, inference };
}

/** Mean loss over the predicted tokens, summed in double precision. */
async function evaluateLanguage(
  model: PeftModel,
  objective: Objective,
  examples: Examples,
  options: InferenceOptions,
): Promise<Evaluation> {
  let [sum, count] = [0, 0];
  using session = lossSession(model, objective);
  const batches = inferenceBatches(model, examples, options);
  const inference = await forEachBatch(
    model.engine,
    session,
    batches,
    ({ labels, indices }, [loss]) => {
      assertFinite([loss!], `example ${indices[0]! + 1}: the loss of its batch`);
      const labelled = labelledCount(labels);
      sum += labelled * loss!;
      count += labelled;
    },
    options,
  );
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
  const cost = await inferEach(model, examples, onScores, options, inference);
  return { logits, labels: Int32Array.from(examples, ({ label }) => label), ...cost };
}

/**
 * Scores of every example: of its classes, its choices, or every token of its row.
 * @param onScores is given an example's place, and its scores in memory that is used again
 */
async function inferEach(
  model: PeftModel,
  examples: Examples,
  onScores: (index: number, scores: Float32Array) => unknown,
  options: ForwardOptions,
  inference: InferenceOptions,
): Promise<InferenceCost> {
  using session = logitsSession(model, options);
  const batches = inferenceBatches(model, examples, inference);
  return await forEachBatch(
    model.engine,
    session,
    batches,
    (batch, values) => {
      const rows = batch.count / batch.indices.length;
      const width = (values.length / batch.batch) * rows;
      batch.indices.forEach((index, i) => {
        const own = rows > 1 ? (width / rows) * sequencesOf(examples.at(index)!).length : width;
        const scores = values.subarray(i * width, i * width + own);
        assertFinite(scores, `example ${index + 1}: a score`);
        onScores(index, scores);
      });
    },
    inference,
  );
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
  { signal }: Pick<InferenceOptions, 'signal'> = {},
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
