/**
 * Room: experiments. Methods × seeds on one task, or several: what `light-peft run` and `npm run reproduce` do. This file goes through them
 * and writes `comparison.json`; `runner.ts` does one method with one seed, or takes its finished folder (`identity.ts` says when);
 * `options.ts` puts the options of all rooms together; `provenance.ts` names software and adapter; `baseline/` is TF-IDF with logistic
 * regression, to stand beside every result.
 *
 * It imports report (the format of what is measured), train, peft-model and the rooms below. It may not know of flags or terminals:
 * progress goes out by callbacks, errors name options.
 */
import { join } from 'node:path';
import type { DataSet } from '../data/load/data-set.ts';
import type { Engine } from '../engine/engine.ts';
import { exists, writeJson } from '../engine/io/files.ts';
import { makeFolder } from '../engine/io/make-folder.ts';
import { readVersioned } from '../engine/io/versioned.ts';
import { loadModel, type Checkpoint } from '../models/checkpoint.ts';
import { CONTEXT, CONTEXT_FILE } from '../report/model-context.ts';
import type { Comparison, Run, Task } from '../report/schema.ts';
import { runBaseline } from './baseline/tfidf.ts';
import { Forecast, workLeft, type Work } from './forecast.ts';
import type { RunOptions } from './options.ts';
import { provenance } from './provenance.ts';
import { loadTasks, taskFacts, type RunData, type TaskData, type TaskRequests } from './task-data.ts';
import { ExperimentRunner, methodId, type ExperimentCallbacks, type MethodName } from './runner.ts';

export interface ExperimentPlan extends ExperimentCallbacks {
  readonly modelDir: string;
  /** Each compared for itself; a request of several tasks is learned at once. */
  readonly tasks: readonly { readonly request: TaskRequests; readonly options: RunOptions }[];
  readonly methods: readonly MethodName[];
  readonly seeds: readonly number[];
  readonly out: string;
  /** Replaces results of other settings or data in `out`, in place of refusing. */
  readonly overwrite?: boolean | undefined;
  /** Folder of an estimation by `estimate`, which all seeds then share: give one task and one seed. */
  readonly estimation?: string | undefined;
  /** Hears what a task's data is. */
  readonly onData?: ((data: Pick<DataSet, 'name' | 'rows'>) => void) | undefined;
  /** Hears after the first steps of a task how many seconds all that is left of it will take. */
  readonly onForecast?: ((seconds: number, runs: number) => void) | undefined;
  /** What a reader types to get the same. */
  readonly command: string;
}

/** Runs what is not there yet and writes `comparison.json` into `out`. */
export async function runExperiments(engine: Engine, plan: ExperimentPlan): Promise<Comparison> {
  const { modelDir, out } = plan;
  await makeFolder(out);
  const checkpoint = await loadModel(modelDir, plan.tasks[0]?.options.load);
  const tasks: Task[] = [];
  const runs: Run[] = [];
  for (const { request, options } of plan.tasks) {
    const { taskHeads } = options.load;
    const { onBytes } = plan.callbacks;
    const data = await loadTasks(checkpoint, request, { data: options.data, taskHeads, onBytes });
    for (const task of data.tasks) plan.onData?.({ ...task.data, name: task.name });
    tasks.push(await describe(data, options));
    const folder = plan.tasks.length === 1 ? out : join(out, data.name);
    const content = await taskFacts(request, options.data, modelDir);
    const { overwrite = false, estimation } = plan;
    const task = { checkpoint, data, content, options, out: folder, overwrite, estimation };
    const runner = new ExperimentRunner(engine, task);
    await runner.begin();
    const watch = forecasting(plan, await workLeft(folder, plan.methods, plan.seeds, options, data.sizes));
    for (const seed of plan.seeds) {
      for (const method of plan.methods) runs.push(await runner.run(method, seed, watch));
    }
  }
  const comparison: Comparison = {
    format: 'light-peft/comparison',
    version: 1,
    meta: {
      ...(await provenance(engine, checkpoint, plan.command)),
      ...(await contextOf(checkpoint)),
      reference: methodId('reference', plan.tasks[0]?.options.peft.method ?? 'lora'),
    },
    tasks,
    runs,
  };
  await writeJson(join(out, 'comparison.json'), comparison);
  return comparison;
}

/** What the model's folder says of it, if anything. */
async function contextOf({ dir }: Checkpoint): Promise<Pick<Comparison['meta'], 'context'>> {
  const path = join(dir, CONTEXT_FILE);
  if (!(await exists(path))) return {};
  const { format: _, version: __, ...context } = await readVersioned(path, CONTEXT);
  return { context };
}

/** The plan's callbacks, and a forecast from what they hear. */
function forecasting({ onForecast, onStage, callbacks, logs }: ExperimentPlan, work: Work): ExperimentCallbacks {
  const forecast = new Forecast(work, (seconds) => onForecast?.(seconds, work.pieces));
  return {
    logs,
    onStage: (title) => {
      forecast.begin();
      onStage?.(title);
    },
    callbacks: {
      ...callbacks,
      onReport: (report) => {
        callbacks.onReport?.(report);
        forecast.report(report);
      },
    },
  };
}

async function describe({ name, tasks, isMulti }: RunData, { train, load }: RunOptions): Promise<Task> {
  const [{ data }] = tasks as readonly [TaskData];
  const plain = data.texts && !isMulti ? runBaseline(await data.texts()) : undefined;
  const rows = (of: 'train' | 'eval'): number => tasks.reduce((sum, task) => sum + task.data.rows[of], 0);
  const { groupByLength: bucket, activations, gradientCheckpointing } = train;
  return {
    name,
    trainExamples: rows('train'),
    evalExamples: rows('eval'),
    options: { bucket, ...load, activations, 'gradient-checkpointing': gradientCheckpointing },
    ...(plain && { baseline: { name: 'TF-IDF + logistic regression', accuracy: plain.accuracy, f1: plain.f1 } }),
  };
}
