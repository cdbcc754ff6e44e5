/** Room: report/charts. A score by method: a dot per seed, a tick at the mean, the plain classifier as a thin rule. */
import type { TopLevelSpec } from 'vega-lite';
import type { MethodSummary, TaskSummary } from '../aggregate.ts';
import { baselineScore, METRIC_STYLES, type MetricStyle } from '../metrics.ts';
import type { Metric, Run } from '../schema.ts';
import { COLOUR, type Layer } from './render.ts';
import { AXIS, rowChart, rowLabels, rowLines, rowScale, rowValues } from './rows.ts';

export function scoreChart(summary: TaskSummary, metric: Metric): TopLevelSpec {
  const { methods, subject, task } = summary;
  const colour = (method: MethodSummary): string => (method === subject ? COLOUR.accent : COLOUR.muted);
  const { text, unit, range } = METRIC_STYLES[metric];
  const factor = unit === '%' ? 100 : 1;
  const mean = (m: MethodSummary): number => m[metric]!.mean;
  const of = (run: Run): number => run.metrics[metric]! * factor;
  const seeds = methods.flatMap((m, row) => m.runs.map((run) => ({ row, value: of(run), colour: colour(m) })));
  const means = methods.map((m, row) => ({ row, value: mean(m) * factor, colour: colour(m) }));
  const baseline = baselineScore(task.baseline, metric);
  const plain = baseline === undefined ? undefined : baseline * factor;
  const x = {
    type: 'quantitative',
    scale: {
      domain: domain([...seeds.map((s) => s.value), ...(plain === undefined ? [] : [plain])], range),
      nice: false,
    },
    axis: { title: null, labelExpr: `datum.label + '${unit}'`, tickMinStep: range.step },
  } as const;
  const color = { field: 'colour', type: 'nominal', scale: null } as const;
  const rule: Layer = {
    data: { values: methods.map((_, row) => ({ row, plain })) },
    mark: { type: 'tick', thickness: 1.5, size: 20, color: COLOUR.ink, opacity: 1 },
    encoding: { y: rowScale, x: { field: 'plain', ...x } },
  };
  const layers: Layer[] = [
    rowLines(methods.length),
    rowLabels(methods.map((m) => m.label)),
    rowValues(methods.map((m) => text(mean(m)))),
    ...(plain === undefined ? [] : [rule]),
    {
      data: { values: seeds },
      mark: { type: 'circle', size: 50, opacity: 0.4 },
      encoding: { y: rowScale, x: { field: 'value', ...x }, color },
    },
    {
      data: { values: means },
      mark: { type: 'tick', thickness: 3, size: 14, opacity: 1 },
      encoding: { y: rowScale, x: { field: 'value', ...x }, color },
    },
  ];
  return rowChart(methods.length, layers, AXIS);
}

/** The values' range with room at both ends, and never so narrow that noise fills the width. */
function domain(values: readonly number[], { low: least, high: most, step }: MetricStyle['range']): [number, number] {
  const low = Math.min(...values);
  const high = Math.max(...values);
  const room = Math.max((high - low) * 0.12, step);
  return [
    Math.max(least, Math.floor((low - room) / step) * step),
    Math.min(most, Math.ceil((high + room) / step) * step),
  ];
}
