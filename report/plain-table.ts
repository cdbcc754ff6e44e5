/** Room: report. Tables for a terminal: horizontal rules alone, first column to the left, the others to the right. */
import Table from 'cli-table3';

/** Columns of a terminal that every table and text fits. */
export const TERMINAL_WIDTH = 80;

const GAP = 2;

/** Horizontal rules alone, above, below and under the head. */
const CHARS = {
  ...{ top: '─', 'top-mid': '', 'top-left': '', 'top-right': '' },
  ...{ mid: '─', 'mid-mid': '', 'left-mid': '', 'right-mid': '' },
  ...{ bottom: '─', 'bottom-mid': '', 'bottom-left': '', 'bottom-right': '' },
  ...{ left: '', right: '', middle: '' },
};

type Row = readonly string[];

/**
 * A table without colours or a final line break; cells may have several lines. One that is wider than `width` goes on below, under
 * the same first column.
 */
export function plainTable(head: Row, rows: readonly Row[], width = TERMINAL_WIDTH): string {
  const pick = (columns: readonly number[]) => (row: Row) => [row[0] ?? '', ...columns.map((i) => row[i] ?? '')];
  return blocks([head, ...rows], width)
    .map((columns) => drawn(pick(columns)(head), rows.map(pick(columns))))
    .join('\n\n');
}

/** Columns after the first, by as many as fit beside it. */
function blocks(rows: readonly Row[], width: number): number[][] {
  const widthOf = (i: number): number =>
    Math.max(...rows.flatMap((row) => (row[i] ?? '').split('\n').map((line) => line.length)));
  const found: number[][] = [];
  let left = 0;
  for (let i = 1; i < rows[0]!.length; i++) {
    const needed = GAP + widthOf(i);
    if (found.length === 0 || needed > left) {
      found.push([]);
      left = width - widthOf(0);
    }
    found.at(-1)!.push(i);
    left -= needed;
  }
  return found.length > 0 ? found : [[]];
}

function drawn(head: Row, rows: readonly Row[]): string {
  const table = new Table({
    chars: CHARS,
    colAligns: head.map((_, i) => (i === 0 ? 'left' : 'right')),
    style: { head: [], border: [], 'padding-left': GAP, 'padding-right': 0, compact: true },
    head: [{ content: head[0] ?? '', style: { 'padding-left': 0 } } as unknown as string, ...head.slice(1)],
  });
  for (const [label = '', ...cells] of rows) table.push([{ content: label, style: { 'padding-left': 0 } }, ...cells]);
  return table.toString();
}

/** Breaks text between words so that lines stay within `width` where they can. */
export function wrapText(text: string, width = TERMINAL_WIDTH): string {
  const lines: string[] = [];
  for (const word of text.split(' ')) {
    const last = lines.at(-1);
    if (last !== undefined && last.length + 1 + word.length <= width) lines[lines.length - 1] = `${last} ${word}`;
    else lines.push(word);
  }
  return lines.join('\n');
}
