/** Room: report/charts. GPU memory by kind: over one training step, and the colours that kinds have everywhere. */
import type { TopLevelSpec } from 'vega-lite';
import type { Timeline } from '../schema.ts';
import { COLOUR } from './render.ts';
import { WIDTH } from './rows.ts';

/** Points of a timeline that are drawn. */
const POINTS = 120;

const GREYS = ['var(--kind-1)', 'var(--kind-2)', 'var(--kind-3)', 'var(--kind-4)', 'var(--kind-5)', 'var(--kind-6)'];

/** A colour for each kind, in the order given: activations in the accent colour, the rest in greys. */
export function kindColours(kinds: readonly string[]): Map<string, string> {
  let grey = 0;
  return new Map(kinds.map((kind) => [kind, kind === 'activations' ? COLOUR.soft : GREYS[grey++ % GREYS.length]!]));
}

/** Stacked areas over one training step. `top` in bytes is shared by charts to be compared. */
export function timelineChart(timeline: Timeline, colours: ReadonlyMap<string, string>, top: number): TopLevelSpec {
  const points = thinned(timeline.points);
  const last = points.at(-1)!.index;
  const values = points.flatMap(({ index, row }) =>
    row.map((size, order) => ({
      progress: last === 0 ? 0 : (index / last) * 100,
      size,
      order,
      colour: colours.get(timeline.labels[order]!) ?? COLOUR.grey,
    })),
  );
  const [unit, name] = top >= 2e9 ? [1e9, 'GB'] : top >= 2e6 ? [1e6, 'MB'] : [1e3, 'KB'];
  return {
    width: WIDTH - 56,
    height: 180,
    padding: { top: 8, left: 54, right: 6, bottom: 42 },
    data: { values },
    mark: { type: 'area', interpolate: 'step-after' },
    encoding: {
      x: {
        field: 'progress',
        type: 'quantitative',
        title: 'forward → backward → update',
        axis: { values: [0, 50, 100], labelExpr: "datum.label + '%'" },
        scale: { domain: [0, 100] },
      },
      y: {
        field: 'size',
        type: 'quantitative',
        stack: 'zero',
        title: null,
        scale: { domain: [0, top], nice: true },
        axis: { labelExpr: `format(datum.value / ${unit}, ',~g') + ' ${name}'` },
      },
      color: { field: 'colour', type: 'nominal', scale: null },
      order: { field: 'order' },
      detail: { field: 'order' },
    },
  };
}

/** The fullest point of each of `POINTS` stretches, so that the peak is never lost, and both ends. */
function thinned(points: Timeline['points']): { index: number; row: number[] }[] {
  const all = points.map((row, index) => ({ index, row, total: row.reduce((a, b) => a + b, 0) }));
  const size = Math.ceil(all.length / POINTS);
  const chosen = new Set([0, all.length - 1]);
  for (let start = 0; start < all.length; start += size)
    chosen.add(all.slice(start, start + size).reduce((best, p) => (p.total > best.total ? p : best)).index);
  return all.filter((p) => chosen.has(p.index));
}

/** The most bytes at any point. */
export function timelinePeak(timeline: Timeline): number {
  return Math.max(...timeline.points.map((row) => row.reduce((a, b) => a + b, 0)));
}
