/** Room: report. Tables for other programs, as RFC 4180 has them. Pure. */

/** What a cell may hold; lists and mappings are written as JSON. */
type Cell = unknown;

/**
 * A row a line, the heads first. What is not there is an empty cell; lists and mappings are JSON. Text that a spreadsheet would run as a
 * formula has a ' in front, so that such text alone does not come back as it was.
 */
export function csvText(heads: readonly string[], rows: readonly (readonly Cell[])[]): string {
  return [heads.map(quoted), ...rows.map((row) => row.map(cellText))].map((cells) => `${cells.join(',')}\r\n`).join('');
}

/** Numbers are left alone: a spreadsheet reads −1 as a number. */
function cellText(value: Cell): string {
  if (value === undefined || value === null) return '';
  if (typeof value === 'string') return quoted(/^[=+\-@\t\r]/.test(value) ? `'${value}` : value);
  return quoted(JSON.stringify(value));
}

function quoted(text: string): string {
  return /[",\r\n]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text;
}
