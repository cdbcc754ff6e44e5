/** Room: experiments. What `run.json` has of a run beside its numbers: scores, curves, the plan and gradients as pictures show them. */
import { readdir, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { fullLayers, type ModelConfig } from '../models/architecture.ts';
import type { PeftModel } from '../peft-model/peft-model.ts';
import type { Decision, ImportanceScores } from '../pruning/decide.ts';
import type { EstimateResult } from '../pruning/scores-file.ts';
import { METRICS, type Run } from '../report/schema.ts';
import type { Evaluation } from '../train/evaluate.ts';
import { gradientLayers } from '../train/gradient-control/layers.ts';
import type { TasksEvaluation } from '../train/task-figures.ts';
import type { TrainResult } from '../train/trainer.ts';
import type { GradientRecord } from './gradient-record.ts';

export async function gradientMaps(
  model: PeftModel,
  record: GradientRecord | undefined,
): Promise<Pick<Run, 'gradients'>> {
  const found = await record?.read();
  if (!found) return {};
  const { loss: _, ...maps } = found;
  return { gradients: { layers: [...gradientLayers(model).names], ...maps } };
}

/** Of several tasks each one's, and their means. */
export function scoresOfTasks({ byTask, average }: TasksEvaluation, isMulti: boolean): Pick<Run, 'metrics' | 'tasks'> {
  const each = [...byTask].map(([name, { metrics }]) => [name, scoresFrom(metrics)] as const);
  if (!isMulti) return { metrics: each[0]![1] };
  const loss = each.reduce((sum, [, metrics]) => sum + metrics.loss, 0) / each.length;
  return { metrics: { average, loss }, tasks: Object.fromEntries(each) };
}

function scoresFrom(metrics: Evaluation['metrics']): Run['metrics'] {
  const all: Partial<Record<string, unknown>> = { ...metrics };
  const scores = METRICS.filter((name) => all[name] !== undefined).map((name) => [name, all[name]] as const);
  return { ...(Object.fromEntries(scores) as Omit<Run['metrics'], 'loss'>), loss: metrics.loss };
}

export function curve(phase: 'estimate' | 'train', loss: readonly number[]): Run['curves'][number] {
  return { phase, step: loss.map((_, i) => i), loss: [...loss] };
}

/** @param steps that the estimation took */
export function stabilityPicture(
  found: NonNullable<EstimateResult['stability']>,
  steps: number,
): NonNullable<Run['stability']> {
  const { window, threshold, queue, min_steps: minSteps, max_steps: maxSteps, reached, distances } = found;
  return { steps, window, threshold, queue, minSteps, maxSteps, reached, distances };
}

/** Resident kinds are constant over a step; the arena's use is what varies. */
export function timelineOf({ memoryByKind, timeline }: TrainResult): NonNullable<Run['timeline']> {
  const resident = Object.keys(memoryByKind).filter((kind) => kind !== 'activations');
  const fixed = resident.map((kind) => memoryByKind[kind] ?? 0);
  return { labels: [...resident, 'activations'], points: timeline.map((bytes) => [...fixed, bytes]) };
}

/** @param beforeRanks modules that the plan would keep if no ranks went */
export function planPicture(
  config: ModelConfig,
  scores: ImportanceScores,
  plan: Decision,
  beforeRanks: Decision['modules'],
): NonNullable<Run['plan']> {
  const { layers } = plan;
  return {
    layers: fullLayers(config).map(({ heads, neurons }, i) => ({
      heads,
      keptHeads: [...(layers[i]?.heads ?? [])],
      neurons,
      keptNeurons: [...(layers[i]?.neurons ?? [])],
    })),
    modules: Object.entries(scores.modules).map(([name, importance]) => {
      const left = plan.modules[name];
      const ranks = (scores.ranks[name] ?? []).map((score, i) => ({
        importance: score,
        kept: left?.kept.includes(i) ?? false,
      }));
      const lostBy = name in beforeRanks ? ('ranks' as const) : ('importance' as const);
      return { name, importance, kept: left !== undefined, ranks, ...(!left && { lostBy }) };
    }),
  };
}

export async function folderBytes(dir: string): Promise<number> {
  const names = await readdir(dir);
  const sizes = await Promise.all(names.map(async (name) => (await stat(join(dir, name))).size));
  return sizes.reduce((a, b) => a + b, 0);
}
