/** Room: report/html. The pieces every section of a page is made of. */
import type { TopLevelSpec } from 'vega-lite';
import { renderChart } from '../charts/render.ts';
import { html, type Html } from '../markup.ts';

/** A chart to be drawn, with its heading and what it says in words for those who cannot see it. */
export interface Panel {
  readonly title?: string;
  readonly chart: TopLevelSpec;
  readonly alt: string;
}

/** A titled figure: explanation first, then a legend where there is one, then the charts side by side as room allows. */
export async function figure(
  title: string,
  caption: string,
  panels: readonly Panel[],
  options: { readonly legend?: Html; readonly size?: 'small' | 'wide' } = {},
): Promise<Html> {
  const drawn = await Promise.all(panels.map(panel));
  return html`<h3>${title}</h3>
    <figure>
      <figcaption>${caption}</figcaption>
      ${options.legend}
      <div class="panels ${options.size}">${drawn}</div>
    </figure>`;
}

async function panel({ title, chart, alt }: Panel): Promise<Html> {
  const heading = title === undefined ? undefined : html`<h4>${title}</h4>`;
  return html`<div>
    ${heading}
    <div class="picture" role="img" aria-label="${alt}">${await renderChart(chart)}</div>
  </div>`;
}

/** One entry of a legend; a line sample where `dash` is given, a filled square otherwise. */
export interface Key {
  readonly label: string;
  readonly colour: string;
  readonly dash?: readonly number[];
  readonly width?: number;
}

export function legend(keys: readonly Key[]): Html {
  const items = keys.map((key) => html`<li>${sample(key)}${key.label}</li>`);
  return html`<ul class="legend">
    ${items}
  </ul>`;
}

function sample({ colour, dash, width }: Key): Html {
  if (dash === undefined)
    return html`<svg width="12" height="12" aria-hidden="true"><rect width="12" height="12" fill="${colour}" /></svg>`;
  return html`<svg width="30" height="10" aria-hidden="true">
    <path d="M0 5h30" stroke="${colour}" stroke-width="${width ?? 1}" stroke-dasharray="${dash.join(' ')}" />
  </svg>`;
}
