/** Room: report/compare. Tables of the page, and what its script sorts and filters them by. */
import { dataTable, type Cell } from '../html/data-table.ts';
import { html, type Html } from '../markup.ts';
import { measure, percent, whole } from '../numbers.ts';
import { fullText, midSentence, styleOf } from '../sweep/styles.ts';
import { spreadText } from '../sweep/summary.ts';
import { AXES, type Axis } from './axes.ts';
import type { RunRow } from './columns.ts';
import { adapterName, methodKey, valuesOf, type Configuration, type Section } from './groups.ts';
import { ratiosText } from './plot.ts';
import { spreadOf } from '../audit/summary.ts';

/** Rows of the table of runs. */
const MOST_ROWS = 1000;

const UNKNOWN = '–';

/** A row of a table as the script knows it: numbers and texts to sort by, null for what is not known. */
export interface RowFacts {
  readonly kind: 'configuration' | 'run';
  readonly task: string;
  readonly method: string;
  readonly values: readonly (string | number | null)[];
}

/** A table, and its rows in the same order. */
export interface FilteredTable {
  readonly table: Html;
  readonly facts: readonly RowFacts[];
}

interface Column<T> {
  readonly head: Cell;
  readonly text: (item: T) => string;
  /** What it is sorted by. */
  readonly value: (item: T) => string | number | null;
}

const twoLines = (first: string, second: string): Html => html`${first}<br />${second}`;

/** Lines of texts alone. */
function textColumn<T>(head: Cell, text: (item: T) => string): Column<T> {
  return { head, text, value: text };
}

function numberColumn<T>(head: Cell, value: (item: T) => number | null, text: (value: number) => string): Column<T> {
  const shown = (item: T): string => {
    const found = value(item);
    return found === null ? UNKNOWN : text(found);
  };
  return { head, value, text: shown };
}

const RUN_COLUMNS: readonly Column<RunRow>[] = [
  textColumn('method', ({ label }) => label),
  textColumn('task', ({ task }) => task),
  { head: 'pruned', text: (row) => ratiosText(row) || UNKNOWN, value: ({ headsRatio }) => headsRatio },
  numberColumn('seed', ({ seed }) => seed, whole),
  numberColumn(twoLines('learning', 'rate'), ({ lr }) => lr, String),
  numberColumn('steps', ({ steps }) => steps, whole),
  { head: 'score', text: scoreText, value: ({ value }) => value },
  numberColumn(twoLines('blocks', 'left'), ({ blocksShare }) => blocksShare, percent),
  ...AXES.map(({ key, head, text }) => numberColumn<RunRow>(twoLines(...head), (row) => row[key], text)),
  numberColumn(twoLines('training', 'tokens/s'), ({ trainTokensPerSecond }) => trainTokensPerSecond, measure),
  numberColumn(twoLines('inference', 'examples/s'), ({ inferExamplesPerSecond }) => inferExamplesPerSecond, measure),
  textColumn('adapter', adapterName),
  textColumn('date', ({ date }) => date?.slice(0, 10) ?? UNKNOWN),
];

/** `80.3% accuracy`. */
function scoreText({ metric, value }: RunRow): string {
  if (value === null) return UNKNOWN;
  const style = styleOf(metric);
  return `${fullText(style, value)} ${midSentence(style.name)}`;
}

/** Every run, or the first. */
export function runTable(rows: readonly RunRow[]): FilteredTable {
  const shown = rows.slice(0, MOST_ROWS);
  const count =
    shown.length < rows.length
      ? `The first ${whole(shown.length)} of ${whole(rows.length)} runs`
      : `${whole(rows.length)} ${rows.length === 1 ? 'run' : 'runs'}`;
  return {
    table: dataTable({
      label: 'Runs',
      caption: `${count}; runs.csv and runs.parquet, beside this page, have all of them with all columns.`,
      ...cells(RUN_COLUMNS, shown),
      kind: 'comparison',
    }),
    facts: shown.map((row) => factsOf('run', row, RUN_COLUMNS, row)),
  };
}

interface SectionConfiguration {
  readonly section: Section;
  readonly configuration: Configuration;
}

const CONFIGURATION_COLUMNS: readonly Column<SectionConfiguration>[] = [
  textColumn('method', ({ configuration }) => configuration.first.label),
  textColumn('task', ({ section }) => section.title),
  {
    head: 'pruned',
    text: ({ configuration }) => ratiosText(configuration.first) || UNKNOWN,
    value: ({ configuration }) => configuration.first.headsRatio,
  },
  numberColumn(twoLines('learning', 'rate'), ({ configuration }) => configuration.first.lr, String),
  numberColumn('seeds', ({ configuration }) => configuration.rows.length, whole),
  {
    head: 'score',
    text: ({ section: { style }, configuration: { score } }) =>
      `${spreadText(score, style)}${style.unit === '%' ? ' %' : ''} ${midSentence(style.name)}`,
    value: ({ configuration }) => configuration.score.mean,
  },
  ...AXES.map(({ key, head, text }) => numberColumn<SectionConfiguration>(twoLines(...head), ({ configuration }) => meanOf(configuration, key), text)), // prettier-ignore
  textColumn(twoLines('on the', 'front of'), frontsText),
  textColumn('adapter', ({ configuration }) => adapterName(configuration.first)),
];

function meanOf({ rows }: Configuration, key: Axis['key']): number | null {
  const values = valuesOf(rows, key);
  return values.length === 0 ? null : spreadOf(values).mean;
}

function frontsText({ section, configuration }: SectionConfiguration): string {
  const on = section.panels.filter(({ front }) => front.some((mean) => mean.configuration === configuration));
  return on.length === 0 ? UNKNOWN : on.map(({ axis }) => axis.short).join(', ');
}

/** Means over seeds of all sections, with the fronts that they are on. */
export function configurationTable(sections: readonly Section[]): FilteredTable {
  const items = sections.flatMap((section) =>
    section.configurations.map((configuration) => ({ section, configuration })),
  );
  return {
    table: dataTable({
      label: 'Means over seeds',
      caption: 'Means over seeds, the score ± its sample standard deviation.',
      ...cells(CONFIGURATION_COLUMNS, items),
      kind: 'comparison',
    }),
    facts: items.map((item) => factsOf('configuration', item.configuration.first, CONFIGURATION_COLUMNS, item)),
  };
}

function cells<T>(columns: readonly Column<T>[], items: readonly T[]) {
  return {
    head: columns.map(({ head }) => head),
    rows: items.map((item) => columns.map(({ text }) => text(item))),
  };
}

function factsOf<T>(kind: RowFacts['kind'], row: RunRow, columns: readonly Column<T>[], item: T): RowFacts {
  return { kind, task: row.task, method: methodKey(row), values: columns.map(({ value }) => value(item)) };
}
