/** Room: report/sweep. The metric against what it costs, and the configurations that no other beats on both. */
import { figure, type Panel } from '../html/parts.ts';
import type { Html } from '../markup.ts';
import { frontChart, MOST, scaleOf } from './charts.ts';
import { paretoFront } from './pareto.ts';
import { fullText, midSentence, styleOf, type Cost, type FigureStyle } from './styles.ts';
import { spreadOfFigure, stride, type AdapterGroup, type Configuration, type MetricChoice } from './summary.ts';

const FRONT_COSTS: readonly Cost[] = [
  'trainTokensPerSecond',
  'inferExamplesPerSecond',
  'trainPeakBytes',
  'blockShare',
  'trainableShare',
];

/** Configurations that are on a front, and its picture. */
interface Front {
  readonly members: readonly Configuration[];
  readonly panel: Panel;
  /** Whether some of the other points are left out. */
  readonly isSampled: boolean;
}

/** Fronts of the metric against what it costs, for costs that differ. */
export function frontsOf({ configurations }: AdapterGroup, metric: MetricChoice): Front[] {
  return FRONT_COSTS.filter((key) => key !== metric.key).flatMap((key) => {
    const points = configurations.flatMap((configuration) => {
      const cost = spreadOfFigure(configuration.trials, key);
      return cost && configuration.metric ? { configuration, x: cost.mean, y: configuration.metric.mean } : [];
    });
    return new Set(points.map(({ x }) => x)).size > 1 ? frontOf(points, styleOf(key), metric) : [];
  });
}

interface ConfigurationPoint {
  readonly configuration: Configuration;
  readonly x: number;
  readonly y: number;
}

function frontOf(points: readonly ConfigurationPoint[], cost: FigureStyle, { style, direction }: MetricChoice): Front {
  const front = paretoFront(points, cost.direction, direction);
  const isOn = new Set(front);
  const others = stride(points.filter((point) => !isOn.has(point)), MOST.points); // prettier-ignore
  const { scale: x, factor: byX } = scaleOf(points.map((point) => point.x), cost); // prettier-ignore
  const { scale: y, factor: byY } = scaleOf(points.map((point) => point.y), style); // prettier-ignore
  const scaled = (point: ConfigurationPoint) => ({ x: point.x * byX, y: point.y * byY });
  const labelled = new Set(stride(front, 12));
  const shown = stride(front, MOST.points).map((point) => ({
    ...scaled(point),
    label: labelled.has(point) ? String(point.configuration.place) : '',
  }));
  const title = cost.unit === '' ? cost.name : `${cost.name}, ${cost.unit}`;
  const words = stride(front, 12).map((point) => `${point.configuration.place} (${fullText(style, point.y)} at ${fullText(cost, point.x)})`); // prettier-ignore
  return {
    members: front.map(({ configuration }) => configuration),
    isSampled: points.length - front.length > others.length,
    panel: {
      title,
      chart: frontChart(others.map(scaled), shown, cost.direction === 'maximize' ? 'step-before' : 'step-after', {
        x,
        y,
      }),
      alt: `${style.name} against ${midSentence(title)}; on the front: ${words.join(', ')}`,
    },
  };
}

/** @returns undefined where nothing was measured beside the metric */
export async function frontFigure(fronts: readonly Front[], metric: MetricChoice): Promise<Html | undefined> {
  if (fronts.length === 0) return undefined;
  const few = fronts.some(({ isSampled }) => isSampled)
    ? ` Of the others ${MOST.points} are drawn, evenly spaced.`
    : '';
  const caption = `Each point is a configuration, means over seeds. No other configuration is at least as good on both figures and better on one than those on the orange front; their numbers are those of the table.${few}`;
  return figure(
    `${metric.style.name} against what it costs`,
    caption,
    fronts.map(({ panel }) => panel),
  );
}
