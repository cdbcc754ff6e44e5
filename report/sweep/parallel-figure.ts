/** Room: report/sweep. All trials at once: which values of options go with which metric. */
import { renderChart } from '../charts/render.ts';
import { html, type Html } from '../markup.ts';
import { whole } from '../numbers.ts';
import type { Axis } from './options.ts';
import { parallelChart, share, uprightOf, type TrialLine, type Upright } from './parallel.ts';
import type { TrialRecord } from './schema.ts';
import { fullText, headText, midSentence } from './styles.ts';
import {
  adapterText,
  bestConfiguration,
  figureOf,
  grouped,
  sortedBy,
  stride,
  type MetricChoice,
  type SweepSummary,
} from './summary.ts';

/** Lines of a picture: the best, and a sample of the others. */
const MOST = { best: 300, others: 300 } as const;

const MOST_AXES = 9;

const METRIC_TICKS = 5;

/** A picture of all trials that are done; one for each adapter where the metric is the machine's. */
export async function parallelFigures(summary: SweepSummary): Promise<Html[]> {
  const { metric, data } = summary;
  const axes = summary.axes.filter(({ values, isSometimesUnset }) => values.length + Number(isSometimesUnset) > 1);
  if (!metric || axes.length === 0) return [];
  const measured = data.trials.filter((one) => one.state === 'done' && figureOf(one, metric.key) !== undefined);
  const groups = metric.style.isOfMachine
    ? [...grouped(measured, ({ device }) => adapterText(device))]
    : [['', measured] as const];
  const best = new Set(bestConfiguration(summary)?.trials.map(({ id }) => id));
  return Promise.all(
    groups
      .filter(([, trials]) => trials.length > 1)
      .map(([adapter, trials]) => parallelFigure(axes, trials, metric, best, adapter)),
  );
}

async function parallelFigure(
  axes: readonly Axis[],
  trials: readonly TrialRecord[],
  metric: MetricChoice,
  best: ReadonlySet<string>,
  adapter: string,
): Promise<Html> {
  const ranked = sortedBy(trials, (trial) => figureOf(trial, metric.key), metric.direction);
  const drawn = [...ranked.slice(0, MOST.best), ...stride(ranked.slice(MOST.best), MOST.others)];
  const shownAxes = axes.slice(0, MOST_AXES);
  const options = shownAxes.map(uprightOf);
  const end = metricAxis(ranked, metric);
  const lines = drawn.map((trial, i): TrialLine => ({
    places: [...options.map(({ placeOf }) => placeOf(trial.config)), end.placeOf(figureOf(trial, metric.key)!)],
    strength: share(drawn.length - 1 - i, 0, drawn.length - 1),
    isBest: best.has(trial.id),
  }));
  const chart = await renderChart(parallelChart([...options, end], lines));
  const name = midSentence(metric.style.name);
  const parts = [
    `A line for each trial that is done, from its options to its ${name}; the better it is, the higher its end and the stronger the line.`,
    best.size > 0 ? 'Orange: the seeds of the best configuration.' : '',
    drawn.length < trials.length ? `Drawn: the best ${whole(MOST.best)} of ${whole(trials.length)} trials, and ${whole(MOST.others)} of the others, evenly spaced by rank.` : '', // prettier-ignore
    axes.length > MOST_AXES ? `The first ${MOST_AXES} of ${axes.length} options.` : '',
  ];
  const [first, last] = [ranked[0]!, ranked.at(-1)!].map((one) => fullText(metric.style, figureOf(one, metric.key)!));
  const alt = `${trials.length} trials by ${shownAxes.map((axis) => axis.name).join(', ')} and ${name}, from ${first!} at best to ${last!}`; // prettier-ignore
  const title = `Options and ${name}${adapter === '' ? '' : `, ${adapter}`}`;
  return wideFigure(title, parts.filter((part) => part !== '').join(' '), chart, alt);
}

/** The last axis; what is better stands higher. */
function metricAxis(
  ranked: readonly TrialRecord[],
  { key, style }: MetricChoice,
): Upright & { readonly placeOf: (value: number) => number } {
  const [high, low] = [figureOf(ranked[0]!, key)!, figureOf(ranked.at(-1)!, key)!];
  const placeOf = (value: number): number => (high === low ? 0.5 : (value - low) / (high - low));
  const count = high === low ? 1 : METRIC_TICKS;
  const ticks = Array.from({ length: count }, (_, i) => low + ((high - low) * i) / Math.max(1, count - 1));
  return { title: headText(style), placeOf, ticks: ticks.map((value) => ({ at: placeOf(value), text: style.text(value) })) }; // prettier-ignore
}

/** A figure as wide as the page, which narrow windows scroll. */
function wideFigure(title: string, caption: string, drawn: Html, alt: string): Html {
  return html`<h3>${title}</h3>
    <figure>
      <figcaption>${caption}</figcaption>
      <div class="scroll" role="region" aria-label="${title}" tabindex="0">
        <div class="picture" role="img" aria-label="${alt}" style="min-width: 44rem">${drawn}</div>
      </div>
    </figure>`;
}
