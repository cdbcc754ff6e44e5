/** Room: report/compare. What methods are called, and which parts each of them prunes; the order of runs. */
import type { RunRow } from './columns.ts';

const LABELS: Readonly<Record<string, string>> = {
  reference: 'no pruning',
  'light-peft+': 'Light-PEFT+',
  'light-peft': 'Light-PEFT',
  'random+': 'random as Light-PEFT+',
  random: 'random pruning',
  magnitude: 'by magnitude',
  'foundation-only': 'foundation alone',
  'peft-only': 'modules and ranks alone',
  'random-init': 'random base',
};

/** `lora, Light-PEFT` */
export function methodLabel(peft: string, method: string): string {
  return `${peft}, ${LABELS[method] ?? method}`;
}

/** The method by the name that `run` has for it: `comparison.json` calls `reference` by its PEFT. */
export function methodName(id: string, peft: string): string {
  if (id === peft) return 'reference';
  return id === `${peft}-random-init` ? 'random-init' : id;
}

/** Orders runs by PEFT, then by method: those that are known first, others by name. */
export function byMethod(a: Named, b: Named): number {
  const place = ({ method }: Named): number => (Object.keys(LABELS).indexOf(method) + KNOWN) % KNOWN;
  return a.peft.localeCompare(b.peft, 'en') || place(a) - place(b) || a.method.localeCompare(b.method, 'en');
}

/** By task in the order in which they were found, then by method, ratio, learning rate and seed. */
export function sortedRows(rows: readonly RunRow[]): RunRow[] {
  const tasks = [...new Set(rows.map(({ task }) => task))];
  const numbers = ({ headsRatio, neuronsRatio, lr, seed }: RunRow) => [headsRatio, neuronsRatio, lr, seed];
  const byNumbers = (a: RunRow, b: RunRow): number =>
    numbers(a).reduce<number>((order, value, i) => order || (value ?? 0) - (numbers(b)[i] ?? 0), 0);
  return [...rows].sort((a, b) => tasks.indexOf(a.task) - tasks.indexOf(b.task) || byMethod(a, b) || byNumbers(a, b));
}

interface Named {
  readonly peft: string;
  readonly method: string;
}

/** Places of methods; the last is that of those without a label. */
const KNOWN = Object.keys(LABELS).length + 1;

export interface Ratios {
  readonly headsRatio: number | null;
  readonly neuronsRatio: number | null;
  readonly moduleRatio: number | null;
  readonly rankRatio: number | null;
}

/** Ratios of options, without those that the method does not read. */
export function prunedRatios(method: string, given: Ratios): Ratios {
  const isWhole = method === 'reference' || method === 'random-init';
  return {
    ...given,
    ...((isWhole || method === 'peft-only') && { headsRatio: 0, neuronsRatio: 0 }),
    ...((isWhole || method === 'foundation-only') && { moduleRatio: 0, rankRatio: 0 }),
  };
}
