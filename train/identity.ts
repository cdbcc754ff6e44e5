/**
 * Room: train. What a run's numbers depend on, as plain facts: checkpoints and finished runs are only taken up where all of them are
 * the same.
 */
import { option } from '../engine/errors.ts';

/** Options by name, lists and patterns as text. */
export type RunIdentity = Readonly<Record<string, string | number | boolean>>;

/** Keys that files of version 0.1 have for options that were renamed since. */
const RENAMED: Readonly<Record<string, string>> = {
  peft: 'method',
  loraR: 'r',
  clip: 'maxGradNorm',
  bucket: 'groupByLength',
  headsRatio: 'heads',
  ffnRatio: 'neurons',
  ffnScope: 'neuronsScope',
  moduleRatio: 'modules',
  rankRatio: 'ranks',
  rankScope: 'ranksScope',
  carry: 'startFrom',
};

/**
 * An identity as written by any version, under today's names. Version 0.1 has the path of an adapter to start from: it tells only whether
 * there was one. It has the split that was evaluated too, which a hash tells now.
 */
export function fromOldKeys<T>(identity: Readonly<Record<string, T>>): Record<string, T> {
  const entries = Object.entries(identity).filter(
    ([key, value]) => key !== 'evalSplit' && (key !== 'initAdapter' || value === ''),
  );
  return Object.fromEntries(
    entries.map(([key, value]) => [key === 'initAdapter' ? contentKey(key) : (RENAMED[key] ?? key), value]),
  );
}

/** The fact that holds a hash of what an option names. */
export function contentKey(option: string): string {
  return `${option}Content`;
}

/** Options as facts: those that are not set are left out, lists and records become text. */
export function factsOf(options: Readonly<Record<string, unknown>>): Record<string, string | number | boolean> {
  return Object.fromEntries(
    Object.entries(options).flatMap(([key, value]) => (value === undefined ? [] : [[key, factOf(value)]])),
  );
}

function factOf(value: unknown): string | number | boolean {
  if (Array.isArray(value)) return value.join(',');
  if (typeof value === 'object' && value !== null) {
    return Object.entries(value)
      .map(([name, entry]) => `${name}=${String(entry)}`)
      .join(',');
  }
  return typeof value === 'number' || typeof value === 'boolean' ? value : String(value);
}

/** A fact in which two identities differ. */
interface Difference {
  readonly key: string;
  readonly before: unknown;
  readonly after: unknown;
}

/**
 * The first fact in which two identities differ. Files of version 0.1 have a value as it was typed, and no hashes; what an earlier version
 * did not know was off.
 */
export function firstDifference(written: Readonly<Record<string, unknown>>, now: RunIdentity): Difference | undefined {
  const keys = new Set([...Object.keys(written), ...Object.keys(now)]);
  const isUnknown = (name: string): boolean =>
    written[name] === undefined && (now[name] === false || isHash(now[name]));
  const key = [...keys].find((name) => !isUnknown(name) && textOf(written[name]) !== textOf(now[name]));
  return key === undefined ? undefined : { key, before: written[key], after: now[key] };
}

function isHash(value: unknown): boolean {
  return typeof value === 'string' && value.startsWith('sha256:');
}

/** A difference as the beginning of an error. */
export function differenceText({ key, before, after }: Difference): string {
  const [, named] = /^(.*)Content$/.exec(key) ?? [];
  if (named !== undefined) return `the content of ${option(named)} is not what it was`;
  if (key === 'base') return `the weights of ${option('model')} are not what they were`;
  return `${option(key)} was ${String(before)}, now it is ${String(after)}`;
}

function textOf(value: unknown): string {
  const text = String(value)
    .trim()
    .replace(/\s*,\s*/g, ',');
  return text === '' || Number.isNaN(Number(text)) ? text : String(Number(text));
}
