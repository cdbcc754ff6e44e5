/** Room: bench/report. Bars, and lines on linear or logarithmic axes, as Vega-Lite specifications. */
import type { TopLevelSpec } from 'vega-lite';
import { kindColours } from '../../report/charts/memory.ts';
import { COLOUR, type Layer } from '../../report/charts/render.ts';
import { barChart, WIDTH } from '../../report/charts/rows.ts';
import type { Key } from '../../report/html/parts.ts';
import type { Figure } from './document.ts';
import { formatNumber } from './format.ts';

interface Drawn {
  readonly chart: TopLevelSpec;
  readonly keys: readonly Key[];
}

/** Horizontal bars; the engine's own stand out where bars are not split. */
export function barFigure({ bars, unit }: Extract<Figure, { kind: 'bars' }>): Drawn {
  const names = [...new Set(bars.flatMap((bar) => Object.keys(bar.parts)))];
  const colours = names.length > 1 ? kindColours(names) : undefined;
  const chart = barChart(
    bars.map(({ label, parts, own }) => ({
      label,
      parts: names.map((name) => ({
        value: parts[name] ?? 0,
        colour: colours?.get(name) ?? (own ? COLOUR.accent : COLOUR.grey),
      })),
      text: formatNumber(
        Object.values(parts).reduce((a, b) => a + b, 0),
        unit,
      ),
    })),
  );
  return { chart, keys: [...(colours ?? [])].map(([label, colour]) => ({ label, colour })) };
}

const LINE_COLOURS = [COLOUR.accent, COLOUR.ink, COLOUR.muted, COLOUR.grey];

/** One line a series, with a dot at each measured point; dashed lines have none: they are computed. */
export function lineFigure({ series, x, log, unit }: Extract<Figure, { kind: 'lines' }>): Drawn {
  const strokes = series.map(({ label, dashed }, i) => ({
    label,
    colour: LINE_COLOURS[Math.floor(i / 2) % LINE_COLOURS.length]!,
    dash: dashed ? [5, 3] : [],
    width: dashed ? 1.25 : 2,
  }));
  const all = series.flatMap((s) => s.points.map(([, y]) => y));
  const scale = log ? ({ type: 'log', nice: false } as const) : ({ zero: false, nice: true } as const);
  const values = [...new Set(series.flatMap((s) => s.points.map(([at]) => at)))].sort((a, b) => a - b);
  const encoding = {
    x: { field: 'x', type: 'quantitative', title: x, scale, axis: { values } },
    y: {
      field: 'y',
      type: 'quantitative',
      title: null,
      scale: { ...scale, domain: domain(all, log) },
      axis: { labels: false },
    },
  } as const;
  const layer: Layer[] = series.flatMap(({ points, dashed }, i): Layer[] => {
    const { colour: color, dash, width: strokeWidth } = strokes[i]!;
    const data = { values: points.map(([at, y]) => ({ x: at, y, text: formatNumber(y, unit) })) };
    const line: Layer = { data, mark: { type: 'line', color, strokeDash: dash, strokeWidth }, encoding };
    if (dashed) return [line];
    const dots: Layer = { data, mark: { type: 'circle', color, size: 40, opacity: 1 }, encoding };
    const text = { field: 'text' } as const;
    const label: Layer = { data, mark: { type: 'text', dy: -10, fontSize: 11 }, encoding: { ...encoding, text } };
    return [line, dots, label];
  });
  const padding = { top: 14, left: 24, right: 24, bottom: 42 };
  return { chart: { width: WIDTH - 20, height: 220, padding, layer }, keys: strokes };
}

/** Room around the values. */
function domain(values: readonly number[], log: boolean): [number, number] {
  const [low, high] = [Math.min(...values), Math.max(...values)];
  if (log) return [low / 1.25, high * 1.25];
  const room = (high - low || Math.abs(high) || 1) * 0.15;
  return [low - room, high + room];
}
