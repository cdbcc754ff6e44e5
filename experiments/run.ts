/** Room: experiments. Runs a comparison over tasks, methods and seeds, and writes `comparison.json`. */
import { mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import type { Engine } from '../engine/engine.ts';
import { fingerprintCheckpoint } from '../engine/io/fingerprint.ts';
import { writeJson } from '../engine/io/files.ts';
import { loadConfig } from '../models/config.ts';
import { ExperimentRunner, methodId, type MethodName } from './runner.ts';
import { loadData, type DataRequest, type DataSet } from '../data/source.ts';
import type { Comparison, Run, Task } from '../report/schema.ts';
import { adapterName, versions } from './provenance.ts';
import type { Settings } from '../train/settings.ts';
import type { TrainCallbacks } from '../train/stages.ts';

export interface ComparisonPlan {
  readonly modelDir: string;
  readonly tasks: readonly { readonly request: DataRequest; readonly settings: Settings }[];
  readonly methods: readonly MethodName[];
  readonly seeds: readonly number[];
  readonly out: string;
  /** What a reader types to get the same. */
  readonly command: string;
  readonly watch: TrainCallbacks;
  readonly onStage?: (title: string) => void;
}

/** Runs what is not there yet and writes `comparison.json` into `out`. */
export async function compareTasks(engine: Engine, plan: ComparisonPlan): Promise<Comparison> {
  const { modelDir, out, onStage } = plan;
  await mkdir(out, { recursive: true });
  const config = await loadConfig(modelDir);
  const foundation = { dir: modelDir, config, fingerprint: await fingerprintCheckpoint(modelDir) };
  const tasks: Task[] = [];
  const runs: Run[] = [];
  for (const { request, settings } of plan.tasks) {
    const data = await loadData(request, modelDir, config, settings);
    tasks.push(describe(data, settings));
    const comparing = new ExperimentRunner(
      engine,
      foundation,
      data,
      settings,
      plan.tasks.length === 1 ? out : join(out, data.name),
    );
    for (const seed of plan.seeds) {
      for (const method of plan.methods) {
        runs.push(await comparing.run(method, seed, { ...(onStage && { onStage }), watch: plan.watch }));
      }
    }
  }
  const { adapter } = engine;
  const comparison: Comparison = {
    format: 'light-peft/comparison',
    version: 1,
    meta: {
      date: new Date().toISOString(),
      command: plan.command,
      adapter: adapterName(adapter),
      software: adapter.software,
      model: modelDir,
      fingerprint: foundation.fingerprint,
      versions: await versions(),
      reference: methodId('reference', plan.tasks[0]?.settings.peft ?? 'lora'),
    },
    tasks,
    runs,
  };
  await writeJson(join(out, 'comparison.json'), comparison);
  return comparison;
}

function describe({ name, train, eval: test, baseline }: DataSet, settings: Settings): Task {
  const plain = baseline?.();
  const { bucket, weights, embeddings, activations, gradientCheckpointing } = settings;
  return {
    name,
    trainExamples: train.length,
    evalExamples: test.length,
    options: { bucket, weights, embeddings, activations, 'gradient-checkpointing': gradientCheckpointing },
    ...(plain && { baseline: { name: 'TF-IDF + logistic regression', accuracy: plain.accuracy, f1: plain.f1 } }),
  };
}
