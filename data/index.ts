/**
 * Room: data. `light-peft/data`: from files and built-in tasks to batches, and from scores to figures.
 *
 *     const data = await loadData(await loadModel(dir), { train: 'train.jsonl', eval: 'eval.jsonl' });
 *     const loader = new DataLoader(data.train, { batchSize: 16, order: 'bucket', seed: 0, padId: 1, maxLength: 128 });
 *     for (const { inputIds, attentionMask, labels } of loader.epoch(0)) …
 *
 * A source gives examples of token ids (`EncodedExample`), padded batches are made of them, and an objective says what
 * their labels are, what the loss is and how scores are judged. The built-in tasks need packages of their own; an error
 * names the command that installs them. Of this room only the sources touch files.
 *
 * It imports models and engine, and may not know of adapters, pruning or training.
 * @module light-peft/data
 */
export { loadData } from './source.ts';
export type { DataSet, LabelledTexts, TaskFigures } from './load/data-set.ts';
export { headOfData } from './load/head-of-data.ts';
export { loadRows, type Rows } from './load/rows.ts';
export { dataOptionsSchema, type DataOptions } from './options.ts';
export type { DataRequest } from './request.ts';
export { resolveData, type HubData } from './hub/resolve.ts';
export { loadTask, type Example, type TaskData } from './tasks/built-in.ts';
export { TASK_NAMES, taskNamed } from './tasks/registry.ts';
export type { SplitName, Task, TaskRow } from './tasks/task.ts';
export { readExamples, type ExampleFile, type RawExample } from './examples.ts';
export { labelNames, problemOf, type Label, type LabelFile, type LabelRow, type Problem } from './labels.ts';
export {
  encodeChoices,
  encodeFile,
  encodeTexts,
  setTargets,
  type EncodedFile,
  type EncodeFileOptions,
} from './encode.ts';
export { IGNORE_INDEX, NO_VALUE, type EncodedExample, type Passage, type Sequence } from './encoded-example.ts';
export { ExampleStore, type Examples } from './example-store.ts';
export { DataLoader, type Batch, type BatchOptions, type Order } from './data-loader.ts';
export { packExamples } from './packing.ts';
export { objectiveOf, type Objective, type ScoreMetrics } from './objective.ts';
export {
  benchmarkScore,
  bestOfGroups,
  classificationMetrics,
  labelSetMetrics,
  logitMetrics,
  regressionMetrics,
  squadMetrics,
  taskMetrics,
  type AnswerTexts,
  type BenchmarkName,
  type BenchmarkScore,
  type Judged,
  type LabelSetMetrics,
  type LossMetrics,
  type MetricName,
  type Metrics,
  type NoAnswerMetrics,
  type RegressionMetrics,
  type SquadAnswer,
  type SquadMetrics,
  type TaskScores,
} from './metrics.ts';
export { answerMetrics, answerText, type AnswerMetrics, type AnswerOptions } from './qa/answers.ts';
export { encodeQuestions, type QuestionOptions } from './qa/encode.ts';
export { readQuestions, type Question, type QuestionFile } from './qa/questions.ts';
export { encodeLanguageFile, type LanguageOptions } from './lm/encode.ts';
export { readLanguageFile, type LanguageFile, type LanguageRow } from './lm/documents.ts';
