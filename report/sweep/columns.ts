/** Room: report/sweep. The columns of a table of configurations, for the page and for terminals. */
import { mean } from 'simple-statistics';
import { duration } from '../numbers.ts';
import { UNSET, valueOf, valueText, type Axis } from './options.ts';
import { midSentence, styleOf, type Cost } from './styles.ts';
import { figureOf, spreadOfFigure, spreadText, type Configuration, type MetricChoice } from './summary.ts';

const COSTS = [
  { key: 'trainTokensPerSecond', head: ['training', 'tokens/s'] },
  { key: 'inferExamplesPerSecond', head: ['inference', 'examples/s'] },
  { key: 'trainPeakBytes', head: ['training', 'peak'] },
  { key: 'blockShare', head: ['blocks', 'left'] },
  { key: 'trainableShare', head: ['PEFT', 'left'] },
] as const satisfies readonly { key: Cost; head: readonly [string, string] }[];

/** A column of the table of configurations. */
export interface Column {
  /** Two lines. */
  readonly head: readonly [string, string];
  readonly text: (configuration: Configuration) => string;
}

/** Options, then the metric, then what it costs, where any configuration has the figure. */
export function columnsOf(
  configurations: readonly Configuration[],
  axes: readonly Axis[],
  metric: MetricChoice | undefined,
): Column[] {
  const costs = COSTS.filter(
    ({ key }) =>
      key !== metric?.key &&
      configurations.some(({ trials }) => trials.some((one) => figureOf(one, key) !== undefined)),
  );
  return [
    ...axes.map(({ name }): Column => ({ head: [name, ''], text: ({ config }) => valueText(valueOf(config, name)) })),
    ...(metric ? [metricColumn(metric)] : []),
    { head: ['seeds', ''], text: seedsText },
    ...costs.map(({ key, head }): Column => ({ head, text: ({ trials }) => meanText(trials, key) })),
    { head: ['wall', 'time'], text: ({ trials }) => duration(mean(trials.map(({ seconds }) => seconds))) },
  ];
}

function metricColumn({ style }: MetricChoice): Column {
  return { head: [midSentence(style.name), style.unit], text: ({ metric }) => spreadText(metric, style) };
}

/** `3`, `2, 1 failed`. */
function seedsText({ trials, failed, stopped }: Configuration): string {
  const lost = [failed > 0 ? `${failed} failed` : '', stopped > 0 ? `${stopped} stopped` : ''];
  return [String(trials.length), ...lost.filter((text) => text !== '')].join(', ');
}

function meanText(trials: Configuration['trials'], key: string): string {
  const spread = spreadOfFigure(trials, key);
  return spread ? styleOf(key).text(spread.mean) : UNSET;
}
