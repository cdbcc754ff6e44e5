/** Room: report/charts. Task loss over the optimizer steps of estimation and fine-tuning. */
import { mean } from 'simple-statistics';
import type { TopLevelSpec } from 'vega-lite';
import { phaseSteps, type MethodSummary, type TaskSummary } from '../aggregate.ts';
import type { Run } from '../schema.ts';
import { COLOUR, type Layer } from './render.ts';

/** Points of a smoothed curve. */
const WINDOWS = 40;

const DASHES = [
  [6, 3],
  [2, 2],
  [9, 3, 2, 3],
  [1, 3],
  [12, 4],
];

/** How a method's line is drawn, here and in the legend. */
export interface Stroke {
  readonly label: string;
  readonly colour: string;
  readonly dash: readonly number[];
  readonly width: number;
}

/** The subject in the accent colour, the reference in ink, every other method in its own dashes. */
export function strokes(summary: TaskSummary): Stroke[] {
  let other = 0;
  return summary.methods.map((method) => {
    if (method === summary.subject) return { label: method.label, colour: COLOUR.accent, dash: [], width: 2.25 };
    if (method === summary.reference) return { label: method.label, colour: COLOUR.ink, dash: [], width: 1.5 };
    return { label: method.label, colour: COLOUR.muted, dash: DASHES[other++ % DASHES.length]!, width: 1.5 };
  });
}

/** @returns undefined where no run has a curve */
export function lossChart(summary: TaskSummary, width: number): TopLevelSpec | undefined {
  const runs = summary.methods.flatMap((method) => method.runs);
  const last = Math.max(0, ...runs.map((run) => estimateSteps(run) + phaseSteps(run, 'train')));
  if (last === 0) return undefined;
  const styles = strokes(summary);
  const window = Math.max(1, Math.ceil(last / WINDOWS));
  const x = stepAxis(last);
  const lines = summary.methods.flatMap((method, i) => methodLines(method, styles[i]!, window, x));
  const pruned = Math.max(0, ...(summary.subject?.runs ?? []).map(estimateSteps));
  const padding = { top: 4, left: 34, right: 4, bottom: 42 };
  return { width, height: 220, padding, layer: [...(pruned > 0 ? pruneRule(pruned, x) : []), ...lines] };
}

type X = ReturnType<typeof stepAxis>;

function stepAxis(last: number) {
  const type = 'quantitative' as const;
  return { field: 'step', type, title: 'optimizer step', scale: { domain: [0, last], nice: false } };
}

/** One line for each phase that has points. */
function methodLines(method: MethodSummary, stroke: Stroke, window: number, x: X): Layer[] {
  const { colour: color, dash, width: strokeWidth } = stroke;
  return (['estimate', 'train'] as const)
    .map((phase) => smoothed(method, phase, window))
    .filter((values) => values.length > 0)
    .map((values) => ({
      data: { values },
      mark: { type: 'line', color, strokeDash: [...dash], strokeWidth, interpolate: 'monotone' },
      encoding: { x, y: { field: 'loss', type: 'quantitative', title: null, scale: { zero: false, nice: true } } },
    }));
}

type Phase = Run['curves'][number]['phase'];

const estimateSteps = (run: Run): number => phaseSteps(run, 'estimate');

/** Mean loss over all seeds in windows of steps; fine-tuning follows the run's own estimation steps. */
function smoothed(method: MethodSummary, phase: Phase, window: number): { step: number; loss: number }[] {
  const windows = new Map<number, { step: number; loss: number }[]>();
  for (const run of method.runs) {
    const offset = phase === 'train' ? estimateSteps(run) : 0;
    for (const curve of run.curves.filter((c) => c.phase === phase))
      curve.step.forEach((step, i) => {
        const key = Math.floor(step / window);
        const point = { step: step + offset, loss: curve.loss[i]! };
        windows.set(key, [...(windows.get(key) ?? []), point]);
      });
  }
  return [...windows]
    .sort(([a], [b]) => a - b)
    .map(([, points]) => ({ step: mean(points.map((p) => p.step)), loss: mean(points.map((p) => p.loss)) }));
}

function pruneRule(step: number, x: X): Layer[] {
  const data = { values: [{ step }] };
  return [
    { data, mark: { type: 'rule', color: COLOUR.accent, strokeDash: [2, 3] }, encoding: { x } },
    {
      data,
      mark: { type: 'text', text: 'prune', align: 'left', baseline: 'top', dx: 5, color: COLOUR.accent },
      encoding: { x, y: { value: 0 } },
    },
  ];
}
