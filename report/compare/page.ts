/** Room: report/compare. The page that compares runs: pictures and tables for everyone, filters and sorting where scripts run. */
import { htmlDocument, reproduction } from '../html/document.ts';
import { Html, html } from '../markup.ts';
import { whole } from '../numbers.ts';
import { midSentence } from '../sweep/styles.ts';
import { AXES } from './axes.ts';
import type { RunRow } from './columns.ts';
import { adapterName, methodKey, sectionsOf, shortBase, type Panel, type Section } from './groups.ts';
import { lookOf, sample } from './marks.ts';
import { byMethod } from './methods.ts';
import { configurationText, MOST_RUNS, plot, type Looks } from './plot.ts';
import { SCRIPT } from './script.ts';
import { configurationTable, runTable } from './tables.ts';

export interface ComparedRuns {
  readonly rows: readonly RunRow[];
  /** What was found beside them, in words. */
  readonly leftOut: readonly string[];
  /** What a reader types to get the same. */
  readonly command: string;
}

/** All runs as one self-contained HTML document. */
export function comparePage({ rows, leftOut, command }: ComparedRuns): string {
  const sections = sectionsOf(rows);
  const looks: Looks = new Map(methodsOf(rows).map(({ key }, i) => [key, lookOf(i)]));
  const [configurations, runs] = [configurationTable(sections), runTable(rows)];
  return htmlDocument({
    title: 'Comparison of runs',
    kicker: 'Scores against memory, time and size',
    style: PAGE_STYLE,
    script: SCRIPT,
    header: html`${introduction(rows, sections)} ${controls(rows, sections, looks)}`,
    main: [
      html`<p id="readout" class="facts" aria-live="polite"></p>`,
      html`<div class="tasks">${sections.map((section) => sectionHtml(section, looks))}</div>`,
      html`<section id="configurations">
        <h2>Means over seeds</h2>
        ${configurations.table}
      </section>`,
      html`<section id="runs">
        <h2>Runs</h2>
        ${runs.table}
      </section>`,
      jsonHtml({ configurations: configurations.facts, runs: runs.facts }),
    ],
    footer: footer(rows, leftOut, command),
  });
}

/** By their PEFT, each in the order in which `byMethod` has them. */
function methodsOf(rows: readonly RunRow[]): { readonly key: string; readonly label: string }[] {
  const found = new Map([...rows].sort(byMethod).map((row) => [methodKey(row), row.label]));
  return [...found].map(([key, label]) => ({ key, label }));
}

/** Data for the script; nothing in it can end the element. */
function jsonHtml(value: object): Html {
  const text = JSON.stringify(value).replaceAll('<', '\\u003c');
  return new Html(`<script type="application/json" id="data">${text}</script>`);
}

function unique(values: readonly string[]): string[] {
  return [...new Set(values)];
}

function introduction(rows: readonly RunRow[], sections: readonly Section[]): Html {
  const [methods, tasks] = [unique(rows.map(methodKey)).length, unique(rows.map(({ task }) => task)).length];
  const configurations = sections.reduce((sum, section) => sum + section.configurations.length, 0);
  const counted = (count: number, what: string): string => `${whole(count)} ${what}${count === 1 ? '' : 's'}`;
  return html`<p class="lead">
      ${counted(rows.length, 'run')} of ${counted(methods, 'method')} on ${counted(tasks, 'task')}:
      ${counted(configurations, 'configuration')}, each with one seed or several. A small mark is a run, a large one the
      mean over seeds with its sample standard deviation both ways. No other mean is at least as good on both figures
      and better on one than those on the line, the Pareto front.
    </p>
    <p class="facts">
      ${unique(rows.map((row) => row.model ?? `base ${shortBase(row.base)}`)).join(', ')} ·
      ${unique(rows.map(adapterName)).join(', ')} · ${dates(rows)}
    </p>`;
}

/** `2026-11-29`, or the first and the last. */
function dates(rows: readonly RunRow[]): string {
  const days = unique(rows.flatMap(({ date }) => date?.slice(0, 10) ?? [])).sort();
  return days.length <= 1 ? (days[0] ?? 'date not known') : `${days[0]} to ${days.at(-1)}`;
}

function controls(rows: readonly RunRow[], sections: readonly Section[], looks: Looks): Html {
  const tasks = unique(rows.map(({ task }) => task));
  const axes = AXES.filter(({ key }) => sections.some(({ panels }) => panels.some(({ axis }) => axis.key === key)));
  const labels = new Map(methodsOf(rows).map(({ key, label }) => [key, label]));
  return html`<form id="controls" hidden>
    <label>
      Task
      <select id="task">
        <option value="">all</option>
        ${tasks.map((task) => html`<option value="${task}">${task}</option>`)}
      </select>
    </label>
    <label>
      Against
      <select id="axis">
        ${axes.map(({ key, name }) => html`<option value="${key}">${midSentence(name)}</option>`)}
      </select>
    </label>
    <fieldset>
      <legend>Methods</legend>
      ${[...looks].map(
        ([key, look]) =>
          html`<label
            ><input type="checkbox" name="method" value="${key}" checked />${sample(look)}${labels.get(key)}</label
          >`,
      )}
    </fieldset>
    <p id="shown" class="facts" role="status"></p>
  </form>`;
}

