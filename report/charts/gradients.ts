/** Room: report/charts. A figure of gradients by layer over the steps of a run: a cell for each window of steps and layer. */
import type { TopLevelSpec } from 'vega-lite';
import { COLOUR } from './render.ts';

/** What a map shows: [windows][layers], null where there is nothing to show. */
export interface GradientMap {
  readonly layers: readonly string[];
  /** First step of each window. */
  readonly step: readonly number[];
  readonly values: readonly (readonly (number | null)[])[];
  /** The value of full colour; negative values have the other colour. */
  readonly top: number;
}

const [WIDTH, ROW] = [400, 16];

/** The lowest layer is at the bottom, the output layer at the top. */
export function gradientChart({ layers, step, values, top }: GradientMap): TopLevelSpec {
  const width = step.length > 1 ? step[1]! - step[0]! : 1;
  const cells = values.flatMap((row, w) =>
    row.flatMap((value, layer) =>
      value === null
        ? []
        : [
            {
              from: step[w]!,
              to: step[w]! + width,
              layer: layers[layer]!,
              shade: Math.min(1, Math.abs(value) / top),
              isNegative: value < 0,
            },
          ],
    ),
  );
  const last = (step.at(-1) ?? 0) + width;
  return {
    width: WIDTH,
    height: ROW * layers.length,
    padding: { top: 6, left: 48, right: 14, bottom: 42 },
    data: { values: cells },
    mark: { type: 'rect' },
    encoding: {
      x: { field: 'from', type: 'quantitative', title: 'optimizer step', scale: { domain: [0, last], nice: false } },
      x2: { field: 'to' },
      y: { field: 'layer', type: 'nominal', title: null, sort: [...layers].reverse(), axis: { grid: false } },
      fill: {
        field: 'isNegative',
        type: 'nominal',
        legend: null,
        scale: { domain: [false, true], range: [COLOUR.accent, COLOUR.ink] },
      },
      fillOpacity: { field: 'shade', type: 'quantitative', legend: null, scale: { domain: [0, 1], range: [0.04, 1] } },
    },
  };
}
