/** Room: report. The comparison as a plain-text table for a terminal. */
import { summarise, type TaskSummary } from './aggregate.ts';
import { columnsOf, notes, taskLine, type Cell } from './columns.ts';
import { plainTable } from './plain-table.ts';
import type { Comparison } from './schema.ts';

/** Characters of a label's line: what leaves room for nine columns. */
const LABEL_WIDTH = 18;

/** One table per task, at most 120 columns wide, without colours or a final line break. */
export function terminalTable(comparison: Comparison): string {
  const summaries = summarise(comparison);
  const tables = summaries.map((summary) => `${taskLine(summary)}\n${taskTable(summary)}`);
  return [...tables, notes(summaries, comparison).join('\n')].join('\n\n');
}

function taskTable(summary: TaskSummary): string {
  const {
    methods,
    task: { baseline },
  } = summary;
  const columns = columnsOf(summary);
  const rows = methods.map((m) => [wrap(m.label), ...columns.map((column) => twoLines(column.cell(m)))]);
  if (baseline) rows.push([wrap(baseline.name), ...columns.map((column) => column.baseline?.(baseline) ?? '')]);
  return plainTable(['', ...columns.map((c) => c.title.join('\n'))], rows);
}

function twoLines(cell: Cell): string {
  return cell.note === undefined ? cell.value : `${cell.value}\n${cell.note}`;
}

/** Breaks a label between words so that lines stay within `LABEL_WIDTH` where they can. */
function wrap(label: string): string {
  const lines: string[] = [];
  for (const word of label.split(' ')) {
    const last = lines.at(-1);
    if (last !== undefined && last.length + 1 + word.length <= LABEL_WIDTH) lines[lines.length - 1] = `${last} ${word}`;
    else lines.push(word);
  }
  return lines.join('\n');
}
