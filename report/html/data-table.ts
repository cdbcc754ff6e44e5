/** Room: report/html. A table that scrolls within its own box: a caption, heads, rows that begin with what they are of. */
import { html, type Html } from '../markup.ts';

export type Cell = string | Html;

interface DataTable {
  readonly caption: string;
  /** For those who do not see it; the caption unless given. */
  readonly label?: string;
  readonly head: readonly Cell[];
  readonly rows: readonly (readonly Cell[])[];
  /** `comparison`: the first column stays in sight. */
  readonly kind?: 'comparison';
}

export function dataTable({ caption, label = caption, head, rows, kind }: DataTable): Html {
  const row = ([first, ...others]: readonly Cell[]): Html =>
    html`<tr>
      <th scope="row">${first}</th>
      ${others.map((cell) => html`<td>${cell}</td>`)}
    </tr>`;
  return html`<div class="scroll" role="region" aria-label="${label}" tabindex="0">
    <table${kind && html` class="${kind}"`}>
      <caption>
        <span>${caption}</span>
      </caption>
      <thead>
        <tr>
          ${head.map((text) => html`<th scope="col">${text}</th>`)}
        </tr>
      </thead>
      <tbody>
        ${rows.map(row)}
      </tbody>
    </table>
  </div>`;
}
