/** Room: report/sweep. The metric along each option of numbers: a line for each combination of the others. */
import { COLOUR } from '../charts/render.ts';
import { figure, legend, type Panel } from '../html/parts.ts';
import type { Html } from '../markup.ts';
import { domainOf, MOST, optionChart, scaleOf, type Look, type Series } from './charts.ts';
import { describeOptions, valueOf, valueText, type Axis } from './options.ts';
import { fullText, type FigureStyle } from './styles.ts';
import { grouped, stride, type AdapterGroup, type Configuration, type MetricChoice } from './summary.ts';

/** Combinations of other options that are drawn as lines. */
const MOST_LINES = 6;

const LOOKS: readonly Look[] = [
  { colour: COLOUR.accent, dash: [], width: 2 },
  { colour: COLOUR.ink, dash: [], width: 1.75 },
  { colour: COLOUR.cut, dash: [], width: 1.75 },
  { colour: COLOUR.soft, dash: [6, 3], width: 1.75 },
  { colour: COLOUR.muted, dash: [2, 2], width: 1.75 },
  { colour: COLOUR.cut, dash: [9, 3, 2, 3], width: 1.75 },
];

const POINTS: Look = { colour: COLOUR.muted, dash: [], width: 1.5 };

const RULES: readonly Look[] = [
  { colour: COLOUR.ink, dash: [6, 4], width: 1.25 },
  { colour: COLOUR.cut, dash: [6, 4], width: 1.25 },
  { colour: COLOUR.muted, dash: [2, 3], width: 1.25 },
  { colour: COLOUR.soft, dash: [2, 3], width: 1.25 },
];

/** The metric along each option of numbers; undefined where no option of numbers has two values. */
export async function alongOptions(
  { configurations }: AdapterGroup,
  axes: readonly Axis[],
  metric: MetricChoice,
): Promise<Html | undefined> {
  const measured = configurations.filter((one) => one.metric);
  const looks = new Map<string, Look>();
  const drawn = axes
    .filter(({ isNumeric, values }) => isNumeric && values.length > 1)
    .map((axis) => ({ axis, series: seriesOf(measured, axis, axes, looks) }))
    .filter(({ series }) => series.some(({ isRule }) => !isRule));
  if (drawn.length === 0) return undefined;
  const all = drawn.flatMap(({ series }) => series);
  const hasPoints = all.some(({ isJoined, isRule }) => !isJoined && !isRule);
  const parts = [
    'Means over seeds, upright rules ± their deviation.',
    all.some(({ isRule }) => isRule) ? 'Dashed across: configurations without the option.' : '',
    hasPoints ? `Where other options have more than ${MOST_LINES} combinations, each configuration is a point of its own.` : '', // prettier-ignore
  ];
  const named = new Map(all.filter(({ label }) => label !== '').map(({ label, look }) => [label, { label, ...look }]));
  return figure(
    `${metric.style.name} by option`,
    parts.filter((part) => part !== '').join(' '),
    drawn.map(({ axis, series }) => optionPanel(axis, series, metric.style)),
    { ...(named.size > 0 && { legend: legend([...named.values()]) }) },
  );
}

function seriesOf(
  configurations: readonly Configuration[],
  axis: Axis,
  axes: readonly Axis[],
  looks: Map<string, Look>,
): Series[] {
  const own = configurations.filter(({ config }) => valueOf(config, axis.name) !== undefined);
  const others = axes.filter((other) => other !== axis && tellsApart(own, axis, other)).map(({ name }) => name);
  const lines = [...grouped(own, ({ config }) => describeOptions(config, others))];
  const isJoined = lines.length <= MOST_LINES;
  const joined = isJoined ? lines : [['', stride(own, MOST.points)] as const];
  const series = joined.map(([label, members]) => ({
    label,
    look: isJoined ? lookOf(label, looks, LOOKS) : POINTS,
    isRule: false,
    isJoined,
    points: pointsOf(members, axis),
  }));
  const taken = new Set(series.map(({ label }) => label));
  const without = configurations.filter((one) => !own.includes(one));
  return [...series, ...rulesOf(without, axis, axes, taken, looks)];
}

/** Whether configurations with one value of an option have several of the other. */
function tellsApart(configurations: readonly Configuration[], axis: Axis, other: Axis): boolean {
  const text = (one: Configuration, { name }: Axis): string => JSON.stringify(valueOf(one.config, name) ?? null);
  const byValue = grouped(configurations, (one) => text(one, axis)).values();
  return [...byValue].some((own) => new Set(own.map((one) => text(one, other))).size > 1);
}

function pointsOf(configurations: readonly Configuration[], { name }: Axis): Series['points'] {
  return configurations
    .map(({ config, metric }) => ({ x: config[name] as number, y: metric!.mean, deviation: metric!.deviation }))
    .sort((a, b) => a.x - b.x);
}

/** Of configurations that do not have the option; none where they are too many to tell apart. */
function rulesOf(
  without: readonly Configuration[],
  { name }: Axis,
  axes: readonly Axis[],
  taken: ReadonlySet<string>,
  looks: Map<string, Look>,
): Series[] {
  if (without.length > RULES.length) return [];
  const varied = axes.filter(({ values }) => values.length > 1).map((axis) => axis.name);
  return without.map(({ config, metric }) => {
    const words = describeOptions(config, varied);
    const label = words === '' || taken.has(words) ? `${words} ${name} not set`.trim() : words;
    const look = lookOf(`rule ${label}`, looks, RULES);
    return { label, look, isRule: true, isJoined: false, points: [{ x: 0, y: metric!.mean }] };
  });
}

/** The same label has the same look in all panels. */
function lookOf(label: string, looks: Map<string, Look>, from: readonly Look[]): Look {
  const used = [...looks.values()].filter((look) => from.includes(look)).length;
  const look = looks.get(label) ?? from[used % from.length]!;
  looks.set(label, look);
  return look;
}

function optionPanel({ name, values, isLog }: Axis, series: readonly Series[], style: FigureStyle): Panel {
  const heights = series.flatMap(({ points }) =>
    points.flatMap(({ y, deviation = 0 }) => [y, y - deviation, y + deviation]),
  );
  const { scale: y, factor } = scaleOf(heights, style);
  const numbers = values as readonly number[];
  const x = {
    domain: domainOf(numbers, [-Infinity, Infinity], isLog),
    isLog,
    ticks: numbers.length <= MOST.ticks ? numbers : undefined,
  };
  const scaled = series.map((one) => ({
    ...one,
    points: one.points.map((point) => ({
      x: point.x,
      y: point.y * factor,
      deviation: (point.deviation ?? 0) * factor,
    })),
  }));
  return {
    title: `${style.name} by ${name}`,
    chart: optionChart(scaled, { x, y }),
    alt: `${style.name} by ${name}: ${series.slice(0, MOST_LINES * 2).map((one) => seriesWords(one, style)).join('; ')}`, // prettier-ignore
  };
}

function seriesWords({ label, isRule, points }: Series, style: FigureStyle): string {
  const values = stride(points, 12).map(({ x, y }) => `${isRule ? '' : `${valueText(x)}: `}${fullText(style, y)}`);
  return `${label} ${values.join(', ')}`.trim();
}
