/** Room: report/html. What runs on several tasks have beside the others: scores by task, and maps of their gradients. */
import type { MethodSummary, TaskSummary } from '../aggregate.ts';
import { gradientChart } from '../charts/gradients.ts';
import { COLOUR } from '../charts/render.ts';
import { html, type Html } from '../markup.ts';
import { METRIC_STYLES } from '../metrics.ts';
import { measure } from '../numbers.ts';
import { METRICS, type GradientMaps, type Run } from '../schema.ts';
import { figure, legend, type Panel } from './parts.ts';

/** A row a method, a column a score of a task: means over seeds. Undefined where there is one task. */
export function taskScores({ methods, task }: TaskSummary): Html | undefined {
  const all = methods.flatMap(({ runs }) => runs);
  if (!all.some(({ tasks }) => tasks)) return undefined;
  const names = [...new Set(all.flatMap(({ tasks = {} }) => Object.keys(tasks)))];
  const columns = names.flatMap((name) =>
    METRICS.filter((metric) => all.every(({ tasks }) => tasks?.[name]?.[metric] !== undefined)).map((metric) => ({
      name,
      metric,
    })),
  );
  const cell = ({ runs }: MethodSummary, { name, metric }: (typeof columns)[number]): string => {
    const mean = runs.reduce((sum, { tasks }) => sum + tasks![name]![metric]!, 0) / runs.length;
    const { text, unit } = METRIC_STYLES[metric];
    return text(mean) + (unit === '%' ? ' %' : '');
  };
  return html`<div class="scroll" role="region" aria-label="Scores by task of ${task.name}" tabindex="0">
    <table class="comparison">
      <caption>
        <span>scores by task, means over seeds.</span>
      </caption>
      <thead>
        <tr>
          <th scope="col">method</th>
          ${columns.map(({ name, metric }) => html`<th scope="col">${name}<br />${METRIC_STYLES[metric].name}</th>`)}
        </tr>
      </thead>
      <tbody>
        ${methods.map(
          (method) =>
            html`<tr>
              <th scope="row">${method.label}</th>
              ${columns.map((column) => html`<td>${cell(method, column)}</td>`)}
            </tr>`,
        )}
      </tbody>
    </table>
  </div>`;
}

/** Maps of one run: of the method in focus, else of the first that has them. */
export async function gradientFigure({ subject, methods }: TaskSummary): Promise<Html | undefined> {
  const runs = [subject, ...methods].flatMap((method) => method?.runs ?? []);
  const found = runs.find((run): run is Run & { gradients: GradientMaps } => run.gradients !== undefined);
  if (!found) return undefined;
  const { layers, step, magnitude, cosine, weight } = found.gradients;
  const top = Math.max(...Object.values(magnitude).map(highest), 1e-30);
  const panel = (title: string, values: readonly (readonly (number | null)[])[], most: number): Panel => ({
    title,
    chart: gradientChart({ layers, step, values, top: most }),
    alt: `${title} by layer: ${layers.map((name, l) => `${name} ${measure(meanOf(values, l))}`).join(', ')}`,
  });
  const panels = [
    ...Object.entries(magnitude).map(([task, values]) => panel(`Magnitude, ${task}`, values, top)),
    ...Object.entries(cosine).map(([pair, values]) => panel(`Cosine, ${pair.replace('/', ' and ')}`, values, 1)),
    ...(weight ? [panel('Weights of CLNorm', weight, highest(weight))] : []),
  ];
  const caption =
    `Gradients of each task before any control, ${found.label}, seed ${found.seed}: the stronger the colour, the larger. ` +
    `Magnitudes are up to ${measure(top)}, cosines up to 1.`;
  const keys = [
    { label: 'positive', colour: COLOUR.accent },
    { label: 'negative: the tasks pull apart', colour: COLOUR.ink },
  ];
  return figure('Gradients by layer', caption, panels, { legend: legend(keys), size: 'wide' });
}

function highest(values: readonly (readonly (number | null)[])[]): number {
  return Math.max(0, ...values.flatMap((row) => row.map((value) => Math.abs(value ?? 0))));
}

/** Over the windows. */
function meanOf(values: readonly (readonly (number | null)[])[], layer: number): number {
  const known = values.map((row) => row[layer] ?? null).filter((value) => value !== null);
  return known.reduce((a, b) => a + b, 0) / Math.max(1, known.length);
}
