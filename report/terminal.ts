/** Room: report. The comparison as a plain-text table for a terminal. */
import { summarise, type TaskSummary } from './aggregate.ts';
import { columnsOf, notes, taskLine, type Cell, type Column } from './columns.ts';
import { plainTable, TERMINAL_WIDTH, wrapText } from './plain-table.ts';
import type { Comparison } from './schema.ts';

/** Characters of a label's line. */
const LABEL_WIDTH = 16;

/** Two tables per task, at most `width` columns wide, without colours or a final line break. */
export function terminalTable(comparison: Comparison, width = TERMINAL_WIDTH): string {
  const summaries = summarise(comparison);
  const tables = summaries.map((summary) => {
    const groups = columnsOf(summary).map((columns) => taskTable(summary, columns, width));
    return `${taskLine(summary)}\n${groups.join('\n\n')}`;
  });
  const lines = notes(summaries, comparison).map((note) => wrapText(note, width));
  return [...tables, lines.join('\n'), ...besides(comparison, width)].join('\n\n');
}

/** What stands beside the figures of this model. */
function besides({ meta: { context } }: Comparison, width: number): string[] {
  if (!context) return [];
  const { note, title, columns, rows, source } = context;
  const table = plainTable(
    columns,
    rows.map(([label = '', ...cells]) => [wrapText(label, LABEL_WIDTH), ...cells]),
    width,
  );
  return [wrapText(note, width), `${wrapText(title, width)}\n${table}`, wrapText(source, width)];
}

function taskTable({ methods, task: { baseline } }: TaskSummary, columns: readonly Column[], width: number): string {
  const rows = methods.map((m) => [wrapText(m.label, LABEL_WIDTH), ...columns.map((c) => twoLines(c.cell(m)))]);
  if (baseline && columns.some((column) => column.baseline))
    rows.push([wrapText(baseline.name, LABEL_WIDTH), ...columns.map((c) => c.baseline?.(baseline) ?? '')]);
  return plainTable(['', ...columns.map((c) => c.title.join('\n'))], rows, width);
}

function twoLines(cell: Cell): string {
  return cell.note === undefined ? cell.value : `${cell.value}\n${cell.note}`;
}
