/** Room: report/audit. The pictures of an audit: lines over epochs, steps and layers, and a map over layers and steps. */
import type { TopLevelSpec } from 'vega-lite';
import { COLOUR, type Layer } from '../charts/render.ts';

/** A line with a name and a look. */
export interface Line {
  readonly label: string;
  readonly colour: string;
  readonly dash: readonly number[];
  readonly width: number;
  readonly points: readonly { readonly x: number; readonly y: number; readonly deviation?: number | undefined }[];
}

export interface Axes {
  readonly x: string;
  readonly domain: readonly [number, number];
  /** Of y; unset: as the values are. */
  readonly range?: readonly [number, number] | undefined;
  /** Whether y is a share, shown in percent. */
  readonly isShare?: boolean;
  /** Names of the places along x, from 0 on, in place of numbers. */
  readonly names?: readonly string[] | undefined;
}

const WIDTH = 320;
const HEIGHT = 190;
const PADDING = { top: 6, left: 44, right: 8, bottom: 42 };

/** Lines, each with rules of ± the deviation at its points. */
export function lineChart(lines: readonly Line[], axes: Axes): TopLevelSpec {
  const domain = [...axes.domain];
  const x = {
    field: 'x',
    type: 'quantitative' as const,
    title: axes.x,
    scale: { domain, nice: false },
    axis: { tickMinStep: 1, ...(axes.names && namedTicks(axes.names)) },
  };
  const scale = axes.range ? { domain: [...axes.range], nice: false } : { zero: true, nice: true };
  const y = {
    field: 'y',
    type: 'quantitative' as const,
    title: null,
    scale,
    ...(axes.isShare && { axis: { labelExpr: "round(100 * datum.value) + '%'" } }),
  };
  const layer = lines.flatMap(({ colour: color, dash, width: strokeWidth, points }): Layer[] => {
    const values = points.map(({ x: at, y: value, deviation = 0 }) => ({
      x: at,
      y: value,
      low: value - deviation,
      high: value + deviation,
    }));
    const line = { color, strokeDash: [...dash], strokeWidth, point: { color, size: 16 } };
    return [
      {
        data: { values: values.filter(({ low, high }) => high > low) },
        mark: { type: 'rule', color, opacity: 0.45, clip: true },
        encoding: { x, y: { ...y, field: 'low' }, y2: { field: 'high' } },
      },
      { data: { values }, mark: { type: 'line', ...line }, encoding: { x, y } },
    ];
  });
  return { width: WIDTH, height: HEIGHT, padding: PADDING, layer };
}

function namedTicks(names: readonly string[]) {
  const values = names.map((_, i) => i);
  const labels = JSON.stringify(names).replaceAll('"', "'");
  return { values, labelExpr: `${labels}[datum.value]` };
}

/** A map of values from −1 to 1, a row a layer, a column a window of steps. */
export function heatChart(
  steps: readonly number[],
  rows: readonly (readonly (number | null)[])[],
  names: readonly string[],
): TopLevelSpec {
  const values = rows.flatMap((row, column) =>
    row.map((value, layer) => ({
      column,
      layer,
      colour: value === null ? COLOUR.rule : value < 0 ? COLOUR.accent : COLOUR.cut,
      strength: value === null ? 0.5 : Math.min(1, Math.abs(value)),
    })),
  );
  const shown = (i: number): boolean => i % Math.max(1, Math.ceil(steps.length / 6)) === 0;
  const ticks = steps.map((_, i) => i).filter(shown);
  const stepNames = JSON.stringify(steps.map((step) => String(Math.round(step)))).replaceAll('"', "'");
  const layerNames = JSON.stringify(names).replaceAll('"', "'");
  return {
    width: WIDTH,
    height: 22 * names.length,
    padding: PADDING,
    layer: [
      {
        data: { values },
        mark: { type: 'rect' },
        encoding: {
          x: {
            field: 'column',
            type: 'ordinal',
            title: 'optimizer step',
            axis: { values: ticks, labelAngle: 0, labelExpr: `${stepNames}[datum.value]` },
          },
          y: {
            field: 'layer',
            type: 'ordinal',
            sort: 'descending',
            title: null,
            axis: { labelExpr: `${layerNames}[datum.value]` },
          },
          color: { field: 'colour', type: 'nominal', scale: null },
          opacity: {
            field: 'strength',
            type: 'quantitative',
            scale: { domain: [0, 1], range: [0.05, 1] },
            legend: null,
          },
        },
      },
    ],
  };
}
