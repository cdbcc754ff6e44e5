/** Room: report/html. What the subject did against the reference, in big numbers. */
import type { MethodSummary, TaskSummary } from '../aggregate.ts';
import { breakEvenText, CAUTION, scoreRatio, speedRatio, timeRatio } from '../columns.ts';
import { METRIC_STYLES, metricsOf } from '../metrics.ts';
import { bytes, change, duration, measure, percent, short } from '../numbers.ts';
import type { Metric } from '../schema.ts';
import { html, type Html } from '../markup.ts';

interface Tile {
  readonly figure: string | undefined;
  readonly name: string;
  readonly detail: string;
}

/** Nothing where subject or reference is missing. */
export function headline({ subject, reference, task: { evalExamples } }: TaskSummary): Html | undefined {
  if (!subject?.relative || !reference) return undefined;
  const tiles = [
    ...sizes(subject, reference),
    ...speeds(subject, reference, evalExamples),
    {
      figure: change(subject.relative.trainPeak),
      name: 'peak training memory',
      detail: fall(bytes(reference.trainPeak), bytes(subject.trainPeak)),
    },
    ...metricsOf([subject]).map((metric) => scoreTile(metric, subject, reference)),
  ];
  return html`<dl class="headline">${tiles.filter(({ figure }) => figure !== undefined).map(tile)}</dl>`;
}

function tile({ figure = '', name, detail }: Tile): Html {
  const [value = '', mark] = figure.split(` ${CAUTION}`);
  return html`<div>
    <dt>${name}</dt>
    <dd class="figure">${value}${mark === undefined ? undefined : html`<small>${CAUTION}</small>`}</dd>
    <dd class="detail">${detail}</dd>
  </div>`;
}

function fall(from: string, to: string): string {
  return `${from} → ${to}`;
}

function sizes(
  { runs, blockShare, blockLeft, trainableShare, trainableLeft }: MethodSummary,
  to: MethodSummary,
): Tile[] {
  return [
    {
      figure: percent(1 - blockShare),
      name: 'of block parameters pruned',
      detail: fall(short(runs[0]!.foundation.blockTotal), short(blockLeft)),
    },
    {
      figure: percent(trainableShare),
      name: 'of PEFT parameters left',
      detail: fall(short(to.trainableLeft), short(trainableLeft)),
    },
  ];
}

function speeds(subject: MethodSummary, reference: MethodSummary, examples: number): Tile[] {
  const { few } = subject.relative!;
  const steps = Math.min(...[subject, reference].flatMap((m) => m.steps.train ?? []));
  const evens = breakEvenText(subject);
  const wall = fall(duration(reference.seconds.total), duration(subject.seconds.total));
  const only = (isFew: boolean, what: string): string => (isFew ? `, on ${what} only` : '');
  return [
    {
      figure: speedRatio(subject, 'trainSpeed'),
      name: 'fine-tuning speed',
      detail: `${measure(subject.trainSpeed.mean)} tokens/s after pruning${only(few.steps, `${steps} timed steps`)}`,
    },
    {
      figure: timeRatio(subject),
      name: 'wall time, estimation included',
      detail:
        evens === undefined
          ? wall
          : `${wall}; break-even ${subject.relative!.breakEven === Infinity ? evens : `at ${evens} steps`}`,
    },
    {
      figure: speedRatio(subject, 'inferSpeed'),
      name: 'inference speed',
      detail: `${measure(subject.inferSpeed.mean)} examples/s${only(few.examples, `${examples} examples`)}`,
    },
  ];
}

function scoreTile(metric: Metric, subject: MethodSummary, reference: MethodSummary): Tile {
  const { name, text, unit } = METRIC_STYLES[metric];
  const against = scoreRatio(subject, metric);
  return {
    figure: against === undefined ? undefined : text(subject[metric]!.mean) + unit,
    name: name.toLowerCase(),
    detail: `${against} against ${reference.label}`,
  };
}
