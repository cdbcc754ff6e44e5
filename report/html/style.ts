/** Room: report/html. The page's style sheet. Pictures take their colours from the variables declared here; `mark` after Okabe and Ito, for all kinds of eyes. */

export const STYLE = `
:root {
  color-scheme: light dark;
  --paper: #fdfcfa; --ink: #1d1c1a; --muted: #66635d; --rule: #e5e2dc; --grey: #bab6ae;
  --accent: #b8400e; --accent-soft: #dd8b62; --wash: #f6f3ee; --cut: #5b8fc0;
  --kind-1: #85837d; --kind-2: #2e2c26; --kind-3: #a7a59f; --kind-4: #4b4943; --kind-5: #cfcdc7; --kind-6: #67655f;
  --mark-1: #b8400e; --mark-2: #0072b2; --mark-3: #007a5a; --mark-4: #9c4f86; --mark-5: #8a6a00; --mark-6: #2e2c26; --mark-7: #4a9cc9;
  --serif: Charter, 'Bitstream Charter', 'Source Serif 4', 'Sitka Text', Cambria, 'Liberation Serif', serif;
  --sans: system-ui, -apple-system, 'Segoe UI', 'Helvetica Neue', 'Liberation Sans', Arial, sans-serif;
  --mono: ui-monospace, 'SF Mono', Menlo, Consolas, 'Liberation Mono', monospace;
}
@media (prefers-color-scheme: dark) {
  :root {
    --paper: #171614; --ink: #ebe8e2; --muted: #a19d95; --rule: #34322e; --grey: #5d5a54;
    --accent: #f0854f; --accent-soft: #b9653b; --wash: #201e1b; --cut: #6ea3d6;
    --kind-1: #706e68; --kind-2: #d6d4ce; --kind-3: #55534d; --kind-4: #afada7; --kind-5: #3a3832; --kind-6: #8d8b85;
    --mark-1: #f0854f; --mark-2: #5aaee6; --mark-3: #2fc09a; --mark-4: #dd94c4; --mark-5: #e3b93c; --mark-6: #ebe8e2; --mark-7: #9ad4f2;
  }
}
* { box-sizing: border-box; }
html { -webkit-text-size-adjust: 100%; text-size-adjust: 100%; }
body {
  margin: 0 auto; padding: 3.5rem 1.25rem 5rem; max-width: 70rem;
  background: var(--paper); color: var(--ink); font: 1.0625rem/1.6 var(--serif);
}
h1, h2, h3, h4 { line-height: 1.2; text-wrap: balance; }
h1 { margin: 0 0 1rem; font-size: clamp(1.9rem, 5vw, 2.75rem); font-weight: 600; letter-spacing: -0.015em; }
h2 { margin: 4rem 0 0.25rem; padding-top: 1.25rem; border-top: 2px solid var(--ink); font-size: 1.7rem; font-weight: 600; }
h3 { margin: 3rem 0 0.25rem; font-size: 1.2rem; font-weight: 600; }
h4 { margin: 0 0 0.5rem; font: 600 0.875rem/1.3 var(--sans); }
p { margin: 0 0 0.75rem; max-width: 42rem; }
a { color: inherit; text-decoration-color: var(--accent); text-underline-offset: 0.15em; }
.kicker { margin: 0 0 0.75rem; color: var(--accent); font: 600 0.8125rem/1.3 var(--sans); letter-spacing: 0.04em; }
.lead { font-size: 1.1875rem; }
.facts, .note, figcaption, .legend { color: var(--muted); font: 0.875rem/1.5 var(--sans); }
.facts { max-width: none; }
.note, figcaption { margin: 0 0 1.25rem; max-width: 44rem; }
.note { padding-left: 1.1rem; }
h2::first-letter, caption span::first-letter { text-transform: uppercase; }
nav { margin-top: 1.25rem; font: 0.9375rem/1.5 var(--sans); }
nav a { display: inline-block; margin-right: 1.25rem; }
nav a::first-letter { text-transform: uppercase; }
figure { margin: 0; }

.headline {
  display: grid; grid-template-columns: repeat(auto-fit, minmax(8.25rem, 1fr)); gap: 1.5rem 1rem;
  margin: 1.75rem 0 2.5rem; padding: 0;
}
.headline div { display: flex; flex-direction: column; gap: 0.25rem; padding-top: 0.75rem; border-top: 1px solid var(--rule); }
.headline dt { font: 600 0.875rem/1.35 var(--sans); }
.headline dd { margin: 0; }
.headline .figure { order: -1; color: var(--accent); font: 600 2.375rem/1.1 var(--sans); letter-spacing: -0.03em; font-variant-numeric: tabular-nums; white-space: nowrap; }
.headline .figure small { font-size: 0.45em; vertical-align: super; letter-spacing: 0; }
.headline .detail { color: var(--muted); font: 0.8125rem/1.4 var(--sans); }

.scroll { overflow-x: auto; margin: 1rem 0 0.75rem; }
table { border-collapse: collapse; width: 100%; font: 0.875rem/1.35 var(--sans); font-variant-numeric: tabular-nums; }
caption { padding-bottom: 0.75rem; text-align: left; color: var(--muted); }
caption span { display: block; position: sticky; left: 0; max-width: calc(100vw - 2.5rem); }
th, td { padding: 0.55rem 0 0.55rem 1rem; text-align: right; vertical-align: top; white-space: nowrap; }
th:first-child { padding-left: 0; text-align: left; }
thead th { vertical-align: bottom; color: var(--muted); font-weight: 500; border-bottom: 1px solid var(--ink); }
tbody th { font-weight: 500; }
tbody tr + tr > * { border-top: 1px solid var(--rule); }
tbody tr:last-child > * { border-bottom: 1px solid var(--ink); }
.comparison tbody th { position: sticky; left: 0; min-width: 8.5rem; background: var(--paper); font-weight: 500; white-space: normal; }
td small { display: block; color: var(--muted); font-size: 0.8125rem; }
.comparison .subject > * { background: var(--wash); }
.comparison .subject th { color: var(--accent); font-weight: 600; }
tr.plain th, tr.plain td { color: var(--muted); font-style: italic; }

.panels { display: grid; grid-template-columns: repeat(auto-fill, minmax(min(20.5rem, 100%), 1fr)); gap: 2rem 1.25rem; }
.panels.small { grid-template-columns: repeat(auto-fill, minmax(10rem, 1fr)); gap: 1.5rem 1rem; }
.panels.wide { display: flex; flex-wrap: wrap; column-gap: 4rem; }
.picture svg { display: block; max-width: 100%; height: auto; overflow: visible; }
svg text { font-family: var(--sans); font-variant-numeric: tabular-nums; }
.legend { display: flex; flex-wrap: wrap; gap: 0.25rem 1.25rem; margin: 0 0 1rem; padding: 0; list-style: none; }
.legend svg { vertical-align: middle; margin-right: 0.45rem; }

.map { width: auto; }
.map td, .map th { vertical-align: middle; }
.map .cells { text-align: left; }
.map .neurons { width: 100%; min-width: 11rem; }
.map .neurons svg { display: block; width: 100%; height: auto; shape-rendering: crispEdges; }
.map .heads svg { display: block; max-width: none; }

pre { margin: 0.75rem 0 1.25rem; padding: 0.9rem 1.1rem; overflow-x: auto; background: var(--wash); font: 0.875rem/1.5 var(--mono); border-left: 3px solid var(--accent); }
.about { display: grid; grid-template-columns: max-content 1fr; gap: 0.35rem 1.5rem; margin: 0 0 1.5rem; font: 0.9375rem/1.5 var(--sans); }
.about dt { color: var(--muted); }
.about dd { margin: 0; overflow-wrap: anywhere; }
@media (max-width: 40rem) {
  body { padding-top: 2rem; }
  .headline { grid-template-columns: 1fr 1fr; }
  .headline .figure { font-size: 2rem; }
  .about { grid-template-columns: 1fr; }
  .about dd { margin-bottom: 0.5rem; }
  .map, .map tbody { display: block; width: 100%; }
  .map thead { position: absolute; clip-path: inset(50%); }
  .map tr { display: grid; grid-template-columns: 1.5rem 1fr 6.5rem; align-items: center; padding: 0.4rem 0; border-top: 1px solid var(--rule); }
  .map tbody tr > * { padding: 0.2rem 0; border: 0; }
  .map .neurons { grid-column: 2; min-width: 0; }
}
@media print { body { max-width: none; padding: 0; } figure, tr { break-inside: avoid; } }
`;
