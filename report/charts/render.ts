/**
 * Room: report/charts — pictures as SVG text.
 * This file: the common look, and rendering of Vega-Lite specifications without a canvas or a browser.
 * Colours are CSS variables of the page that embeds the picture, so one picture serves light and dark pages.
 */
import type { Config, TopLevelSpec } from 'vega-lite';
import { needPackages } from '../../engine/io/packages.ts';
import { Html } from '../markup.ts';

/** What draws the pictures: optional packages. */
export const CHART_PACKAGES: readonly string[] = ['vega', 'vega-lite'];

/** The page's colours; `html/style.ts` gives them values. */
export const COLOUR = {
  ink: 'var(--ink)',
  muted: 'var(--muted)',
  rule: 'var(--rule)',
  accent: 'var(--accent)',
  soft: 'var(--accent-soft)',
  grey: 'var(--grey)',
  cut: 'var(--cut)',
  paper: 'var(--paper)',
} as const;

/** One layer of a layered specification. */
export type Layer = Extract<TopLevelSpec, { layer: unknown }>['layer'][number];

const CONFIG: Config = {
  aria: false,
  background: 'none',
  font: 'sans-serif',
  view: { stroke: 'none' },
  axis: {
    domain: false,
    ticks: false,
    grid: true,
    gridColor: COLOUR.rule,
    labelColor: COLOUR.muted,
    labelFontSize: 12,
    labelPadding: 6,
    titleColor: COLOUR.muted,
    titleFontSize: 12,
    titleFontWeight: 'normal',
    titlePadding: 8,
  },
  axisY: { tickCount: 4 },
  axisX: { tickCount: 4, grid: false, labelFlush: true },
  text: { color: COLOUR.ink, fontSize: 12.5 },
};

/**
 * Renders a specification. `width` and `height` are those of the plot; what lies outside it must fit into `padding`, because
 * text cannot be measured without a canvas. Words for assistive technology belong to the caller.
 * @throws MissingPackageError where Vega is not installed
 */
export async function renderChart(spec: TopLevelSpec): Promise<Html> {
  needPackages(CHART_PACKAGES);
  // Loaded with the first picture: 390 files that other commands need not wait for.
  const [vega, { compile }] = await Promise.all([import('vega'), import('vega-lite')]);
  const { spec: compiled } = compile({ autosize: 'none', padding: 2, ...spec, config: CONFIG });
  const view = new vega.View(vega.parse(compiled), { renderer: 'none' });
  const svg = await view.toSVG();
  view.finalize();
  return new Html(svg);
}
