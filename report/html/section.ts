/** Room: report/html. One task's section: headline, table, and every picture its data allows. */
import type { MethodSummary, TaskSummary } from '../aggregate.ts';
import { FATE_COLOURS, moduleChart, place, rankChart } from '../charts/importance.ts';
import { lossChart, strokes } from '../charts/loss.ts';
import { kindColours, timelineChart, timelinePeak } from '../charts/memory.ts';
import { COLOUR } from '../charts/render.ts';
import { barChart } from '../charts/rows.ts';
import { scoreChart } from '../charts/scores.ts';
import { speedRatio, timeRatio } from '../columns.ts';
import { fates, type Fate } from '../fate.ts';
import { baselineScore, METRIC_STYLES, metricsOf } from '../metrics.ts';
import { bytes, change, duration, measure, percent } from '../numbers.ts';
import type { Metric, Plan } from '../schema.ts';
import { html, type Html } from '../markup.ts';
import { figure, legend, type Panel } from './parts.ts';
import { headline } from './headline.ts';
import { stabilityFigure } from './stability.ts';
import { comparisonTables, planMap } from './tables.ts';
import { gradientFigure, taskScores } from './tasks.ts';

/** @param id anchor of the section, unique on the page */
export async function taskSection(summary: TaskSummary, id: string): Promise<Html> {
  const figures = [scores, costs, memory, losses, stabilityFigure, gradientFigure];
  const pictures = await Promise.all(figures.map((draw) => draw(summary)));
  const plans = (summary.subject?.runs ?? []).flatMap((run) => run.plan ?? []);
  return html`<section id="${id}">
    <h2>${summary.task.name}</h2>
    ${headline(summary)} ${comparisonTables(summary)} ${taskScores(summary)}
    ${pictures.flatMap((picture) => picture ?? [])} ${plans.length > 0 ? await kept(plans) : undefined}
  </section>`;
}

function scores(summary: TaskSummary): Promise<Html> {
  const plain = summary.task.baseline;
  const panel = (metric: Metric): Panel => {
    const { name: title, text, unit } = METRIC_STYLES[metric];
    const shown = (value: number): string => text(value) + unit;
    const value = baselineScore(plain, metric);
    const beside = plain && value !== undefined ? `; ${plain.name} ${shown(value)}` : '';
    const alt = `${title}: ${words(summary, (m) => shown(m[metric]!.mean))}${beside}`;
    return { title, chart: scoreChart(summary, metric), alt };
  };
  const caption = `A dot for each seed, a thick mark at the mean.${plain ? ` Thin rule: ${plain.name}.` : ''}`;
  return figure('Scores', caption, metricsOf(summary.methods).map(panel));
}

function costs(summary: TaskSummary): Promise<Html> {
  const { reference } = summary;
  const rate = (title: string, key: 'trainSpeed' | 'inferSpeed'): Panel =>
    barPanel(
      summary,
      title,
      (m) => m[key].mean,
      (m) => beside(measure(m[key].mean), speedRatio(m, key)),
    );
  const size = (title: string, key: 'trainPeak' | 'inferPeak' | 'artefact'): Panel =>
    barPanel(
      summary,
      title,
      (m) => m[key],
      (m) => beside(bytes(m[key]), m.relative && change(m.relative[key])),
    );
  return figure(
    'Speed and memory',
    reference ? `Beside each figure: what it is relative to ${reference.label}.` : 'Means over seeds.',
    [
      rate('Training, tokens/s', 'trainSpeed'),
      rate('Inference, examples/s', 'inferSpeed'),
      barPanel(
        summary,
        'Wall time, estimation included',
        (m) => m.seconds.total,
        (m) => beside(duration(m.seconds.total), timeRatio(m)),
      ),
      size('Peak memory in training', 'trainPeak'),
      size('Peak memory in inference', 'inferPeak'),
      size('Artefact on disk', 'artefact'),
    ],
  );
}

type OfMethod<T> = (method: MethodSummary) => T;

function barPanel(summary: TaskSummary, title: string, value: OfMethod<number>, text: OfMethod<string>): Panel {
  const colour: OfMethod<string> = (m) => (m === summary.subject ? COLOUR.accent : COLOUR.grey);
  const bars = summary.methods.map((m) => ({
    label: m.label,
    parts: [{ value: value(m), colour: colour(m) }],
    text: text(m),
  }));
  return { title, chart: barChart(bars), alt: `${title}: ${words(summary, text)}` };
}

function beside(text: string, ratio: string | undefined): string {
  return ratio === undefined ? text : `${text} · ${ratio}`;
}

async function memory(summary: TaskSummary): Promise<Html | undefined> {
  const shown = [summary.reference, summary.subject].flatMap((m) => {
    const timeline = m?.runs.find((run) => run.timeline)?.timeline;
    return m && timeline ? [{ label: m.label, timeline }] : [];
  });
  const kinds = new Set([
    ...shown.flatMap((s) => s.timeline.labels),
    ...summary.methods.flatMap((m) => [...m.byKind.keys()]),
  ]);
  if (kinds.size === 0) return undefined;
  const colours = kindColours([...kinds]);
  const top = Math.max(...shown.map((s) => timelinePeak(s.timeline)));
  const steps = shown.map(({ label, timeline }) => ({
    title: `One training step of ${label}`,
    chart: timelineChart(timeline, colours, top),
    alt: `Memory over one training step of ${label}, by kind; peak ${bytes(timelinePeak(timeline))}`,
  }));
  const keys = [...colours].map(([label, colour]) => ({ label, colour }));
  const caption = `GPU buffers by what they hold: at the peak of training${shown.length > 0 ? ', and over the dispatches of one step' : ''}.`;
  return figure('Memory by kind', caption, [peakPanel(summary, colours), ...steps], { legend: legend(keys) });
}

