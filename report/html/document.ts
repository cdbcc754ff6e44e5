/** Room: report/html. The frame of every page: one file, nothing fetched from anywhere, no script but the page's own. */
import { createHash } from 'node:crypto';
import { html, Html } from '../markup.ts';
import { STYLE } from './style.ts';

export interface Page {
  readonly title: string;
  /** One line above the title. */
  readonly kicker: string;
  /** Below the title. */
  readonly header: Html;
  readonly main: readonly Html[];
  readonly footer: Html;
  /** After the style of all pages. */
  readonly style?: string;
  /** Run when everything above it is there; the page must be whole without it. */
  readonly script?: string;
}

export function htmlDocument({ title, kicker, header, main, footer, style = '', script }: Page): string {
  const page = html`<!doctype html>
    <html lang="en">
      <head>
        <meta charset="utf-8" />
        <meta name="viewport" content="width=device-width, initial-scale=1" />
        <meta
          http-equiv="Content-Security-Policy"
          content="default-src 'none'; style-src 'unsafe-inline'; img-src data:${scriptPolicy(script)}"
        />
        <link rel="icon" href="data:," />
        <title>${title}</title>
        <style>
          ${new Html(STYLE + style)}
        </style>
      </head>
      <body>
        <header>
          <p class="kicker">${kicker}</p>
          <h1>${title}</h1>
          ${header}
        </header>
        <main>${main}</main>
        <footer>${footer}</footer>
        ${script === undefined ? undefined : new Html(`<script>${script}</script>`)}
      </body>
    </html> `;
  return page.text;
}

/** Allows this script alone, whatever texts of others are on the page. */
function scriptPolicy(script: string | undefined): Html {
  if (script === undefined) return new Html('');
  return new Html(`; script-src 'sha256-${createHash('sha256').update(script).digest('base64')}'`);
}

/** How the figures came about: the command, facts by name, and notes. */
export function reproduction(
  command: string,
  facts: readonly (readonly [name: string, value: string])[],
  notes: readonly string[],
): Html {
  return html`<h2 id="reproduce">How to reproduce</h2>
    <pre><code>${command}</code></pre>
    <dl class="about">
      ${facts.map(
        ([name, value]) =>
          html`<dt>${name}</dt>
            <dd>${value}</dd>`,
      )}
    </dl>
    <ul class="note">
      ${notes.map((note) => html`<li>${note}</li>`)}
    </ul>`;
}