function sectionHtml(section: Section, looks: Looks): Html {
  const { title, task, panels } = section;
  const labels = new Map(section.configurations.map(({ first }) => [methodKey(first), first.label]));
  const items = [...looks].filter(([key]) => labels.has(key));
  return html`<section data-task="${task}">
    <h2>${title}</h2>
    <ul class="legend methods">
      ${items.map(([key, look]) => html`<li>${sample(look)}${labels.get(key)}</li>`)}
    </ul>
    <div class="plots">${panels.map((panel) => panelHtml(panel, section, looks))}</div>
  </section>`;
}

function panelHtml(panel: Panel, { title, style }: Section, looks: Looks): Html {
  const { axis, adapter, front, runs } = panel;
  const name = `${style.name} against ${midSentence(axis.name)}`;
  const words = front.map(({ configuration: { first }, x, y }) => `${configurationText(first)} (${style.text(y)}${style.unit} at ${axis.text(x)})`); // prettier-ignore
  const few = runs.length > MOST_RUNS ? ` Of the runs ${MOST_RUNS} are drawn, evenly spaced.` : '';
  return html`<figure data-axis="${axis.key}">
    <figcaption><strong>${name}</strong>${adapter === undefined ? '' : `, ${adapter}`}.${few}</figcaption>
    <div class="picture">${plot(panel, style, looks, `${title}: ${name}. On the front: ${words.join('; ')}`)}</div>
  </figure>`;
}

function footer(rows: readonly RunRow[], leftOut: readonly string[], command: string): Html {
  const facts: [string, string[]][] = [
    ['Adapters', unique(rows.map(adapterName))],
    ['Models', unique(rows.flatMap(({ model }) => model ?? []))],
    ['Bases', unique(rows.map(({ base }) => base))],
    ['Commits', unique(rows.flatMap(({ commit }) => commit ?? []))],
    ['Dates', [dates(rows)]],
    ['Left out', [...leftOut]],
  ];
  const known = facts.flatMap(([name, values]): [string, string][] => (values.length > 0 ? [[name, values.join('; ')]] : [])); // prettier-ignore
  return reproduction(command, known, NOTES);
}

const NOTES: readonly string[] = [
  'Runs are averaged that are equal in method, ratios, learning rate, all other options and adapter, and differ in the seed alone. ± is the sample standard deviation; one seed has none.',
  'Fronts are of one task, base, split and score; of times, also of one adapter. With a filter they are of the methods that are shown.',
  'Pruned: the part of the attention heads and of the feed-forward neurons that was to go. Trainables left: the share of the parameters of the PEFT modules.',
  'Peaks are bytes of GPU buffers; 1 MB = 1,000,000 bytes. Software adapters run on a CPU: read ratios rather than absolute speeds.',
  'Trials of sweeps were measured on a split that configurations were chosen by, where the title says so.',
];

const PAGE_STYLE = `
[hidden] { display: none !important; }
#controls { display: flex; flex-wrap: wrap; align-items: center; gap: 0.5rem 0.75rem; margin-top: 1.5rem; font: 0.9375rem/1.5 var(--sans); }
#controls > label { margin-right: 1rem; }
#controls select { margin-left: 0.4rem; max-width: 16rem; padding: 0.25rem 0.4rem; font: inherit; color: inherit; background: var(--paper); border: 1px solid var(--grey); border-radius: 4px; }
#controls fieldset { display: flex; flex-wrap: wrap; flex-basis: 100%; gap: 0.25rem 1.25rem; margin: 0; padding: 0; border: 0; }
#controls legend { padding: 0; font-weight: 600; }
#controls fieldset label { display: inline-flex; align-items: center; gap: 0.4rem; }
#shown { flex-basis: 100%; margin: 0; }
#readout { position: sticky; top: 0; z-index: 1; margin: 1rem 0 0; padding: 0.4rem 0; min-height: 1.5em; background: var(--paper); }
#readout:empty { display: none; }
.plots { display: grid; grid-template-columns: repeat(auto-fill, minmax(min(22rem, 100%), 1fr)); gap: 1.5rem 2rem; }
.tasks h2::first-letter { text-transform: none; }
.plots figcaption { margin-bottom: 0.5rem; overflow-wrap: anywhere; }
.plots strong { color: var(--ink); font-weight: 600; }
.filtered .tasks { display: grid; grid-template-columns: repeat(auto-fill, minmax(min(26rem, 100%), 1fr)); column-gap: 2.5rem; }
.filtered .plots { grid-template-columns: 1fr; }
.filtered .one { display: block; }
.filtered .one .plots { grid-template-columns: repeat(auto-fill, minmax(min(26rem, 100%), 1fr)); }
.filtered .methods { display: none; }
.axes path { stroke: var(--rule); }
.axes text { fill: var(--muted); font-size: 12px; }
.run { opacity: 0.45; }
.bar { fill: none; stroke-width: 1.5; opacity: 0.8; }
.mean { cursor: default; }
.mean:focus { outline: none; }
.mean:focus .mark, .mean:hover .mark { stroke: var(--ink); stroke-width: 2.5; }
.mark { stroke: var(--paper); stroke-width: 1; }
.mean.on .mark { stroke: var(--ink); stroke-width: 1.5; }
.front { fill: none; stroke: var(--muted); stroke-width: 1.5; stroke-dasharray: 5 3; }
thead button { all: unset; cursor: pointer; }
thead button:hover { color: var(--ink); }
thead button:focus-visible { outline: 2px solid var(--accent); outline-offset: 2px; }
[aria-sort] button { color: var(--ink); }
[aria-sort='ascending'] button::after { content: ' ↑'; }
[aria-sort='descending'] button::after { content: ' ↓'; }
`;
