/** Room: report. The comparison as Markdown, for `RESULTS.md`. */
import { summarise, type TaskSummary } from './aggregate.ts';
import { columnsOf, notes, taskLine, type Cell } from './columns.ts';
import { code, escape, list, markdownRows } from './markdown-parts.ts';
import type { Comparison } from './schema.ts';

/** A whole document: date, adapter and command, then one table per task and what the figures mean. */
export function markdownTable(comparison: Comparison): string {
  const { meta } = comparison;
  const summaries = summarise(comparison);
  const versions = Object.entries(meta.versions).map(([name, version]) => `${name} ${version}`);
  return (
    [
      '# Results',
      list([
        `Date: ${meta.date.slice(0, 10)}`,
        `Adapter: ${escape(meta.adapter)}${meta.software ? ' (software)' : ''}`,
        `Model: ${escape(meta.model)}, fingerprint ${code(meta.fingerprint)}`,
        `Versions: ${escape(versions.join(', '))}`,
        `Command: ${code(meta.command)}`,
      ]),
      ...summaries.flatMap((summary) => [`## ${escape(taskLine(summary))}`, taskTable(summary)]),
      list(notes(summaries, comparison)),
      '',
    ]
      .join('\n\n')
      .trimEnd() + '\n'
  );
}

function taskTable(summary: TaskSummary): string {
  const columns = columnsOf(summary).flat();
  const head = ['method', ...columns.map((c) => c.title.join(' '))];
  const rows = summary.methods.map((m) => [m.label, ...columns.map((c) => inline(c.cell(m)))]);
  const baseline = summary.task.baseline;
  if (baseline) rows.push([baseline.name, ...columns.map((c) => c.baseline?.(baseline) ?? '')]);
  return markdownRows(head, rows);
}

function inline(cell: Cell): string {
  return cell.note === undefined ? cell.value : `${cell.value} (${cell.note})`;
}
