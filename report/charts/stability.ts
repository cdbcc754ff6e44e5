/** Room: report/charts. How far the kept sets of an estimation's successive windows lie apart, by what is pruned, and where it ended. */
import type { TopLevelSpec } from 'vega-lite';
import type { StabilityRecord } from '../schema.ts';
import { COLOUR, type Layer } from './render.ts';

/** Lines, in the order of the legend. */
export const PART_LINES = [
  { label: 'heads', colour: COLOUR.accent, dash: [], width: 2 },
  { label: 'neurons', colour: COLOUR.ink, dash: [], width: 1.5 },
  { label: 'modules', colour: COLOUR.cut, dash: [6, 3], width: 2 },
  { label: 'ranks', colour: COLOUR.muted, dash: [2, 2], width: 2 },
] as const;

/** The largest distance of any part. */
export function highestDistance({ distances }: StabilityRecord): number {
  return Math.max(0, ...distances.flatMap((d) => PART_LINES.map(({ label }) => d[label])));
}

/** @param last step of the axis @param top of the charts to be compared */
export function stabilityChart(found: StabilityRecord, last: number, top: number): TopLevelSpec {
  const x = axis('step', 'optimizer step of the estimation', [0, last]);
  const y = axis('distance', null, [0, top]);
  const lines = PART_LINES.map(({ label, colour: color, dash, width: strokeWidth }): Layer => {
    const values = found.distances.map((d) => ({ step: d.step, distance: d[label] }));
    const line = { color, strokeDash: [...dash], strokeWidth, point: { color, size: 20 } };
    return { data: { values }, mark: { type: 'line', ...line }, encoding: { x, y } };
  });
  const padding = { top: 16, left: 40, right: 10, bottom: 42 };
  return { width: 400, height: 190, padding, layer: [...thresholdRule(found, y), ...endRule(found, x), ...lines] };
}

type Axis = ReturnType<typeof axis>;

function axis(field: string, title: string | null, domain: [number, number]) {
  return { field, type: 'quantitative' as const, title, scale: { domain, nice: false } };
}

function thresholdRule({ threshold }: StabilityRecord, y: Axis): Layer[] {
  const data = { values: [{ distance: threshold }] };
  return [
    { data, mark: { type: 'rule', color: COLOUR.muted, strokeDash: [2, 3] }, encoding: { y } },
    {
      data,
      mark: { type: 'text', text: 'threshold', align: 'right', baseline: 'bottom', dy: -3, color: COLOUR.muted },
      encoding: { y, x: { value: 400 } },
    },
  ];
}

function endRule({ steps, reached }: StabilityRecord, x: Axis): Layer[] {
  const data = { values: [{ step: steps }] };
  const text = `${reached ? 'stable' : 'not stable'}, ${steps} steps`;
  return [
    { data, mark: { type: 'rule', color: COLOUR.accent, strokeDash: [2, 3] }, encoding: { x } },
    {
      data,
      mark: { type: 'text', text, align: 'right', baseline: 'bottom', dy: -4, color: COLOUR.accent },
      encoding: { x, y: { value: 0 } },
    },
  ];
}
