/** Room: bench/report. A suite's results for the terminal, and as a section of a Markdown document. */
import { code, escape, list, markdownRows } from '../../train/report/markdown-parts.ts';
import { plainTable } from '../../train/report/plain-table.ts';
import type { BenchDocument } from './document.ts';
import { allNotes, allTables, facts, textRows } from './format.ts';

export function terminalText(document: BenchDocument): string {
  const tables = allTables(document).map((table) => {
    const { head, rows } = textRows(table);
    return [table.title, ...(table.caption ? [table.caption] : []), plainTable(head, rows)].join('\n');
  });
  const where = facts(document).map(([name, value]) => `${name}: ${value}`);
  return [`${document.title}\n${where.join('\n')}`, ...tables, allNotes(document).join('\n')].join('\n\n');
}

function section(document: BenchDocument): string {
  const tables = allTables(document).flatMap((table) => {
    const { head, rows } = textRows(table);
    return [`### ${escape(table.title)}`, ...(table.caption ? [escape(table.caption)] : []), markdownRows(head, rows)];
  });
  const where = facts(document).map(([name, value]) => `${name}: ${escape(value)}`);
  return [
    `## ${escape(document.title)}`,
    list([`Command: ${code(document.meta.command)}`, ...where]),
    ...tables,
    list(allNotes(document).map(escape)),
  ].join('\n\n');
}

/** A whole document: one section a suite, every figure under its adapter, date and command. */
export function markdownText(documents: readonly BenchDocument[]): string {
  const lead = 'Written by the benchmarks themselves. A dash is a figure that was not measured.';
  return `${['# Benchmarks', lead, ...documents.map(section)].join('\n\n')}\n`;
}
