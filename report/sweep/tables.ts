/** Room: report/sweep. Tables of the page: configurations, chosen ones on the test split, rungs, failures, all trials. */
import { dataTable, type Cell } from '../html/data-table.ts';
import { html, type Html } from '../markup.ts';
import { duration, whole } from '../numbers.ts';
import { METRICS } from '../schema.ts';
import { UNSET, valueOf, valueText, type Axis } from './options.ts';
import type { Rung } from './rungs.ts';
import type { FinalFile, TrialRecord } from './schema.ts';
import { headText, styleOf, type FigureStyle } from './styles.ts';
import { columnsOf } from './columns.ts';
import {
  adapterText,
  configurationKey,
  figureOf,
  grouped,
  rankedTrials,
  spreadOfFigure,
  spreadText,
  type AdapterGroup,
  type Configuration,
  type MetricChoice,
  type SweepSummary,
} from './summary.ts';

export type Links = ReadonlyMap<string, string>;

/** Rows of the tables: the best configurations, those and the ones on fronts, failures, trials. */
const MOST_ROWS = { best: 20, configurations: 50, failures: 100, trials: 500 } as const;

/** Ids that are longer are shown by their beginning. */
const LONGEST_ID = 16;

function table(caption: string, head: readonly Cell[], rows: readonly (readonly Cell[])[]): Html {
  return dataTable({ caption, head, rows });
}

/** The best, and those that are on a front. */
export function configurationTable(
  { configurations }: AdapterGroup,
  { axes, metric }: SweepSummary,
  onFronts: ReadonlySet<Configuration>,
): Html {
  const shown = configurations
    .filter((one) => one.place <= MOST_ROWS.best || onFronts.has(one))
    .slice(0, MOST_ROWS.configurations);
  const columns = columnsOf(shown, axes, metric);
  const order = metric?.isChosen ? 'best first' : 'in the order given';
  const count =
    shown.length < configurations.length
      ? `${whole(shown.length)} of ${whole(configurations.length)} configurations: the first ${MOST_ROWS.best} and those on a front`
      : `${whole(shown.length)} ${shown.length === 1 ? 'configuration' : 'configurations'}`;
  return table(
    `${count}, ${order}. Means over seeds, the metric ± its sample standard deviation.`,
    ['#', ...columns.map(({ head: [first, second] }) => html`${first}<br />${second}`)],
    shown.map((one) => [String(one.place), ...columns.map(({ text }) => text(one))]),
  );
}

/** The scores that chosen trials have on another split, beside the metric that they were chosen by. */
export function finalTable(final: FinalFile, { data, axes, metric, adapters }: SweepSummary, links: Links): Html {
  const trials = new Map(data.trials.map((trial) => [trial.id, trial]));
  const groups = [...grouped(final.trials, ({ id, device }) => groupKey(id, trials.get(id), adapterText(device)))];
  const found = new Set(final.trials.flatMap(({ metrics }) => Object.keys(metrics)));
  const scores = [...METRICS, 'loss'].filter((key) => found.has(key));
  const keys = scores.length > 0 ? scores : [...found];
  const isMany = adapters.length > 1 || new Set(final.trials.map(({ device }) => adapterText(device))).size > 1;
  const rows = groups.map(([, own]) => {
    const known = own.flatMap(({ id }) => trials.get(id) ?? []);
    return [
      html`${own.map(({ id }, i) => html`${i === 0 ? '' : ' '}${trialName(id, links)}`)}`,
      ...(isMany ? [adapterText(own[0]!.device)] : []),
      ...axes.map(({ name }) => valueText(known[0] && valueOf(known[0].config, name))),
      ...(metric ? [spreadText(spreadOfFigure(known, metric.key), metric.style)] : []),
      ...keys.map((key) => spreadText(spreadOfFigure(own, key), styleOf(key))),
    ];
  });
  const twoLines = (first: string, second: string): Html => html`${first}<br />${second}`;
  const head = [
    'trials',
    ...(isMany ? ['adapter'] : []),
    ...axes.map(({ name }) => name),
    ...(metric ? [twoLines(headText(metric.style), 'in the sweep')] : []),
    ...keys.map((key) => twoLines(headText(styleOf(key)), `on ${final.split}`)),
  ];
  return table(
    `Chosen trials in the sweep, and then on ${final.split}; means over seeds ± their deviation.`,
    head,
    rows,
  );
}

