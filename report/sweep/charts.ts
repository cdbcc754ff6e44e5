/** Room: report/sweep. Pictures of a sweep: a figure along an option, two figures with their front, a metric over rungs. */
import type { TopLevelSpec } from 'vega-lite';
import { COLOUR, type Layer } from '../charts/render.ts';
import type { Point } from './pareto.ts';
import type { FigureStyle } from './styles.ts';

/** One direction of a picture. Numbers are in its unit. */
export interface Scale {
  readonly domain: readonly [low: number, high: number];
  readonly title?: string;
  /** Written behind its numbers. */
  readonly unit?: string;
  readonly isLog?: boolean;
  /** Where its numbers stand; unset: wherever they fit. */
  readonly ticks?: readonly number[] | undefined;
}

export interface Scales {
  readonly x: Scale;
  readonly y: Scale;
}

const WIDTH = 320;
const HEIGHT = 200;
const PADDING = { top: 16, left: 50, right: 14, bottom: 24 };

function position(field: string, { domain, title, unit = '', isLog = false, ticks }: Scale) {
  return {
    field,
    type: 'quantitative' as const,
    title: title ?? null,
    scale: { type: isLog ? ('log' as const) : ('linear' as const), domain: [...domain], nice: false },
    axis: {
      ...(ticks && { values: [...ticks] }),
      ...((isLog || ticks) && { format: '.6~g' }),
      ...(unit !== '' && { labelExpr: `datum.label + '${unit}'` }),
    },
  };
}

/** Room at both ends of values, within what they can be. */
export function domainOf(
  values: readonly number[],
  [least, most]: readonly [number, number],
  isLog = false,
): [number, number] {
  let [low, high] = [Infinity, -Infinity];
  for (const value of values) [low, high] = [Math.min(low, value), Math.max(high, value)];
  if (isLog) {
    const room = (high / low) ** 0.06;
    return [low / room, high * room];
  }
  const room = high > low ? (high - low) * 0.08 : Math.abs(high) * 0.05 || 1;
  return [Math.max(least, low - room), Math.min(most, high + room)];
}

/** A figure's scale in the unit that its numbers are written in. */
export function scaleOf(values: readonly number[], style: FigureStyle): { scale: Scale; factor: number } {
  const [low, high] = domainOf(values, style.range);
  const { factor, unit } = style.axis(Math.abs(high));
  return { scale: { domain: [low * factor, high * factor], unit }, factor };
}

/** Points and lines of a picture, and values that are written along an axis. */
export const MOST = { points: 400, paths: 300, ticks: 8 } as const;

/** How a line is drawn, here and in the legend. */
export interface Look {
  readonly colour: string;
  readonly dash: readonly number[];
  readonly width: number;
}

export interface Series {
  readonly label: string;
  readonly look: Look;
  /** Unset for one that does not have the option: a rule across, at the one point's height. */
  readonly isRule: boolean;
  /** Whether its points belong on one line. */
  readonly isJoined: boolean;
  readonly points: readonly (Point & { readonly deviation?: number | undefined })[];
}

/** Means along an option, with ± the deviation. */
export function optionChart(series: readonly Series[], { x, y }: Scales): TopLevelSpec {
  const [atX, atY] = [position('x', x), position('y', y)];
  const layer = series.flatMap(({ look: { colour: color, dash, width }, isRule, isJoined, points }): Layer[] => {
    if (isRule)
      return [
        {
          data: { values: points.slice(0, 1) },
          mark: { type: 'rule', color, strokeDash: [...dash], strokeWidth: width },
          encoding: { y: atY },
        },
      ];
    const spread = points.map((one) => ({
      ...one,
      low: Math.max(y.domain[0], one.y - (one.deviation ?? 0)),
      high: Math.min(y.domain[1], one.y + (one.deviation ?? 0)),
    }));
    return [
      {
        data: { values: spread.filter(({ low, high }) => high > low) },
        mark: { type: 'rule', color, opacity: isJoined ? 0.45 : 0.2, strokeWidth: 1.5 },
        encoding: { x: atX, y: { ...atY, field: 'low' }, y2: { field: 'high' } },
      },
      ...(isJoined
        ? [
            {
              data: { values: [...points] },
              mark: { type: 'line', color, strokeDash: [...dash], strokeWidth: width },
              encoding: { x: atX, y: atY },
            } satisfies Layer,
          ]
        : []),
      {
        data: { values: [...points] },
        mark: { type: 'circle', color, size: 34, opacity: isJoined ? 1 : 0.5 },
        encoding: { x: atX, y: atY },
      },
    ];
  });
  return { width: WIDTH, height: HEIGHT, padding: PADDING, layer };
}

export interface FrontPoint extends Point {
  /** Written beside it. */
  readonly label: string;
}

/** All points in grey, the front's in the accent colour, joined by steps. @param step where a step turns */
export function frontChart(
  others: readonly Point[],
  front: readonly FrontPoint[],
  step: 'step-before' | 'step-after',
  { x, y }: Scales,
): TopLevelSpec {
  const encoding = { x: position('x', x), y: position('y', y) };
  const data = { values: [...front] };
  const color = COLOUR.accent;
  return {
    width: WIDTH,
    height: HEIGHT,
    padding: PADDING,
    layer: [
      {
        data: { values: others.map((point) => ({ x: point.x, y: point.y })) },
        mark: { type: 'circle', color: COLOUR.muted, size: 30, opacity: 0.45 },
        encoding,
      },
      { data, mark: { type: 'line', color, interpolate: step, strokeWidth: 1.5, opacity: 0.7 }, encoding },
      { data, mark: { type: 'circle', color, size: 54, opacity: 1 }, encoding },
      {
        data,
        mark: { type: 'text', color: COLOUR.ink, fontSize: 11, dy: -10 },
        encoding: { ...encoding, text: { field: 'label' } },
      },
    ],
  };
}

export interface RungLine {
  readonly points: readonly { readonly step: number; readonly value: number }[];
  readonly isPromoted: boolean;
}

/** A line for each trial, those that go on above the others. */
export function rungChart(lines: readonly RungLine[], width: number, { x, y }: Scales): TopLevelSpec {
  const encoding = {
    x: position('step', x),
    y: position('value', y),
    detail: { field: 'trial', type: 'nominal' },
  } as const;
  const layers = [false, true].flatMap((isPromoted): Layer[] => {
    const values = lines.flatMap((line, trial) =>
      line.isPromoted === isPromoted ? line.points.map((point) => ({ ...point, trial })) : [],
    );
    if (values.length === 0) return [];
    const [color, opacity] = isPromoted ? [COLOUR.accent, 0.75] : [COLOUR.muted, 0.4];
    return [
      { data: { values }, mark: { type: 'line', color, opacity, strokeWidth: 1.5 }, encoding },
      { data: { values }, mark: { type: 'circle', color, opacity, size: 22 }, encoding },
    ];
  });
  return { width, height: 260, padding: { ...PADDING, bottom: 42 }, layer: layers };
}
