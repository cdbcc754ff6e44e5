/** Room: report/charts. Charts of one row per method: its label above, its mark below. */
import type { TopLevelSpec } from 'vega-lite';
import { COLOUR, type Layer } from './render.ts';

/** Plot width in pixels: fits a phone without being scaled down. */
export const WIDTH = 320;

const STEP = 38;
const LABEL_RISE = 9;

/** Labels at the left, above each row's centre. Rows keep their order. */
export function rowLabels(labels: readonly string[]): Layer {
  return {
    data: { values: labels.map((label, row) => ({ label, row })) },
    mark: { type: 'text', align: 'left', baseline: 'bottom', dy: -LABEL_RISE, color: COLOUR.muted, fontSize: 12 },
    encoding: { x: { value: 0 }, y: rowScale, text: { field: 'label' } },
  };
}

/** The vertical position of every mark of a row chart: field `row`, a whole number from 0. */
export const rowScale = { field: 'row', type: 'ordinal', axis: null } as const;

/** A faint line along each row, for marks to stand on. */
export function rowLines(count: number): Layer {
  return {
    data: { values: Array.from({ length: count }, (_, row) => ({ row })) },
    mark: { type: 'rule', color: COLOUR.rule },
    encoding: { y: rowScale, x: { value: 0 }, x2: { value: WIDTH } },
  };
}

/** A text at the right end of each label's line. */
export function rowValues(texts: readonly string[]): Layer {
  return {
    data: { values: texts.map((text, row) => ({ text, row })) },
    mark: { type: 'text', align: 'right', baseline: 'bottom', dy: -LABEL_RISE },
    encoding: { y: rowScale, x: { value: WIDTH }, text: { field: 'text' } },
  };
}

/** Pixels below the rows for an axis, without and with a title. */
export const AXIS = 22;
export const AXIS_AND_TITLE = 42;

/** A row chart of `count` rows. @param bottom pixels below them */
export function rowChart(count: number, layer: Layer[], bottom = 0): TopLevelSpec {
  return { width: WIDTH, height: count * STEP, padding: { top: 4, left: 2, right: 2, bottom }, layer };
}

export interface Bar {
  readonly label: string;
  /** From the left; more than one where a total is split. */
  readonly parts: readonly { readonly value: number; readonly colour: string }[];
  /** Shown at the bar's end. */
  readonly text: string;
}

/** Horizontal bars from zero, all on one scale, with their values written at the ends instead of an axis. */
export function barChart(bars: readonly Bar[]): TopLevelSpec {
  const ends = bars.map((bar) => bar.parts.reduce((sum, part) => sum + part.value, 0));
  const longest = Math.max(...bars.map((bar) => bar.text.length));
  // Room for the text at the end of the longest bar, about 7 px a character.
  const domain = [0, ((Math.max(...ends) || 1) * WIDTH) / (WIDTH - 7 * longest - 8)];
  const x = { type: 'quantitative', scale: { domain, nice: false }, axis: null } as const;
  return rowChart(bars.length, [
    rowLabels(bars.map((bar) => bar.label)),
    {
      data: { values: bars.flatMap(segments) },
      mark: { type: 'bar', size: 11 },
      encoding: {
        y: rowScale,
        x: { field: 'start', ...x },
        x2: { field: 'end' },
        color: { field: 'colour', type: 'nominal', scale: null },
      },
    },
    {
      data: { values: bars.map((bar, row) => ({ row, end: ends[row], text: bar.text })) },
      mark: { type: 'text', align: 'left', dx: 6 },
      encoding: { y: rowScale, x: { field: 'end', ...x }, text: { field: 'text' } },
    },
  ]);
}

function segments(bar: Bar, row: number): { row: number; start: number; end: number; colour: string }[] {
  let end = 0;
  return bar.parts.map((part) => ({ row, start: end, end: (end += part.value), colour: part.colour }));
}
