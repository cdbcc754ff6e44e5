/** Room: train/report. The comparison as a plain-text table for a terminal. */
import Table from 'cli-table3';
import { summarise, type TaskSummary } from './aggregate.ts';
import { COLUMNS, notes, taskLine, type Cell } from './columns.ts';
import type { Comparison } from './schema.ts';

/** Characters of a label's line: what leaves room for nine columns. */
const LABEL_WIDTH = 18;

/** Horizontal rules alone, above, below and under the head. */
export const CHARS = {
  ...{ top: '─', 'top-mid': '', 'top-left': '', 'top-right': '' },
  ...{ mid: '─', 'mid-mid': '', 'left-mid': '', 'right-mid': '' },
  ...{ bottom: '─', 'bottom-mid': '', 'bottom-left': '', 'bottom-right': '' },
  ...{ left: '', right: '', middle: '' },
};

/** One table per task, at most 120 columns wide, without colours or a final line break. */
export function terminalTable(comparison: Comparison): string {
  const summaries = summarise(comparison);
  const tables = summaries.map((summary) => `${taskLine(summary)}\n${taskTable(summary)}`);
  return [...tables, notes(summaries, comparison).join('\n')].join('\n\n');
}

function taskTable(summary: TaskSummary): string {
  const table = new Table({
    chars: CHARS,
    colAligns: ['left', ...COLUMNS.map(() => 'right' as const)],
    style: { head: [], border: [], 'padding-left': 2, 'padding-right': 0, compact: true },
    head: ['', ...COLUMNS.map((c) => c.title.join('\n'))],
  });
  const add = (label: string, cells: readonly string[]): unknown =>
    table.push([{ content: wrap(label), style: { 'padding-left': 0 } }, ...cells]);
  for (const method of summary.methods)
    add(
      method.label,
      COLUMNS.map((column) => twoLines(column.cell(method))),
    );
  const baseline = summary.task.baseline;
  if (baseline)
    add(
      baseline.name,
      COLUMNS.map((column) => column.baseline?.(baseline) ?? ''),
    );
  return table.toString();
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
