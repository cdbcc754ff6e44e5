/** Room: report/html. The comparison as tables, and the map of what was kept. */
import type { MethodSummary, TaskSummary } from '../aggregate.ts';
import { headMap, neuronMap, tally } from '../charts/map.ts';
import { columnsOf, taskLine, type Column, type Cell } from '../columns.ts';
import { whole } from '../numbers.ts';
import type { Plan } from '../schema.ts';
import { html, type Html } from '../markup.ts';

/** Scores and sizes, then times and memory. */
export function comparisonTables(summary: TaskSummary): Html {
  const [first, second] = columnsOf(summary);
  return html`${comparisonTable(summary, first, 'scores and sizes')}
  ${comparisonTable(summary, second, 'times and memory')}`;
}

function comparisonTable(summary: TaskSummary, columns: readonly Column[], subject: string): Html {
  const baseline = columns.some((c) => c.baseline) ? summary.task.baseline : undefined;
  const below = summary.reference ? `. Second lines: the share left, or relative to ${summary.reference.label}` : '';
  const heads = columns.map((c) => html`<th scope="col">${c.title[0]}<br />${c.title[1]}</th>`);
  const plain =
    baseline &&
    html`<tr class="plain">
      <th scope="row">${baseline.name}</th>
      ${columns.map((c) => html`<td>${c.baseline?.(baseline) ?? '–'}</td>`)}
    </tr>`;
  const label = `Comparison on ${summary.task.name}, ${subject}`;
  return html`<div class="scroll" role="region" aria-label="${label}" tabindex="0">
    <table class="comparison">
      <caption>
        <span>${subject}, ${taskLine(summary) + below}.</span>
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
