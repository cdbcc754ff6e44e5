/** Room: report/html. The comparison's page. */
import { summarise, type TaskSummary } from '../aggregate.ts';
import { notes } from '../columns.ts';
import type { Comparison } from '../schema.ts';
import { dataTable } from './data-table.ts';
import { htmlDocument, reproduction } from './document.ts';
import { html, type Html } from '../markup.ts';
import { taskSection } from './section.ts';

/** The comparison as one self-contained HTML document. */
export async function htmlPage(comparison: Comparison): Promise<string> {
  const summaries = summarise(comparison);
  const sections = await Promise.all(summaries.map((summary, i) => taskSection(summary, anchor(i))));
  const title = `Light-PEFT on ${summaries.map((s) => s.task.name).join(' and ')}`;
  return htmlDocument({
    title,
    kicker: 'Early pruning for parameter-efficient fine-tuning',
    header: html`${introduction(comparison, summaries)} ${summaries.length > 1 ? contents(summaries) : undefined}`,
    main: [...sections, ...besides(comparison)],
    footer: footer(comparison, summaries),
  });
}

const anchor = (i: number): string => `task-${i + 1}`;

function introduction({ meta }: Comparison, summaries: readonly TaskSummary[]): Html {
  const others = new Set(summaries.flatMap((s) => s.methods.filter((m) => m !== s.subject).map((m) => m.label)));
  return html`<p class="lead">
      Light-PEFT trains masks beside a model’s adapter modules for a few early steps, then removes the attention heads,
      feed-forward neurons, modules and ranks that matter least, and fine-tunes what is left. This page compares it with
      ${list([...others].map(midSentence))}, all on the same model, data and WebGPU adapter. What is removed is sliced
      out of the GPU’s buffers, so the speeds and bytes below are measured, not derived.
    </p>
    <p class="facts">
      ${meta.model} · ${meta.adapter}${meta.software ? ' (software)' : ''} ·
      <time>${meta.date.slice(0, 10)}</time>
    </p>`;
}

function contents(summaries: readonly TaskSummary[]): Html {
  const links = summaries.map((s, i) => html`<a href="#${anchor(i)}">${s.task.name}</a>`);
  return html`<nav aria-label="Tasks">${links}<a href="#reproduce">Reproduce</a></nav>`;
}

/** What stands beside the figures of this model. */
function besides({ meta: { context } }: Comparison): Html[] {
  if (!context) return [];
  const { note, title, columns, rows, source } = context;
  return [
    html`<section id="beside">
      <h2>${title}</h2>
      <p>${note}</p>
      ${dataTable({ caption: source, label: title, head: columns, rows, kind: 'comparison' })}
    </section>`,
  ];
}

function footer(comparison: Comparison, summaries: readonly TaskSummary[]): Html {
  const { meta } = comparison;
  const versions = Object.entries(meta.versions).map(([name, version]) => `${name} ${version}`);
  const splits = comparison.tasks.map((t) => `${t.name} ${t.trainExamples} / ${t.evalExamples}`);
  const options = comparison.tasks.flatMap(({ name, options: set }) =>
    set
      ? `${name}: ${Object.entries(set)
          .map(([option, value]) => `${option} ${value}`)
          .join(', ')}`
      : [],
  );
  const facts: [string, string][] = [
    ['Adapter', meta.adapter + (meta.software ? ' (software)' : '')],
    ['Model', meta.model],
    ['Fingerprint', meta.fingerprint],
    ['Examples, training / evaluation', splits.join(', ')],
    ...(options.length > 0 ? [['Options', options.join('; ')] satisfies [string, string]] : []),
    ['Versions', versions.join(', ')],
    ['Date', meta.date.slice(0, 10)],
  ];
  return reproduction(meta.command, facts, notes(summaries, comparison));
}

/** Lowers the first letter of a plain word; LoRA and people's names stay. */
function midSentence(label: string): string {
  return label.replace(/^(?!Houlsby|Pfeiffer)[A-Z](?=[a-z]+\b)/, (letter) => letter.toLowerCase());
}

/** `a`, `a and b`, `a, b and c`. */
function list(items: readonly string[]): string {
  if (items.length === 0) return 'nothing else';
  return items.length === 1 ? items[0]! : `${items.slice(0, -1).join(', ')} and ${items.at(-1)}`;
}
