/** Room: bench/report. A suite's results as one self-contained HTML page: tables, then pictures. */
import { reproduction, htmlDocument } from '../../report/html/document.ts';
import { html, type Html } from '../../report/markup.ts';
import { figure, legend, type Panel } from '../../report/html/parts.ts';
import type { BenchDocument, Figure, Table } from './document.ts';
import { barFigure, lineFigure } from './charts.ts';
import { allNotes, allTables, facts, formatNumber, textRows } from './format.ts';

export async function benchPage(document: BenchDocument): Promise<string> {
  const { title, meta, figures } = document;
  const pictures = await Promise.all(figures.map(picture));
  return htmlDocument({
    title,
    kicker: 'Benchmarks of Light-PEFT and its engine',
    header: html`<p class="facts">
      ${meta.adapter}${meta.software ? ' (software)' : ''} · <time>${meta.date.slice(0, 10)}</time>
    </p>`,
    main: [...allTables(document).map(tableSection), ...pictures],
    footer: reproduction(meta.command, facts(document), allNotes(document)),
  });
}

function tableSection(table: Table): Html {
  const { head, rows } = textRows(table);
  return html`<h3>${table.title}</h3>
    <div class="scroll" role="region" aria-label="${table.title}" tabindex="0">
      <table class="comparison">
        <caption>
          <span>${table.caption}</span>
        </caption>
        <thead>
          <tr>
            ${head.map((name) => html`<th scope="col">${name}</th>`)}
          </tr>
        </thead>
        <tbody>
          ${rows.map(
            ([label = '', ...cells]) =>
              html`<tr>
                <th scope="row">${label}</th>
                ${cells.map((text) => html`<td>${text}</td>`)}
              </tr>`,
          )}
        </tbody>
      </table>
    </div>`;
}

function picture(given: Figure): Promise<Html> {
  const { chart, keys } = given.kind === 'bars' ? barFigure(given) : lineFigure(given);
  const panel: Panel = { chart, alt: words(given) };
  return figure(given.title, '', [panel], keys.length > 1 ? { legend: legend(keys) } : {});
}

/** What a picture says, for those who cannot see it. */
function words(given: Figure): string {
  const text =
    given.kind === 'bars'
      ? given.bars.map(({ label, parts }) => {
          const each = Object.entries(parts).map(([name, value]) => `${name} ${formatNumber(value, given.unit)}`);
          return `${label}: ${each.join(', ')}`;
        })
      : given.series.map(({ label, points }) => {
          const each = points.map(([x, y]) => `${x}: ${formatNumber(y, given.unit)}`);
          return `${label}: ${each.join(', ')}`;
        });
  return `${given.title}. ${text.join('; ')}`;
}
