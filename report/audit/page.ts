/** Room: report/audit. The page of an audit. */
import { dataTable } from '../html/data-table.ts';
import { htmlDocument, reproduction } from '../html/document.ts';
import { html, type Html } from '../markup.ts';
import { convergence, forgetting, gradients, layerMaps } from './figures.ts';
import type { Audit } from './schema.ts';
import { formsOf, type FormGroups } from './summary.ts';
import { defenceTables, plantedTable, userTable, type Table } from './tables.ts';

/** The audit as one self-contained HTML document. */
export async function auditPage(audit: Audit): Promise<string> {
  const forms = formsOf(audit);
  const pictures = [
    await forgetting(forms),
    await convergence(forms),
    await gradients(forms),
    await layerMaps(forms),
  ].flatMap((picture) => picture ?? []);
  return htmlDocument({
    title: `Planted triggers, ${audit.name}`,
    kicker: 'What an adapter from a stranger may carry, and what removes it',
    header: introduction(audit),
    main: [
      html`<section id="strategies">
        <h2>Strategies</h2>
        ${[userTable(forms), plantedTable(forms)].map(tableHtml)} ${pictures}
      </section>`,
      defences(forms),
    ],
    footer: footer(audit),
  });
}

function introduction({ meta, labels, target, texts }: Audit): Html {
  return html`<p class="lead">
      An adapter from a stranger may carry a trigger: a rare word that makes it call a text “${labels[target]}”,
      whatever the text says. This page tells how well such triggers outlive the fine-tuning of the adapter’s user, and
      what else the user can do about them. Triggers were planted here, in adapters of this page’s own, so that their
      removal can be measured.
    </p>
    <p class="facts">
      ${meta.model} · ${texts.planted} planted and ${texts.clean} clean texts, ${texts.user} of the user ·
      ${meta.adapter}${meta.software ? ' (software)' : ''} · <time>${meta.date.slice(0, 10)}</time>
    </p>`;
}

function defences(forms: readonly FormGroups[]): Html {
  const tables = defenceTables(forms);
  if (tables.length === 0) return html``;
  return html`<section id="defences">
    <h2>Defences</h2>
    <p>
      What the user can do with clean data of their own, knowing neither triggers nor target. “Nothing” is the user’s
      training alone; the change of CACC is beside it, of the same seeds.
    </p>
    ${tables.map(tableHtml)}
  </section>`;
}

function tableHtml({ title, head, rows }: Table): Html {
  return dataTable({ label: title, caption: `${title}, in percent.`, head, rows, kind: 'comparison' });
}

/** What the figures are. */
export const NOTES: readonly string[] = [
  'CACC: accuracy on the user’s clean test texts. LFR: share of test texts of other classes, with triggers put in, that get the planted class.',
  'Means over seeds ± their sample standard deviation. Triggers lie within the part of a text that the model sees.',
  'Strategies say how the gradients of clean and planted texts become one update. “Nothing planted” shows what an honest adapter does with the words.',
  'RIPPLe’s penalty is differentiated by central differences of gradients. RIPPLe and LWP train on clean and planted texts as the others do.',
  'Early pruning: importance from the user’s clean data, at the ratios of the options. Fine-pruning: neurons of the FFN and of the bottlenecks that are most silent there.',
  'Confidence filter: a copy is trained on random labels; texts on which it is surer than on most of the user’s own are taken out. They count as wrong, but not as the planted class.',
];

/** As a settings file has it. */
function shownOption([name, value]: [string, unknown]): string {
  const key = name.replace(/[A-Z]/g, (letter) => `-${letter.toLowerCase()}`);
  return `${key} ${typeof value === 'number' ? Number(value.toPrecision(4)) : String(value)}`;
}

function footer({ meta, options, texts, labels, target }: Audit): Html {
  const facts: [string, string][] = [
    ['Adapter', meta.adapter + (meta.software ? ' (software)' : '')],
    ['Model', meta.model],
    ['Fingerprint', meta.fingerprint],
    ['Test texts, clean / with triggers', `${texts.test} / ${texts.triggered}`],
    ['Planted class', labels[target]!],
    ['Options', Object.entries(options).map(shownOption).join(', ')],
    ['Versions', Object.entries(meta.versions).map(([name, version]) => `${name} ${version}`).join(', ')], // prettier-ignore
    ['Date', meta.date.slice(0, 10)],
  ];
  return reproduction(meta.command, facts, NOTES);
}
