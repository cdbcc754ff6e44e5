/** Room: report. Tables for a terminal: horizontal rules alone, first column to the left, the others to the right. */
import Table from 'cli-table3';

/** Horizontal rules alone, above, below and under the head. */
const CHARS = {
  ...{ top: '─', 'top-mid': '', 'top-left': '', 'top-right': '' },
  ...{ mid: '─', 'mid-mid': '', 'left-mid': '', 'right-mid': '' },
  ...{ bottom: '─', 'bottom-mid': '', 'bottom-left': '', 'bottom-right': '' },
  ...{ left: '', right: '', middle: '' },
};

/** A table without colours or a final line break. Cells may have several lines. */
export function plainTable(head: readonly string[], rows: readonly (readonly string[])[]): string {
  const table = new Table({
    chars: CHARS,
    colAligns: head.map((_, i) => (i === 0 ? 'left' : 'right')),
    style: { head: [], border: [], 'padding-left': 2, 'padding-right': 0, compact: true },
    head: [{ content: head[0] ?? '', style: { 'padding-left': 0 } } as unknown as string, ...head.slice(1)],
  });
  for (const [label = '', ...cells] of rows) table.push([{ content: label, style: { 'padding-left': 0 } }, ...cells]);
  return table.toString();
}
