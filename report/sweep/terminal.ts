/** Room: report/sweep. The best configurations as plain-text tables for a terminal. */
import { plainTable, TERMINAL_WIDTH } from '../plain-table.ts';
import { whole } from '../numbers.ts';
import type { SweepData } from './schema.ts';
import { summariseSweep, type AdapterGroup, type SweepSummary } from './summary.ts';
import { columnsOf } from './columns.ts';

/** Rows of a table. */
const MOST_ROWS = 10;

/** A table for each adapter, at most `width` columns wide, without a final line break. */
export function sweepTable(data: SweepData, width = TERMINAL_WIDTH): string {
  const summary = summariseSweep(data);
  if (summary.adapters.length === 0) return 'No trial is done yet.';
  return summary.adapters.map((group) => groupTable(summary, group, width)).join('\n\n');
}

function groupTable(
  { axes, metric, data }: SweepSummary,
  { adapter, configurations }: AdapterGroup,
  width: number,
): string {
  const shown = configurations.slice(0, MOST_ROWS);
  const columns = columnsOf(shown, axes, metric);
  const head = ['#', ...columns.map(({ head: lines }) => lines.map(plain).join('\n').trimEnd())];
  const rows = shown.map((one) => [String(one.place), ...columns.map(({ text }) => plain(text(one)))]);
  const order = metric?.isChosen ? 'best first' : 'in the order given';
  const count =
    shown.length < configurations.length ? `${shown.length} of ${whole(configurations.length)}` : shown.length;
  const title = `${data.sweep.name} on ${adapter}, ${count} ${configurations.length === 1 ? 'configuration' : 'configurations'}, ${order}`;
  return `${plain(title)}\n${plainTable(head, rows, width)}`;
}

/** Without what would move a terminal's cursor or colour its text. */
function plain(text: string): string {
  return text.replace(/[\p{Cc}\p{Zl}\p{Zp}]+/gu, ' ');
}
