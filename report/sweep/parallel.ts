/** Room: report/sweep. Parallel coordinates: an upright axis for each option and one for the metric, a line for each trial. */
import type { TopLevelSpec } from 'vega-lite';
import { COLOUR, type Layer } from '../charts/render.ts';
import { valueOf, valueText, type Axis } from './options.ts';
import type { TrialConfig } from './schema.ts';

/** An upright axis: where values stand on it, from 0 at its foot to 1. */
export interface Upright {
  readonly title: string;
  readonly ticks: readonly { readonly at: number; readonly text: string }[];
}

export interface TrialLine {
  /** On each axis. */
  readonly places: readonly number[];
  /** From 0, faint, to 1. */
  readonly strength: number;
  readonly isBest: boolean;
}

/** Of all of the picture, in pixels. */
const PARALLEL_WIDTH = 1080;

const HEIGHT = 300;
const CHARACTER = 7;
const LONGEST = 22;

/** Below the foot of an axis: trials that do not set the option. */
const BELOW = -0.12;

/** Ticks of an axis whose numbers are too many to write each. */
const FEW_TICKS = 6;

/** An option's axis, and where a trial's value is on it. */
export function uprightOf(axis: Axis): Upright & { readonly placeOf: (config: TrialConfig) => number } {
  const placeOfValue = axis.isNumeric ? numericPlace(axis) : namedPlace(axis);
  const ticks = shownValues(axis).map((value) => ({ at: placeOfValue(value), text: valueText(value) }));
  const unset = axis.isSometimesUnset ? [{ at: BELOW, text: 'not set' }] : [];
  return {
    title: axis.name,
    ticks: [...ticks, ...unset],
    placeOf: (config) => {
      const value = valueOf(config, axis.name);
      return value === undefined ? BELOW : placeOfValue(value);
    },
  };
}

function shownValues({ values }: Axis): Axis['values'] {
  if (values.length <= FEW_TICKS) return values;
  const at = Array.from({ length: FEW_TICKS }, (_, i) => Math.round((i * (values.length - 1)) / (FEW_TICKS - 1)));
  return at.map((i) => values[i]!);
}

function numericPlace({ values, isLog }: Axis): (value: Axis['values'][number]) => number {
  const scaled = (value: unknown): number => (isLog ? Math.log(value as number) : (value as number));
  const [low, high] = [scaled(values[0]), scaled(values.at(-1))];
  return (value) => share(scaled(value), low, high);
}

function namedPlace({ values }: Axis): (value: Axis['values'][number]) => number {
  const places = new Map(values.map((value, i) => [JSON.stringify(value), share(i, 0, values.length - 1)]));
  return (value) => places.get(JSON.stringify(value)) ?? BELOW;
}

/** Where a value lies between two others; halfway where these are equal. */
export function share(value: number, low: number, high: number): number {
  return high > low ? (value - low) / (high - low) : 0.5;
}

export function parallelChart(axes: readonly Upright[], lines: readonly TrialLine[]): TopLevelSpec {
  const [left = 0, right = 0] = [axes[0]!, axes.at(-1)!].map(roomFor);
  const width = PARALLEL_WIDTH - left - right;
  const last = axes.length - 1;
  const at = positions(last, Math.min(0, ...axes.flatMap(({ ticks }) => ticks.map((tick) => tick.at))));
  const isCrowded = width / last < CHARACTER * Math.max(...axes.map(({ title }) => cut(title).length));
  return {
    width,
    height: HEIGHT,
    padding: { top: isCrowded ? 28 + RISE : 28, left, right, bottom: 10 },
    layer: [
      {
        data: { values: axes.map((_, axis) => ({ axis })) },
        mark: { type: 'rule', color: COLOUR.rule, strokeWidth: 1.5 },
        encoding: { x: at.x },
      },
      lineLayer(
        lines.filter(({ isBest }) => !isBest),
        at,
        { color: COLOUR.ink, strokeWidth: 1.1 },
      ),
      lineLayer(
        lines.filter(({ isBest }) => isBest),
        at,
        { color: COLOUR.accent, strokeWidth: 2.25 },
      ),
      ...tickLayers(axes.slice(0, last), 0, at, { align: 'right', dx: -7 }),
      ...tickLayers(axes.slice(last), last, at, { align: 'left', dx: 7 }),
      ...titleLayers(axes, at, isCrowded),
    ],
  };
}

/** Of every second title above the others, where they would run into each other. */
const RISE = 18;

type Positions = ReturnType<typeof positions>;

function positions(last: number, foot: number) {
  const type = 'quantitative' as const;
  return {
    x: { field: 'axis', type, axis: null, scale: { domain: [0, last], nice: false } },
    y: { field: 'y', type, axis: null, scale: { domain: [foot, 1], nice: false } },
  };
}

/** From which on they are drawn fainter, so that they can be told apart. */
const MANY_LINES = 100;

/** Faint lines below strong ones; the best are all as strong. */
function lineLayer(lines: readonly TrialLine[], at: Positions, look: { color: string; strokeWidth: number }): Layer {
  const ordered = [...lines].sort((a, b) => a.strength - b.strength);
  const most = 0.6 * Math.min(1, Math.sqrt(MANY_LINES / lines.length));
  const values = ordered.flatMap(({ places, strength, isBest }, trial) => {
    const opacity = isBest ? 1 : Number((0.08 + (most - 0.08) * strength).toFixed(2));
    return places.map((place, axis) => ({ trial, axis, y: Number(place.toFixed(4)), opacity }));
  });
  return {
    data: { values },
    mark: { type: 'line', ...look },
    encoding: {
      ...at,
      detail: { field: 'trial', type: 'nominal' },
      opacity: { field: 'opacity', type: 'quantitative', scale: null, legend: null },
    },
  };
}

/** Written twice, so that no line runs through it. @param from number of the first axis */
function tickLayers(
  axes: readonly Upright[],
  from: number,
  at: Positions,
  side: { align: 'left' | 'right'; dx: number },
): Layer[] {
  const ticks = axes.flatMap((upright, i) =>
    upright.ticks.map(({ at: y, text }) => ({ axis: from + i, y, text: cut(text) })),
  );
  const halo = { color: COLOUR.paper, stroke: COLOUR.paper, strokeWidth: 6 };
  return [halo, { color: COLOUR.muted }].map((look) => ({
    data: { values: ticks },
    mark: { type: 'text', fontSize: 12, ...side, ...look },
    encoding: { ...at, text: { field: 'text' } },
  }));
}

function titleLayers(axes: readonly Upright[], { x }: Positions, isCrowded: boolean): Layer[] {
  const titles = axes.map(({ title }, axis) => ({ axis, text: cut(title) }));
  return [0, 1].map((row) => ({
    data: { values: titles.filter(({ axis }) => (isCrowded ? axis % 2 : 0) === row) },
    mark: { type: 'text', baseline: 'bottom', dy: -12 - row * RISE, fontWeight: 600, fontSize: 12 },
    encoding: { x, y: { value: 0 }, text: { field: 'text' } },
  }));
}

/** Pixels beside an axis for its numbers, and half of its title. */
function roomFor({ title, ticks }: Upright): number {
  const longest = Math.max(0, ...ticks.map(({ text }) => cut(text).length));
  return Math.max(longest * CHARACTER + 12, (cut(title).length * CHARACTER) / 2 + 4);
}

function cut(text: string): string {
  return text.length > LONGEST ? `${text.slice(0, LONGEST - 1)}…` : text;
}
