/** Room: report/sweep. Options that differ between trials: their values in order, and as text. Pure. */
import { max, median, min } from 'simple-statistics';
import type { TrialConfig, TrialRecord } from './schema.ts';

export const SEED = 'seed';

type Value = TrialConfig[string];

/** An option that trials differ in. */
export interface Axis {
  readonly name: string;
  /** Whether all values are numbers; those that are not set do not count. */
  readonly isNumeric: boolean;
  /** Numbers too far apart for a linear scale. */
  readonly isLog: boolean;
  /** Numbers by size, others in order of first appearance; without those that are not set. */
  readonly values: readonly Value[];
  /** Whether some trials do not set it. */
  readonly isSometimesUnset: boolean;
}

/** Largest beside smallest above which a scale is logarithmic, where most values lie in this lowest part of a linear one. */
const LOG_RATIO = 100;
const LOG_PART = 0.25;

/** In the order of the names; the seed is none of them. */
export function axesOf(names: readonly string[], trials: readonly Pick<TrialRecord, 'config'>[]): Axis[] {
  return names.filter((name) => name !== SEED).map((name) => axisOf(name, trials));
}

function axisOf(name: string, trials: readonly Pick<TrialRecord, 'config'>[]): Axis {
  const found = new Map<string, Value>();
  let isSometimesUnset = false;
  for (const { config } of trials) {
    const value = valueOf(config, name);
    if (value === undefined) isSometimesUnset = true;
    else found.set(JSON.stringify(value), value);
  }
  const values = [...found.values()];
  const numbers = values.filter((value) => typeof value === 'number');
  const isNumeric = values.length > 0 && numbers.length === values.length;
  if (!isNumeric) return { name, isNumeric, isLog: false, values, isSometimesUnset };
  return { name, isNumeric, isLog: needsLog(numbers), values: numbers.sort((a, b) => a - b), isSometimesUnset };
}

/** Whether numbers are too far apart for a linear scale. */
export function needsLog(numbers: readonly number[]): boolean {
  const [low, high] = [min([...numbers]), max([...numbers])];
  return low > 0 && high / low > LOG_RATIO && (median([...numbers]) - low) / (high - low) < LOG_PART;
}

/** Undefined where it is not set. */
export function valueOf(config: TrialConfig, name: string): Exclude<Value, null> | undefined {
  return Object.hasOwn(config, name) ? (config[name] ?? undefined) : undefined;
}

export const UNSET = '–';

/** An option's value for people. */
export function valueText(value: Value | undefined): string {
  if (value === undefined || value === null) return UNSET;
  if (typeof value === 'number') return numberText(value);
  if (Array.isArray(value)) return value.map((item) => valueText(item)).join(', ');
  return typeof value === 'object' ? JSON.stringify(value) : String(value);
}

/** `0.5`, `3e-4`, `−1`. */
function numberText(value: number): string {
  const text = String(Number(Math.abs(value).toPrecision(6)));
  const size = value !== 0 && Math.abs(value) < 1e-3 ? Number(text).toExponential() : text;
  return value < 0 ? `−${size}` : size;
}

/** Options that are set, in a few words: `light-peft, heads-ratio 0.5`. */
export function describeOptions(config: TrialConfig, names: readonly string[]): string {
  return names
    .flatMap((name) => {
      const value = valueOf(config, name);
      if (value === undefined) return [];
      return typeof value === 'string' || Array.isArray(value) ? valueText(value) : `${name} ${valueText(value)}`;
    })
    .join(', ');
}
