/** Room: bench/report. Cells as people read them, the same in the terminal, in Markdown and on the page. */
import { bytes, measure, percent, times, whole } from '../../report/numbers.ts';
import { reached, type BenchDocument, type Cell, type Table, type Target, type Unit } from './document.ts';

const SHOW: Readonly<Record<Exclude<Unit, 'text'>, (value: number) => string>> = {
  time: seconds,
  count: whole,
  number: measure,
  rate: perSecond,
  bytes,
  ratio: times,
  share: (value) => (value > 1 ? `${Math.round(value * 100)}%` : percent(value)),
  exponent: (value) => value.toFixed(2),
};

/** `3.1 µs`, `12.3 ms`, `4.56 s`: three digits. */
function seconds(value: number): string {
  if (value === 0) return '0 s';
  const [factor, unit] = value < 1e-3 ? [1e6, 'µs'] : value < 1 ? [1e3, 'ms'] : [1, 's'];
  return `${measure(value * factor)} ${unit}`;
}

/** `23.2 G`, `812 M` */
function perSecond(value: number): string {
  const [factor, unit] = value < 1e9 ? [1e6, 'M'] : value < 1e12 ? [1e9, 'G'] : [1e12, 'T'];
  return `${measure(value / factor)} ${unit}`;
}

export function formatNumber(value: number, unit: Unit): string {
  return unit === 'text' ? String(value) : SHOW[unit](value);
}

/** A measured sample shows its spread: `12.3 ms ±2%`. */
export function formatCell(value: Cell | undefined, unit: Unit): string {
  if (value === null || value === undefined) return '–';
  if (typeof value === 'string') return value;
  if (typeof value === 'number') return formatNumber(value, unit);
  return `${formatNumber(value.median, unit)} ±${Math.round(value.spread * 100)}%`;
}

/** A table's head and rows as text. */
export function textRows({ columns, rows }: Table): { head: string[]; rows: string[][] } {
  return {
    head: columns.map((c) => c.title),
    rows: rows.map((row) => columns.map(({ key, unit }) => formatCell(row[key], unit))),
  };
}

/** The targets as a table like the others. */
function targetTable(targets: readonly Target[]): Table {
  const text = (key: string): Table['columns'][number] => ({ key, title: key, unit: 'text' });
  return {
    title: 'Targets',
    caption: '',
    columns: ['what', 'measured', 'target', 'reached'].map(text),
    rows: targets.map((target) => {
      const { what, unit, relation, goal, measured } = target;
      const verdict = { true: 'yes', false: 'NO', undefined: 'not measured' }[String(reached(target)) as 'true'];
      return {
        what,
        measured: measured === null ? null : formatNumber(measured, unit),
        target: `${relation} ${formatNumber(goal, unit)}`,
        reached: verdict,
      };
    }),
  };
}

/** All tables, the targets last. */
export function allTables({ tables, targets }: BenchDocument): Table[] {
  return targets.length > 0 ? [...tables, targetTable(targets)] : tables;
}

/** Where and how: names and values. */
export function facts({ meta }: BenchDocument): [name: string, value: string][] {
  return [
    ['Adapter', meta.adapter + (meta.software ? ' (software)' : '')],
    ['Date', meta.date.slice(0, 16).replace('T', ' ')],
    [
      'Versions',
      Object.entries(meta.versions)
        .map(([name, version]) => `${name} ${version}`)
        .join(', '),
    ],
    ['Peers', meta.peers.map((p) => `${p.label} ${p.version ?? 'missing'} (${p.note})`).join('; ') || 'none asked for'],
    ['Load before and after', meta.load.map((x) => x.toFixed(1)).join(', ')],
    ['Took', seconds(meta.seconds)],
  ];
}

/** What every suite's figures have in common. */
export function allNotes({ meta, notes }: BenchDocument): string[] {
  return [
    ...notes,
    '± is half the range from the first to the third quartile, as a part of the median.',
    ...(meta.quick ? ['A quick run: small sizes and few repetitions, for trying the command.'] : []),
    ...(meta.software ? ['The adapter is software, on a CPU: read ratios rather than absolute figures.'] : []),
  ];
}
