/**
 * Room: train. What a run's numbers depend on, as plain facts: checkpoints and finished runs are only taken up where all of them are
 * the same.
 */

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

/** An identity as written by any version, under today's names. */
export function fromOldKeys<T>(identity: Readonly<Record<string, T>>): Record<string, T> {
  return Object.fromEntries(Object.entries(identity).map(([key, value]) => [RENAMED[key] ?? key, value]));
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

/** The first fact in which two identities differ, with both values. Files of version 0.1 have a value as it was typed. */
export function firstDifference(
  written: Readonly<Record<string, unknown>>,
  now: RunIdentity,
): { readonly key: string; readonly before: unknown; readonly after: unknown } | undefined {
  const keys = new Set([...Object.keys(written), ...Object.keys(now)]);
  const key = [...keys].find((name) => textOf(written[name]) !== textOf(now[name]));
  return key === undefined ? undefined : { key, before: written[key], after: now[key] };
}

function textOf(value: unknown): string {
  const text = String(value)
    .trim()
    .replace(/\s*,\s*/g, ',');
  return text === '' || Number.isNaN(Number(text)) ? text : String(Number(text));
}