function groupKey(id: string, trial: TrialRecord | undefined, adapter: string): string {
  return JSON.stringify([adapter, trial ? configurationKey(trial.config) : id]);
}

export function rungTable(rungs: readonly Rung[], { style }: MetricChoice): Html {
  const head = ['rung', 'step', 'trials that came', 'went on', `best ${headText(style)}`, `median ${headText(style)}`];
  const rows = rungs.map((one) => [
    String(one.rung),
    ...[one.step, one.reached, one.promoted].map(whole),
    ...[one.best, one.median].map((value) => (value === undefined ? UNSET : style.text(value))),
  ]);
  return table('By rung, as the scheduler saw it.', head, rows);
}

/** Trials that failed, with what they said. */
export function failureTable({ data, axes }: SweepSummary, links: Links): Html {
  const failed = data.trials.filter(({ state }) => state === 'failed');
  const shown = failed.slice(0, MOST_ROWS.failures);
  const more = shown.length < failed.length ? `${whole(shown.length)} of ` : '';
  const said = (error: string | null): Html =>
    html`<pre style="margin: 0; min-width: 24rem; max-width: 44rem; max-height: 16rem; overflow: auto; white-space: pre-wrap; overflow-wrap: anywhere; text-align: left; padding: 0.4rem 0.7rem">${error ?? 'nothing said'}</pre>`; // prettier-ignore
  return table(
    `${more}${whole(failed.length)} ${failed.length === 1 ? 'trial' : 'trials'} that failed.`,
    ['trial', ...axes.map(({ name }) => name), 'seed', 'where', 'error'],
    shown.map((one) => [
      trialName(one.id, links),
      ...optionCells(one, axes),
      one.device ? `${one.device.host}, ${adapterText(one.device)}` : UNSET,
      said(one.error),
    ]),
  );
}

function optionCells({ config }: TrialRecord, axes: readonly Axis[]): string[] {
  return [...axes.map(({ name }) => name), 'seed'].map((name) => valueText(valueOf(config, name)));
}

/** Every trial, or the first by the metric. */
export function trialTable(summary: SweepSummary, links: Links): Html {
  const { axes, metric } = summary;
  const ranked = rankedTrials(summary);
  const shown = ranked.slice(0, MOST_ROWS.trials);
  const order = metric?.isChosen ? `by ${headText(metric.style)}` : 'in the order in which they came';
  const caption =
    shown.length < ranked.length
      ? `The first ${whole(shown.length)} of ${whole(ranked.length)} trials ${order}; trials.csv has all.`
      : `${whole(ranked.length)} ${ranked.length === 1 ? 'trial' : 'trials'} ${order}.`;
  const head = ['trial', 'state', ...axes.map(({ name }) => name), 'seed'];
  return table(
    caption,
    [...head, ...(metric ? [headText(metric.style)] : []), 'wall time', 'adapter'],
    shown.map((one) => [
      trialName(one.id, links),
      one.state,
      ...optionCells(one, axes),
      ...(metric ? [figureText(one, metric.key, metric.style)] : []),
      duration(one.seconds),
      one.device ? adapterText(one.device) : UNSET,
    ]),
  );
}

function figureText(trial: TrialRecord, key: string, style: FigureStyle): string {
  const value = figureOf(trial, key);
  return value === undefined ? UNSET : style.text(value);
}

/** A trial's id, with a link to its own page where there is one. */
function trialName(id: string, links: Links): Html {
  const short = id.length > LONGEST_ID ? `${id.slice(0, LONGEST_ID - 4)}…` : id;
  const link = links.get(id);
  return link === undefined ? html`<span title="${id}">${short}</span>` : html`<a href="${link}" title="${id}">${short}</a>`; // prettier-ignore
}

/** The best of a sweep in big numbers. */
export function tile(figure: string, name: string, detail: string): Html {
  return html`<div>
    <dt>${name}</dt>
    <dd class="figure">${figure}</dd>
    <dd class="detail">${detail}</dd>
  </div>`;
}
