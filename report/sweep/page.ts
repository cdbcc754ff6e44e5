/** Room: report/sweep. The page of a sweep. */
import { htmlDocument, reproduction } from '../html/document.ts';
import { html, type Html } from '../markup.ts';
import { duration, whole } from '../numbers.ts';
import { frontFigure, frontsOf } from './front-figure.ts';
import { alongOptions } from './option-figure.ts';
import { describeOptions, SEED, UNSET } from './options.ts';
import { parallelFigures } from './parallel-figure.ts';
import { rungFigure } from './rung-figure.ts';
import { rungPaths, rungsOf } from './rungs.ts';
import type { SchedulerOptions, SweepData } from './schema.ts';
import { fullText, midSentence } from './styles.ts';
import { adapterText, bestConfiguration, summariseSweep, type AdapterGroup, type SweepSummary } from './summary.ts';
import { configurationTable, failureTable, finalTable, rungTable, tile, trialTable, type Links } from './tables.ts';

/**
 * The sweep as one self-contained HTML document.
 * @param links addresses of trials' own pages by their ids, relative to this page
 */
export async function sweepPage(data: SweepData, links: Links): Promise<string> {
  const summary = summariseSweep(data);
  const sections: Html[] = [];
  for (const [i, group] of summary.adapters.entries()) sections.push(await adapterSection(summary, group, i));
  const { sweep } = data;
  return htmlDocument({
    title: `Sweep ${sweep.name}`,
    kicker: 'Hyper-parameter sweep',
    header: html`${introduction(summary)} ${headline(summary)} ${contents(summary)}`,
    main: [
      ...(data.trials.length === 0 ? [html`<p>No trial has come to its end yet.</p>`] : []),
      ...finalSection(summary, links),
      ...sections,
      ...(await schedulerSection(summary)),
      ...(await trialSection(summary, links)),
      ...failureSection(summary, links),
    ],
    footer: footer(summary),
  });
}

function introduction(summary: SweepSummary): Html {
  const { data, metric, axes, adapters } = summary;
  const { sweep } = data;
  const over = axes.length === 0 ? '' : ` over ${list(axes.map(({ name }) => name))}`;
  const seeds = sweep.axes.includes(SEED) ? ', with several seeds' : '';
  const choice = metric?.isChosen
    ? `Ranked by ${midSentence(metric.style.name)}: the ${metric.direction === 'maximize' ? 'higher' : 'lower'} the better.`
    : 'It names no metric, so that nothing is chosen: configurations stand in the order given.';
  const where = adapters.map(({ adapter }) => adapter).join(', ');
  return html`<p class="lead">
      ${whole(sweep.trials)} ${sweep.trials === 1 ? 'trial' : 'trials'} of “${sweep.command}”${over}${seeds}. ${choice}
    </p>
    <p class="facts">
      ${countsText(summary)} · ${sweep.model}${where === '' ? '' : ` · ${where}`} ·
      <time>${sweep.date.slice(0, 10)}</time>
    </p>`;
}

/** `50 done, 2 stopped early, 1 failed, 1 not finished yet`. */
function countsText({ counts }: SweepSummary): string {
  const parts: [number, string][] = [
    [counts.stopped, 'stopped early'],
    [counts.failed, 'failed'],
    [counts.unfinished, 'not finished yet'],
  ];
  return [`${whole(counts.done)} done`, ...parts.filter(([n]) => n > 0).map(([n, what]) => `${whole(n)} ${what}`)].join(', '); // prettier-ignore
}

function headline(summary: SweepSummary): Html | undefined {
  const best = bestConfiguration(summary);
  if (!best?.metric || !summary.metric) return undefined;
  const { style } = summary.metric;
  const { deviation } = best.metric;
  const seeds = best.trials.length === 1 ? 'one seed' : `mean of ${best.trials.length} seeds`;
  const spread = deviation === undefined ? '' : ` ± ${style.text(deviation)}`;
  const names = summary.axes.filter(({ values }) => values.length > 1).map(({ name }) => name);
  const options = describeOptions(best.config, names);
  const chosen = options === '' ? seeds : `${options}; ${seeds}`;
  const where = summary.adapters.length > 1 ? `, on ${best.adapter}` : '';
  const seconds = summary.data.trials.reduce((sum, one) => sum + one.seconds, 0);
  return html`<dl class="headline">
    ${tile(fullText(style, best.metric.mean), `best ${midSentence(style.name)}`, `${chosen}${spread}${where}`)}
    ${tile(whole(summary.counts.done), 'trials done', countsText(summary))}
    ${tile(duration(seconds), 'wall time of all trials', 'the sum over trials')}
  </dl>`;
}

const anchor = (i: number): string => `adapter-${i + 1}`;

function contents({ data, adapters, counts }: SweepSummary): Html {
  const isAlone = adapters.length === 1;
  const links = [
    ...(data.final ? [['final', 'Chosen trials'] as const] : []),
    ...adapters.map(({ adapter }, i) => [anchor(i), isAlone ? 'Configurations' : adapter] as const),
    ...(data.decisions.length > 0 ? [['rungs', 'Stopped early'] as const] : []),
    ...(data.trials.length > 0 ? [['trials', 'Trials'] as const] : []),
    ...(counts.failed > 0 ? [['failures', 'Failures'] as const] : []),
    ['reproduce', 'Reproduce'] as const,
  ];
  return html`<nav aria-label="Sections">${links.map(([id, text]) => html`<a href="#${id}">${text}</a>`)}</nav>`;
}

