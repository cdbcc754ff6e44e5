/** Room: report/html. The figure of an estimation that chose its own end: mask distances over its steps. */
import type { TaskSummary } from '../aggregate.ts';
import { highestDistance, PART_LINES, stabilityChart } from '../charts/stability.ts';
import type { Html } from '../markup.ts';
import { percent } from '../numbers.ts';
import type { StabilityRecord } from '../schema.ts';
import { figure, legend, type Panel } from './parts.ts';

/** A panel a seed; undefined where the estimations had a fixed number of steps. */
export async function stabilityFigure(summary: TaskSummary): Promise<Html | undefined> {
  const runs = (summary.subject ?? summary.methods.find((m) => m.runs.some((run) => run.stability)))?.runs ?? [];
  const found = runs.flatMap(({ seed, stability }) => (stability ? [{ seed, stability }] : []));
  const [first] = found;
  if (!first) return undefined;
  const last = Math.max(...found.map(({ stability }) => stability.maxSteps));
  const top = Math.max(
    ...found.map(({ stability }) => Math.max(1.1 * highestDistance(stability), 1.5 * stability.threshold)),
  );
  const panels = found.map(({ seed, stability }): Panel => {
    const chart = stabilityChart(stability, last, top);
    return { title: `Seed ${seed}`, chart, alt: `Seed ${seed}: ${words(stability)}` };
  });
  return figure('When what stays was stable', caption(first.stability), panels, {
    legend: legend(PART_LINES),
    size: 'wide',
  });
}

function caption({ window, threshold, queue, maxSteps }: StabilityRecord): string {
  return (
    `Part of the heads, neurons, modules and ranks whose fate changed from one window of ${window} steps to the next (mask distance). ` +
    `The estimation ends when the latest ${queue} distances of each lie below ${threshold}, at the latest after ${maxSteps} steps.`
  );
}

function words({ steps, reached, distances }: StabilityRecord): string {
  const end = `${reached ? 'stable' : 'not stable'} after ${steps} steps`;
  const latest = distances.at(-1);
  if (!latest) return end;
  return `${end}; last distances: ${PART_LINES.map(({ label }) => `${label} ${percent(latest[label])}`).join(', ')}`;
}
