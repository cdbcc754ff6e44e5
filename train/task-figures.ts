/** Room: train. Figures of several tasks: each task's own, and the mean of their main ones. */
import type { PeftModel } from '../peft-model/peft-model.ts';
import { comparable, mainMetric } from './best.ts';
import { evaluate, type Evaluation, type EvaluationData, type InferenceCost } from './evaluate.ts';

/** Evaluation data by the name of the task. */
export type TasksToEvaluate = ReadonlyMap<string, EvaluationData>;

/** Evaluations of several tasks. */
export interface TasksEvaluation {
  readonly byTask: ReadonlyMap<string, Evaluation>;
  /** The mean of the tasks' main figures. */
  readonly average: number;
  /** Of all of them together. */
  readonly inference: InferenceCost;
}

/** Evaluates every task with its head. @param tasks at least one */
export async function evaluateTasks(model: PeftModel, tasks: TasksToEvaluate): Promise<TasksEvaluation> {
  const byTask = new Map<string, Evaluation>();
  for (const [name, { examples, ...how }] of tasks)
    byTask.set(name, await evaluate(model.forTask(name), examples, how));
  return together(byTask);
}

/** Evaluations of tasks with what they are together. @param byTask at least one */
export function together(byTask: ReadonlyMap<string, Evaluation>): TasksEvaluation {
  const all = [...byTask.values()];
  const main = all.map(({ metrics }) => figuresOf(metrics)[mainMetric(comparable(metrics))]!);
  const total = (of: (evaluation: Evaluation) => number): number => all.reduce((sum, each) => sum + of(each), 0);
  return {
    byTask,
    average: main.reduce((a, b) => a + b, 0) / main.length,
    inference: {
      seconds: total(({ inference }) => inference.seconds),
      examples: total(({ inference }) => inference.examples),
      peakBytes: Math.max(...all.map(({ inference }) => inference.peakBytes)),
    },
  };
}

/** Those of an evaluation's figures that are numbers. */
export function figuresOf(metrics: object): Record<string, number> {
  return Object.fromEntries(Object.entries(metrics).filter(([, value]) => typeof value === 'number'));
}

/** What the mean of tasks' main figures is called. @param names of the tasks' main figures */
export function averageName(names: readonly string[]): string {
  return names.every((name) => name === 'loss') ? 'loss' : 'average';
}

/** A figure of one of several tasks. */
export function figureOfTask(task: string, figure: string): string {
  return `${task}_${figure}`;
}
