/** Room: report/audit. The audit as Markdown: the measured part of `docs/audit.md`. */
import { code, escape, list, markdownRows } from '../markdown-parts.ts';
import { NOTES } from './page.ts';
import type { Audit, AuditRun } from './schema.ts';
import { formsOf, meansByPlace, type FormGroups } from './summary.ts';
import { defenceTables, plantedTable, userTable, type Table } from './tables.ts';

/** Facts, tables, and what they mean. */
export function auditMarkdown(audit: Audit): string {
  const { meta, texts, labels, target } = audit;
  const forms = formsOf(audit);
  const versions = Object.entries(meta.versions).map(([name, version]) => `${name} ${version}`);
  const facts = list([
    `Date: ${meta.date.slice(0, 10)}`,
    `Adapter: ${escape(meta.adapter)}${meta.software ? ' (software)' : ''}`,
    `Model: ${escape(meta.model)}, fingerprint ${code(meta.fingerprint)}`,
    `Texts: ${texts.planted} planted and ${texts.clean} clean, ${texts.user} of the user; tested on ${texts.test}, and on ${texts.triggered} with triggers; planted class: ${escape(labels[target]!)}`,
    `Versions: ${escape(versions.join(', '))}`,
    `Command: ${code(meta.command)}`,
  ]);
  const tables = [userTable(forms), plantedTable(forms), ...layerTables(forms)];
  return [
    `### Strategies, ${escape(audit.name)}`,
    facts,
    ...tables.flatMap(section),
    '### Defences',
    ...defenceTables(forms).flatMap(section),
    list(NOTES.map(escape)),
  ].join('\n\n');
}

function section({ title, head, rows }: Table): string[] {
  return [`${escape(title)}:`, markdownRows(head, rows)];
}

/** Gradients and maps by layer, as the page draws them. */
function layerTables(forms: readonly FormGroups[]): Table[] {
  return forms.flatMap((form) => {
    const sum = form.groups.find(({ strategy }) => strategy === 'sum');
    return [...(sum ? gradientTable(form.label, sum.runs) : []), ...mapTables(form)];
  });
}

function gradientTable(label: string, runs: readonly AuditRun[]): Table[] {
  const found = runs.flatMap(({ planted: { gradients } }) => gradients ?? []);
  const [first] = found;
  if (!first) return [];
  const count = first.clean[0]!.length;
  const row = (name: string, rows: readonly (readonly (number | null)[])[], digits: number): string[] => [
    name,
    ...meansByPlace(rows).map((value) => value.toFixed(digits)),
  ];
  const below = (rows: readonly (readonly (number | null)[])[]): number[][] =>
    rows.map((values) => values.map((value) => Number(value !== null && value < 0)));
  return [
    {
      title: `${label}, Plain sum: gradients by layer, means over steps and seeds`,
      head: ['', ...Array.from({ length: count }, (_, i) => (i === count - 1 ? 'head' : `layer ${i}`))],
      rows: [
        row('magnitude, clean', found.flatMap(({ clean }) => clean), 3), // prettier-ignore
        row('magnitude, planted', found.flatMap(({ planted }) => planted), 3), // prettier-ignore
        row('cosine', found.flatMap(({ cosine }) => cosine), 2), // prettier-ignore
        row('share of windows below 0', below(found.flatMap(({ cosine }) => cosine)), 2), // prettier-ignore
      ],
    },
  ];
}

/** Of each strategy's first seed, right after planting and after the user's training. */
function mapTables({ label, groups }: FormGroups): Table[] {
  const mapped = groups.flatMap(({ label: name, runs }) =>
    runs.flatMap(({ planted, user, maps }) => (maps ? [{ name, planted, user, maps }] : [])).slice(0, 1),
  );
  const [first] = mapped;
  if (!first) return [];
  const layers = first.maps.planted.without.map((_, layer) => `layer ${layer}`);
  const both = (before: number, after: number, digits: number): string =>
    `${before.toFixed(digits)} → ${after.toFixed(digits)}`;
  const percent = (before: number, after: number): string => both(100 * before, 100 * after, 1);
  return [
    {
      title: `${label}: LFR without the modules of one layer, after planting → after the user's training, first seed`,
      head: ['strategy', 'with all', ...layers],
      rows: mapped.map(({ name, planted, user, maps }) => [
        name,
        percent(planted.user.lfr, user.curve.at(-1)!.lfr),
        ...maps.planted.without.map(({ lfr }, layer) => percent(lfr, maps.user.without[layer]!.lfr)),
      ]),
    },
    {
      title: `${label}: similarity of the first token with and without triggers, the same`,
      head: ['strategy', ...layers],
      rows: mapped.map(({ name, maps }) => [
        name,
        ...maps.planted.similarity.map((value, layer) => both(value, maps.user.similarity[layer]!, 3)),
      ]),
    },
  ];
}
