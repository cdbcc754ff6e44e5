/** Room: data/tasks. The official figures of a task from scores. Pure functions. */
import type { Examples } from '../example-store.ts';
import { taskMetrics, type Judged, type MetricName } from '../metrics.ts';
import type { Prediction, Task, TaskRow } from './task.ts';

/** What was scored. */
interface Scored {
  /** The evaluated examples. */
  readonly eval: Examples;
  /** Class names in the order of the scores; none where the scores are of choices. */
  readonly labels: readonly string[];
  /** Of every example. */
  readonly scores: readonly Float32Array[];
}

/** @param keys of every example, by the task's `key`; none where it has no such */
export function taskFigures(task: Task, keys: readonly TaskRow[], scored: Scored): Partial<Record<MetricName, number>> {
  const places = placesOf(task, scored.labels);
  const scores = scored.scores.map((row) => reordered(row, places));
  if (task.judge) return taskMetrics(task.metrics, task.judge(keys, scores));
  const toTask = places.map((_, c) => places.indexOf(c));
  return taskMetrics(task.metrics, judged(scored.eval, scores, toTask));
}

/** Of a row: scores of classes or choices, or an answer in their place. */
export type Outcome = Pick<Prediction, 'scores' | 'answer'>;

/** Classes of rows whose keys have their labels. */
export function judgedRows(keys: readonly TaskRow[], scores: readonly Float32Array[]): Judged {
  const labels = keys.map(({ label }) => (label as number | undefined) ?? -1);
  return { labels, predictions: scores.map(bestOf), classes: scores[0]?.length ?? 0 };
}

/**
 * The lines of a task's submission.
 * @param labels class names in the order of the scores; none where the scores are of choices
 * @param outcomes of every row
 */
export function submissionLines(
  { submission, ...task }: Task,
  keys: readonly TaskRow[],
  labels: readonly string[],
  outcomes: readonly Outcome[],
): readonly string[] {
  const places = placesOf(task, labels);
  const predictions = outcomes.map((row, place) => {
    const scores = reordered(row.scores, places);
    return { ...row, key: keys[place] ?? {}, place, scores, best: bestOf(scores) };
  });
  return submission!.lines(predictions);
}

/** Where the task's classes are among the model's, which may be in another order, or have names of their own. */
function placesOf({ labels }: Pick<Task, 'labels'>, own: readonly string[]): readonly number[] {
  const places = labels.map((name) => own.indexOf(name));
  return places.every((place) => place >= 0) ? places : labels.map((_, c) => c);
}

/** @param places none, or one, where the scores are of no classes */
function reordered(row: Float32Array, places: readonly number[]): Float32Array {
  return places.length > 1 ? Float32Array.from(places, (place) => row[place]!) : row;
}

function bestOf(scores: Float32Array): number {
  return scores.indexOf(Math.max(...scores));
}

/** @param toTask the task's class of each of the model's */
function judged(examples: Examples, scores: readonly Float32Array[], toTask: readonly number[]): Judged {
  const classes = scores[0]?.length ?? 0;
  if (classes === 1) {
    const values = Array.from(examples, ({ values }) => values?.[0] ?? Number.NEGATIVE_INFINITY);
    return { labels: values, predictions: scores.map(([score]) => score!), classes };
  }
  const labels = Array.from(examples, ({ label }) => (label >= 0 ? (toTask[label] ?? label) : label));
  return { labels, predictions: scores.map(bestOf), classes };
}
