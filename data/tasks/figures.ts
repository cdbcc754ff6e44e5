/** Room: data/tasks. The official figures of a task from scores. Pure functions. */
import type { Examples } from '../example-store.ts';
import { taskMetrics, type Judged, type MetricName } from '../metrics.ts';
import type { Task, TaskRow } from './task.ts';

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
  const places = task.labels.map((name) => scored.labels.indexOf(name));
  // The model's classes may be in another order, or have names of their own.
  const inOrder = places.every((place) => place >= 0);
  const scores = inOrder && places.length > 1 ? scored.scores.map((row) => reordered(row, places)) : scored.scores;
  if (task.judge) return taskMetrics(task.metrics, task.judge(keys, scores));
  const toTask = inOrder ? places.map((_, c) => places.indexOf(c)) : places.map((_, c) => c);
  return taskMetrics(task.metrics, judged(scored.eval, scores, toTask));
}

/** Classes of rows whose keys have their labels. */
export function judgedRows(keys: readonly TaskRow[], scores: readonly Float32Array[]): Judged {
  const labels = keys.map(({ label }) => (label as number | undefined) ?? -1);
  return { labels, predictions: scores.map((row) => row.indexOf(Math.max(...row))), classes: scores[0]?.length ?? 0 };
}

function reordered(row: Float32Array, places: readonly number[]): Float32Array {
  return Float32Array.from(places, (place) => row[place]!);
}

/** @param toTask the task's class of each of the model's */
function judged(examples: Examples, scores: readonly Float32Array[], toTask: readonly number[]): Judged {
  const classes = scores[0]?.length ?? 0;
  if (classes === 1) {
    const values = Array.from(examples, ({ values }) => values?.[0] ?? Number.NEGATIVE_INFINITY);
    return { labels: values, predictions: scores.map(([score]) => score!), classes };
  }
  const labels = Array.from(examples, ({ label }) => (label >= 0 ? (toTask[label] ?? label) : label));
  return { labels, predictions: scores.map((row) => row.indexOf(Math.max(...row))), classes };
}