/** What was measured on one adapter: its figures stand beside those of no other. */
async function adapterSection(summary: SweepSummary, group: AdapterGroup, i: number): Promise<Html> {
  const { metric, axes, adapters } = summary;
  const fronts = metric ? frontsOf(group, metric) : [];
  const onFronts = new Set(fronts.flatMap(({ members }) => members));
  const pictures = metric ? [await alongOptions(group, axes, metric), await frontFigure(fronts, metric)] : [];
  return html`<section id="${anchor(i)}">
    <h2>${adapters.length === 1 ? 'Configurations' : `Configurations on ${group.adapter}`}</h2>
    ${configurationTable(group, summary, onFronts)} ${pictures.flatMap((picture) => picture ?? [])}
  </section>`;
}

function finalSection(summary: SweepSummary, links: Links): Html[] {
  const { final } = summary.data;
  if (!final) return [];
  return [
    html`<section id="final">
      <h2>Chosen trials on ${final.split}</h2>
      <p>How they were chosen: ${final.chosen}</p>
      ${finalTable(final, summary, links)}
    </section>`,
  ];
}

async function schedulerSection({ data, metric }: SweepSummary): Promise<Html[]> {
  if (data.decisions.length === 0 || !metric) return [];
  const rungs = rungsOf(data.decisions, metric.direction);
  return [
    html`<section id="rungs">
      <h2>Stopped early</h2>
      <p>${schedulerText(data.sweep.scheduler)}</p>
      ${rungTable(rungs, metric)} ${await rungFigure(rungPaths(data), metric)}
    </section>`,
  ];
}

function schedulerText(scheduler: SchedulerOptions | undefined): string {
  if (!scheduler) return 'Trials were compared while they trained.';
  return scheduler.name === 'asha'
    ? `ASHA: from step ${whole(scheduler.minSteps)} on, at rungs that are ${scheduler.reductionFactor} times as far each, the best of ${scheduler.reductionFactor} trials goes on.`
    : `Median stopping: every ${whole(scheduler.every)} steps, a trial that is behind the median of at least ${whole(scheduler.minTrials)} trials stops.`;
}

async function trialSection(summary: SweepSummary, links: Links): Promise<Html[]> {
  if (summary.data.trials.length === 0) return [];
  return [
    html`<section id="trials">
      <h2>Trials</h2>
      ${await parallelFigures(summary)}
      <h3>All trials</h3>
      ${trialTable(summary, links)}
    </section>`,
  ];
}

function failureSection(summary: SweepSummary, links: Links): Html[] {
  if (summary.counts.failed === 0) return [];
  return [
    html`<section id="failures">
      <h2>Failures</h2>
      ${failureTable(summary, links)}
    </section>`,
  ];
}

function footer(summary: SweepSummary): Html {
  const { sweep, trials, final } = summary.data;
  const adapters = new Set(trials.flatMap(({ device }) => (device ? adapterText(device) : [])));
  const hosts = new Set(trials.flatMap(({ device }) => device?.host ?? []));
  const facts: [string, string | undefined][] = [
    ['Adapters', adapters.size > 0 ? [...adapters].join('; ') : undefined],
    ['Hosts', hosts.size > 1 ? `${hosts.size}` : undefined],
    ['Model', sweep.model],
    ['Fingerprint', sweep.fingerprint],
    ['Sources', sweep.sources],
    ['Sweep', sweep.id],
    ['Queue', sweep.queue],
    ['Versions', Object.entries(sweep.versions).map(([name, version]) => `${name} ${version}`).join(', ')], // prettier-ignore
    ['Date', sweep.date.slice(0, 10)],
  ];
  const known = facts.flatMap(([name, value]): [string, string][] => (value === undefined ? [] : [[name, value]]));
  return reproduction(sweep.commandLine, known, notes(summary, final !== undefined));
}

function notes({ metric, adapters, data }: SweepSummary, hasFinal: boolean): string[] {
  const chosen = hasFinal
    ? 'The best of many configurations looks a little better in the sweep than it is; the figures of the other split do not have that.'
    : 'The best of many configurations looks a little better than it is: it was chosen by the very figures that are shown.';
  return [
    'A configuration is all trials on one adapter that are equal but for the seed. ± is the sample standard deviation over seeds; trials that failed or were stopped are in no mean.',
    ...(metric?.isChosen ? [chosen] : []),
    ...(adapters.length > 1
      ? ['Figures of different adapters are never averaged; speeds and memory stand beside those of the same adapter alone.']
      : []), // prettier-ignore
    ...(data.trials.some(({ device }) => device?.software)
      ? ['Software adapters run on a CPU: read ratios rather than absolute speeds.']
      : []), // prettier-ignore
    'Blocks left, PEFT left: the share of the parameters of the base’s blocks, and of the PEFT modules, that pruning left. Peaks are bytes of GPU buffers; 1 MB = 1,000,000 bytes.',
    `${UNSET}: the option is not set, so that it has its default or means nothing there; or the figure was not measured.`,
    'trials.csv and trials.json, beside this page, have all options and figures of all trials.',
  ];
}

/** `a`, `a and b`, `a, b and c`. */
function list(items: readonly string[]): string {
  return items.length === 1 ? items[0]! : `${items.slice(0, -1).join(', ')} and ${items.at(-1)}`;
}
