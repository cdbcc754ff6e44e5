/** Room: bench/report. The format of a suite's JSON: tables, pictures, targets and where they were measured. */
import { z } from 'zod';
import { UserError } from '../../engine/errors.ts';
import { preview } from '../../engine/io/files.ts';
import { readVersioned } from '../../engine/io/versioned.ts';

const FORMAT = 'light-peft/benchmark';
const VERSION = 1;

/** A measured figure as JSON; see `Sample`. */
export const sampleSchema = z.object({
  median: z.number(),
  spread: z.number().nonnegative(),
  repeats: z.int().positive(),
});

/** Null: not measured, shown as a dash. */
const cell = z.union([z.string(), z.number(), z.null(), sampleSchema]);

/** How numbers of a column are shown; the values are in SI units, shares and ratios as fractions. */
export const UNITS = ['text', 'time', 'count', 'number', 'rate', 'bytes', 'ratio', 'share', 'exponent'] as const;

const column = z.object({ key: z.string().min(1), title: z.string(), unit: z.enum(UNITS) });

const table = z.object({
  title: z.string().min(1),
  /** What the figures are. */
  caption: z.string(),
  /** The first column names the row. */
  columns: z.array(column).min(1),
  rows: z.array(z.record(z.string(), cell)),
});

const bars = z.object({
  kind: z.literal('bars'),
  title: z.string().min(1),
  unit: z.enum(UNITS),
  /** A number of parts where a bar is split, each with the name its legend shows. */
  bars: z.array(z.object({ label: z.string(), parts: z.record(z.string(), z.number()), own: z.boolean() })).min(1),
});

const lines = z.object({
  kind: z.literal('lines'),
  title: z.string().min(1),
  x: z.string(),
  /** Of the vertical axis. */
  unit: z.enum(UNITS),
  log: z.boolean(),
  series: z
    .array(
      z.object({ label: z.string(), points: z.array(z.tuple([z.number(), z.number()])).min(1), dashed: z.boolean() }),
    )
    .min(1),
});

const target = z.object({
  what: z.string().min(1),
  unit: z.enum(UNITS),
  relation: z.enum(['≥', '≤', '<', '=']),
  goal: z.number(),
  /** Null: not measured here. */
  measured: z.number().nullable(),
});

const documentSchema = z.object({
  format: z.literal(FORMAT),
  version: z.literal(VERSION),
  suite: z.string().min(1),
  title: z.string().min(1),
  meta: z.object({
    date: z.string(),
    command: z.string(),
    /** Tells adapters, and with software ones processors, apart. */
    adapter: z.string(),
    software: z.boolean(),
    versions: z.record(z.string(), z.string()),
    quick: z.boolean(),
    seconds: z.number().nonnegative(),
    /** Processes waiting for a core on average when the suite began and ended: other work disturbs. */
    load: z.tuple([z.number(), z.number()]),
    peers: z.array(z.object({ label: z.string(), version: z.string().nullable(), note: z.string() })),
  }),
  tables: z.array(table),
  figures: z.array(z.discriminatedUnion('kind', [bars, lines])),
  targets: z.array(target),
  notes: z.array(z.string()),
});

export type BenchDocument = z.infer<typeof documentSchema>;
export type Cell = z.infer<typeof cell>;
export type Unit = (typeof UNITS)[number];
export type Table = z.infer<typeof table>;
export type Figure = BenchDocument['figures'][number];
export type Target = z.infer<typeof target>;

/** What a suite measured, before it is said where. */
export type Measured = Pick<BenchDocument, 'tables' | 'figures' | 'targets' | 'notes'>;

export function makeDocument(parts: Omit<BenchDocument, 'format' | 'version'>): BenchDocument {
  return { format: FORMAT, version: VERSION, ...parts };
}

/** @throws UserError where the file is missing or not a benchmark's JSON */
export async function readDocument(path: string): Promise<BenchDocument> {
  return readVersioned(path, { format: FORMAT, version: VERSION, schema: documentSchema });
}

/** Whether a target was reached; undefined where it was not measured. */
export function reached({ relation, goal, measured }: Target): boolean | undefined {
  if (measured === null) return undefined;
  if (relation === '=') return measured === goal;
  if (relation === '<') return measured < goal;
  return relation === '≥' ? measured >= goal : measured <= goal;
}

/** What two runs must share to be compared. */
export interface Identity {
  readonly suite: string;
  readonly meta: Pick<BenchDocument['meta'], 'adapter' | 'quick'>;
}

/**
 * Refuses to compare what must not be compared.
 * @param file names the earlier run in errors
 * @throws UserError for another suite, adapter or size of run
 */
export function assertComparable(now: Identity, before: Identity, file: string): void {
  const same = (key: string, a: string, b: string, advice: string): void => {
    if (a !== b) throw new UserError(`${file}: ${key}: found ${preview(b)}, expected ${preview(a)}; ${advice}`);
  };
  same('suite', now.suite, before.suite, 'give the JSON of the same suite');
  same('adapter', now.meta.adapter, before.meta.adapter, 'figures of two adapters are not compared');
  same('quick', String(now.meta.quick), String(before.meta.quick), 'give a run of the same size');
}

/** The medians of time columns beside those of an earlier run, row by row. */
export function compareTables(now: BenchDocument, before: BenchDocument): Table {
  const rows = now.tables.flatMap((current) => {
    const earlier = before.tables.find((t) => t.title === current.title);
    const name = current.columns[0]!.key;
    const times = current.columns.filter((c) => c.unit === 'time');
    return current.rows.flatMap((row) => {
      const label = formatLabel(row[name]);
      const past = earlier?.rows.find((r) => formatLabel(r[name]) === label);
      return times.flatMap(({ key, title }) => {
        const [a, b] = [medianOf(row[key]), medianOf(past?.[key])];
        if (a === undefined || b === undefined) return [];
        return [{ what: `${current.title}: ${label}, ${title}`, before: b, now: a, ratio: a / b }];
      });
    });
  });
  return {
    title: 'Against the earlier run',
    caption: `Measured ${before.meta.date.slice(0, 10)} by ${before.meta.command}. Figures of two moments differ by what else ran.`,
    columns: [
      { key: 'what', title: 'what', unit: 'text' },
      { key: 'before', title: 'before', unit: 'time' },
      { key: 'now', title: 'now', unit: 'time' },
      { key: 'ratio', title: 'now / before', unit: 'ratio' },
    ],
    rows,
  };
}

/** The name of a row. */
function formatLabel(value: Cell | undefined): string {
  return typeof value === 'object' ? JSON.stringify(value) : String(value);
}

/** The number in a cell. */
function medianOf(value: Cell | undefined): number | undefined {
  if (typeof value === 'number') return value;
  return typeof value === 'object' && value !== null ? value.median : undefined;
}
