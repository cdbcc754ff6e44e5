/** Room: report/sweep. The metric of trials at the scheduler's rungs. */
import { COLOUR } from '../charts/render.ts';
import { figure, legend } from '../html/parts.ts';
import type { Html } from '../markup.ts';
import { whole } from '../numbers.ts';
import { domainOf, MOST, rungChart, scaleOf } from './charts.ts';
import { needsLog } from './options.ts';
import type { RungPath } from './rungs.ts';
import { stride, type MetricChoice } from './summary.ts';

/** The metric of trials over the scheduler's rungs. */
export function rungFigure(paths: readonly RungPath[], { style }: MetricChoice): Promise<Html> {
  const pick = (isPromoted: boolean) => stride(paths.filter((path) => path.isPromoted === isPromoted), MOST.paths); // prettier-ignore
  const lines = [...pick(false), ...pick(true)];
  const { scale: y, factor } = scaleOf(lines.flatMap(({ points }) => points.map(({ value }) => value)), style); // prettier-ignore
  const steps = [...new Set(lines.flatMap(({ points }) => points.map(({ step }) => step)))].sort((a, b) => a - b);
  const isLog = needsLog(steps) || (steps.length > 2 && steps.at(-1)! / steps[0]! >= 8);
  const x = {
    domain: domainOf(steps, [0, Infinity], isLog),
    title: 'training step',
    isLog,
    ticks: steps.length <= MOST.ticks ? steps : undefined,
  };
  const scaled = lines.map((line) => ({
    ...line,
    points: line.points.map(({ step, value }) => ({ step, value: value * factor })),
  }));
  const going = paths.filter(({ isPromoted }) => isPromoted).length;
  const few = lines.length < paths.length ? ` ${whole(lines.length)} of ${whole(paths.length)} trials are drawn.` : '';
  const caption = `A line for each trial, a point at each rung that it came to.${few}`;
  const keys = [
    { label: 'goes on, or came to its end', colour: COLOUR.accent, dash: [], width: 2 },
    { label: 'stopped there', colour: COLOUR.muted, dash: [], width: 2 },
  ];
  const alt = `${style.name} of trials by training step: ${going} of ${paths.length} go on from their last rung`;
  const panels = [{ chart: rungChart(scaled, 640, { x, y }), alt }];
  return figure(`${style.name} at the rungs`, caption, panels, { legend: legend(keys), size: 'wide' });
}
