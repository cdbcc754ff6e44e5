/** Room: report/html. The comparison as a table, the headline's big numbers, and the map of what was kept. */
import type { MethodSummary, TaskSummary } from '../aggregate.ts';
import { headMap, neuronMap, tally } from '../charts/map.ts';
import { columnsOf, taskLine, type Column, type Cell } from '../columns.ts';
import { METRIC_STYLES, metricsOf } from '../metrics.ts';
import { bytes, change, measure, percent, short, times, whole } from '../numbers.ts';
import type { Metric, Plan } from '../schema.ts';
import { html, type Html } from '../markup.ts';

export function comparisonTable(summary: TaskSummary): Html {
  const columns = columnsOf(summary);
  const { baseline } = summary.task;
  const below = summary.reference ? `. Second lines: the share left, or relative to ${summary.reference.label}` : '';
  const heads = columns.map((c) => html`<th scope="col">${c.title[0]}<br />${c.title[1]}</th>`);
  const plain =
    baseline &&
    html`<tr class="plain">
      <th scope="row">${baseline.name}</th>
      ${columns.map((c) => html`<td>${c.baseline?.(baseline) ?? '–'}</td>`)}
    </tr>`;
  return html`<div class="scroll" role="region" aria-label="${`Comparison on ${summary.task.name}`}" tabindex="0">
    <table class="comparison">
      <caption>
        <span>${taskLine(summary) + below}.</span>
      </caption>
      <thead>
        <tr>
          <th scope="col">method</th>
          ${heads}
        </tr>
      </thead>
      <tbody>
        ${summary.methods.map((m) => methodRow(m, columns, m === summary.subject))}${plain}
      </tbody>
    </table>
  </div>`;
}

function methodRow(method: MethodSummary, columns: readonly Column[], subject: boolean): Html {
  const cells = columns.map((c) => tableCell(c.cell(method)));
  return html`<tr${subject ? html` class="subject"` : undefined}><th scope="row">${method.label}</th>${cells}</tr>`;
}

function tableCell({ value, note }: Cell): Html {
  return html`<td>${value}${note === undefined ? undefined : html`<small>${note}</small>`}</td>`;
}

/** What Light-PEFT did against the reference, in big numbers; nothing where either is missing. */
export function headline({ subject, reference }: TaskSummary): Html | undefined {
  const relative = subject?.relative;
  if (!subject || !reference || !relative) return undefined;
  const total = subject.runs[0]!.foundation.blockTotal;
  const fall = (from: string, to: string): string => `${from} → ${to}`;
  const { blockShare, trainableShare, trainableLeft } = subject;
  return html`<dl class="headline">
    ${[
      big(percent(1 - blockShare), 'of block parameters pruned', fall(short(total), short(total * blockShare))),
      big(
        percent(trainableShare),
        'of trainable parameters left',
        fall(short(reference.trainableLeft), short(trainableLeft)),
      ),
      big(times(relative.trainSpeed), 'training speed', `${measure(subject.trainSpeed.mean)} tokens/s`),
      big(times(relative.inferSpeed), 'inference speed', `${measure(subject.inferSpeed.mean)} examples/s`),
      big(
        change(relative.trainPeak),
        'peak training memory',
        fall(bytes(reference.trainPeak), bytes(subject.trainPeak)),
      ),
      ...metricsOf([subject]).flatMap((metric) => headlineScore(metric, subject, reference)),
    ]}
  </dl>`;
}

function headlineScore(metric: Metric, subject: MethodSummary, reference: MethodSummary): Html[] {
  const { name, text, unit, relative } = METRIC_STYLES[metric];
  const against = subject.relative && relative?.(subject.relative);
  if (against === undefined) return [];
  const figure = text(subject[metric]!.mean) + unit;
  return [big(figure, name.toLowerCase(), `${against} against ${reference.label}`)];
}

function big(figure: string, name: string, detail: string): Html {
  return html`<div>
    <dt>${name}</dt>
    <dd class="figure">${figure}</dd>
    <dd class="detail">${detail}</dd>
  </div>`;
}

/** Kept heads and neurons, a row per layer; shades tell in how many of the plans (one per seed) a part was kept. */
export function planMap(plans: readonly Plan[]): Html {
  const rows = plans[0]!.layers.map((layer, i) => {
    const same = plans.flatMap((plan) => plan.layers[i] ?? []);
    const heads = same.map((l) => l.keptHeads);
    const neurons = same.map((l) => l.keptNeurons);
    return html`<tr>
      <th scope="row">${i}</th>
      <td class="cells heads">${headMap(tally(layer.heads, heads), plans.length)}</td>
      <td>${kept(heads, layer.heads)}</td>
      <td class="cells neurons">${neuronMap(tally(layer.neurons, neurons), plans.length)}</td>
      <td>${kept(neurons, layer.neurons)}</td>
    </tr>`;
  });
  return html`<div class="scroll" role="region" aria-label="Kept heads and neurons by layer" tabindex="0">
    <table class="map">
      <thead>
        <tr>
          <th scope="col">layer</th>
          <th scope="col" class="cells">heads</th>
          <th scope="col">kept</th>
          <th scope="col" class="cells">neurons</th>
          <th scope="col">kept</th>
        </tr>
      </thead>
      <tbody>
        ${rows}
      </tbody>
    </table>
  </div>`;
}

/** `5 of 8`, or the mean over plans where they differ: `5.3 of 8`. */
function kept(plans: readonly (readonly number[])[], size: number): string {
  const mean = plans.reduce((sum, plan) => sum + plan.length, 0) / plans.length;
  return `${Number.isInteger(mean) || mean >= 100 ? whole(mean) : mean.toFixed(1)} of ${whole(size)}`;
}