function peakPanel(summary: TaskSummary, colours: ReadonlyMap<string, string>): Panel {
  const title = 'Training peak';
  const bars = summary.methods.map((m) => ({
    label: m.label,
    parts: [...colours].map(([kind, colour]) => ({ value: m.byKind.get(kind) ?? 0, colour })),
    text: bytes(m.trainPeak),
  }));
  const kinds: OfMethod<string> = (m) => [...m.byKind].map(([kind, size]) => `${kind} ${bytes(size)}`).join(', ');
  return { title, chart: barChart(bars), alt: `${title}: ${words(summary, kinds)}` };
}

async function losses(summary: TaskSummary): Promise<Html | undefined> {
  const chart = lossChart(summary, 460);
  if (!chart) return undefined;
  const final = barPanel(
    summary,
    'Evaluation loss at the end',
    (m) => m.loss,
    (m) => measure(m.loss),
  );
  const caption =
    'Task loss in windows of steps, mean over seeds. Fine-tuning follows the steps of early estimation, after which parts are pruned.';
  const curves = { title: 'Training loss', chart, alt: 'Training loss by optimizer step, one line per method' };
  return figure('Loss', caption, [curves, final], { legend: legend(strokes(summary)), size: 'wide' });
}

async function kept(plans: readonly Plan[]): Promise<Html> {
  const shades = plans.length > 1 ? ` The fuller the colour, the more of the ${plans.length} seeds kept it.` : '';
  const { layers, modules } = plans[0]!;
  const map = html`<h3>What was kept: heads and neurons</h3>
    <figure>
      <figcaption>
        One cell for each attention head and each feed-forward neuron; coloured cells were kept, pale ones were sliced
        out of the weights.${shades}
      </figcaption>
      ${planMap(plans)}
    </figure>`;
  return html`${layers.length > 0 ? map : undefined}${modules.length > 0 ? await importance(modules, plans.length) : undefined}`;
}

type Module = Plan['modules'][number];

async function importance(modules: Plan['modules'], plans: number): Promise<Html> {
  const first = plans > 1 ? ' The first seed is shown.' : '';
  const fate = fates(modules);
  const ranked = modules.filter((m) => fate.get(m) !== 'dropped');
  const moduleFigure = moduleBars(modules, fate, first);
  return html`${await moduleFigure}${await rankFigure(ranked, first)}`;
}

function moduleBars(modules: Plan['modules'], fate: ReadonlyMap<Module, Fate>, first: string): Promise<Html> {
  const highest = Math.max(...modules.map((m) => m.importance));
  const kinds = [...new Set(modules.map((m) => place(m.name).kind))];
  const panels = kinds.map((kind) => {
    const own = modules.filter((m) => place(m.name).kind === kind);
    const texts = own.map((m) => `layer ${place(m.name).layer ?? 'none'} ${measure(m.importance)} ${fate.get(m)}`);
    const alt = `Importance of ${kind} modules: ${texts.join('; ')}`;
    return { title: kind, chart: moduleChart(own, fate, highest), alt };
  });
  const count = (wanted: Fate): number => [...fate.values()].filter((found) => found === wanted).length;
  const shown = (Object.keys(FATE_COLOURS) as Fate[]).filter((key) => count(key) > 0);
  const key = legend(shown.map((label) => ({ label, colour: FATE_COLOURS[label] })));
  const caption = `How much each PEFT module adds, relative to what it adds to, by layer. Of ${modules.length} modules ${shown.map((label) => `${count(label)} ${FATE_WORDS[label]}`).join(', ')}.${first}`;
  return figure('Module importance', caption, panels, { legend: key, size: 'small' });
}

const FATE_WORDS: Readonly<Record<Fate, string>> = {
  kept: 'kept',
  'all ranks cut': 'lost to the cut of ranks, which left them none',
  dropped: 'dropped for their low importance',
};

/** @param ranked modules that the cut of ranks was made among */
async function rankFigure(ranked: Plan['modules'], first: string): Promise<Html | undefined> {
  const ranks = ranked.flatMap((m) => m.ranks);
  if (ranks.length === 0) return undefined;
  const highest = Math.max(...ranks.map((r) => r.importance));
  const panels = [...new Set(ranked.map((m) => place(m.name).layer))].map((layer) => {
    const own = ranked.filter((m) => place(m.name).layer === layer);
    const title = layer === undefined ? 'No layer' : `Layer ${layer}`;
    const counts = own.map((m) => `${place(m.name).kind} ${m.ranks.filter((r) => r.kept).length} of ${m.ranks.length}`);
    return { title, chart: rankChart(own, highest), alt: `Ranks kept in ${title}: ${counts.join('; ')}` };
  });
  const share = ranks.filter((r) => r.kept).length;
  const caption = `Every rank of the modules that were not dropped, by its first-order Taylor score as a share of the highest. ${share} of these ${ranks.length} ranks kept (${percent(share / ranks.length)}).${first}`;
  const key = legend([
    { label: 'kept', colour: FATE_COLOURS.kept },
    { label: 'cut', colour: FATE_COLOURS['all ranks cut'] },
  ]);
  return figure('Rank importance', caption, panels, { legend: key });
}

function words(summary: TaskSummary, text: (method: MethodSummary) => string): string {
  return summary.methods.map((m) => `${m.label} ${text(m)}`).join('; ');
}
