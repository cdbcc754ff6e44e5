/** Room: bench/report. A suite's results for the terminal, and as a section of a Markdown document. */
import { code, escape, list, markdownRows } from '../../report/markdown-parts.ts';
import { plainTable } from '../../report/plain-table.ts';
import { reached, type BenchDocument } from './document.ts';
import { allNotes, allTables, facts, formatNumber, textRows } from './format.ts';
import type { Remarks } from './remarks.ts';

export function terminalText(document: BenchDocument): string {
  const tables = allTables(document).map((table) => {
    const { head, rows } = textRows(table);
    return [table.title, ...(table.caption ? [table.caption] : []), plainTable(head, rows)].join('\n');
  });
  const where = facts(document).map(([name, value]) => `${name}: ${value}`);
  return [`${document.title}\n${where.join('\n')}`, ...tables, allNotes(document).join('\n')].join('\n\n');
}

function section(document: BenchDocument, remarks: string | undefined): string {
  const tables = allTables(document).flatMap((table) => {
    const { head, rows } = textRows(table);
    return [`### ${escape(table.title)}`, ...(table.caption ? [escape(table.caption)] : []), markdownRows(head, rows)];
  });
  const where = facts(document).map(([name, value]) => `${name}: ${escape(value)}`);
  return [
    `## ${escape(document.title)}`,
    list([`Command: ${code(document.meta.command)}`, ...where]),
    ...(remarks === undefined ? [] : ['### Remarks', remarks]),
    ...tables,
    '### Notes',
    list(allNotes(document).map(escape)),
  ].join('\n\n');
}

/** What was aimed at, over all suites. */
function summary(documents: readonly BenchDocument[]): string {
  const all = documents.flatMap(({ suite, targets }) => targets.map((target) => ({ suite, target })));
  const of = (verdict: boolean | undefined) => all.filter(({ target }) => reached(target) === verdict);
  const [missed, open] = [of(false), of(undefined)];
  const line = ({ suite, target: { what, relation, goal, measured, unit } }: (typeof all)[number]): string => {
    const found = measured === null ? 'not measured' : formatNumber(measured, unit);
    return escape(`${suite}: ${what}: ${found}, aimed at ${relation} ${formatNumber(goal, unit)}`);
  };
  const named = (title: string, those: typeof all): string[] =>
    those.length > 0 ? [title, list(those.map(line))] : [];
  return [
    '## Targets',
    `${of(true).length} of ${all.length} targets are reached, ${missed.length} are missed, ${open.length} could not be measured here.`,
    ...named('Missed:', missed),
    ...named('Not measured:', open),
  ].join('\n\n');
}

/** A whole document: the targets, then one section a suite, every figure under its adapter, date and command. */
export function markdownText(documents: readonly BenchDocument[], remarks: Remarks = new Map()): string {
  const lead =
    'Written by the benchmarks themselves, but for the remarks. A dash is a figure that was not measured. A roofline is the least time that the ' +
    'work can take at the best product and copy rates of the same run; × roofline is what separates a figure from it.';
  const sections = documents.map((document) => section(document, remarks.get(document.suite)));
  return `${['# Benchmarks', lead, summary(documents), ...sections].join('\n\n')}\n`;
}
