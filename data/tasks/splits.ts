/**
 * Room: data/tasks. The published train/validation/test splits of the built-in tasks: small files beside this one that name
 * every example by a hash of its text, so that neither the order nor the version of a package can move an example.
 * `scripts/make-splits.ts` writes them; touches only `splits/*.json`.
 */
import { createHash } from 'node:crypto';
import { readFile } from 'node:fs/promises';
import { UserError } from '../../engine/errors.ts';
import { installCommand } from '../../engine/io/packages.ts';
import { withoutNearDuplicates } from '../dedup.ts';
import { withoutMarks } from './windows-1252.ts';

/** An example before it is assigned to a split; `stratum` names the part of the source whose share every split keeps. */
export interface RawItem {
  readonly text: string;
  readonly label: number;
  readonly stratum: string;
}

/** Content hashes by split. Hash order is a fixed shuffle, so file order mixes labels and sources. */
export interface Splits {
  readonly train: readonly string[];
  readonly validation: readonly string[];
  readonly test: readonly string[];
}

/** A fifth is held out for the final figures; a tenth of the rest is for choosing hyper-parameters and early stopping. */
const TEST_SHARE = 0.2;
const VALIDATION_SHARE = 0.08;

/**
 * First 40 bits of SHA-256 of the text, in hex. Typographic marks count as spaces: they are what decoders of old character
 * sets disagree on.
 */
export function contentHash(text: string): string {
  const plain = withoutMarks(text).replace(/\s+/g, ' ').trim();
  return createHash('sha256').update(plain).digest('hex').slice(0, 10);
}

/** Drops near-duplicates, then splits every stratum by rank of content hash. */
export function makeSplits(items: readonly RawItem[]): Splits {
  const strata = new Map<string, string[]>();
  for (const i of withoutNearDuplicates(items.map((item) => item.text))) {
    const { text, stratum } = items[i] as RawItem;
    strata.set(stratum, [...(strata.get(stratum) ?? []), contentHash(text)]);
  }
  const splits = { train: [] as string[], validation: [] as string[], test: [] as string[] };
  for (const hashes of strata.values()) {
    hashes.sort();
    const test = Math.round(hashes.length * TEST_SHARE);
    const validation = test + Math.round(hashes.length * VALIDATION_SHARE);
    splits.test.push(...hashes.slice(0, test));
    splits.validation.push(...hashes.slice(test, validation));
    splits.train.push(...hashes.slice(validation));
  }
  const all = [...splits.train, ...splits.validation, ...splits.test];
  if (new Set(all).size !== all.length) throw new Error('two texts share a content hash: lengthen contentHash');
  return { train: splits.train.sort(), validation: splits.validation.sort(), test: splits.test.sort() };
}

function splitsUrl(task: string): URL {
  return new URL(`./splits/${task}.json`, import.meta.url);
}

/** The committed splits of a built-in task. */
export async function readSplits(task: string): Promise<Splits> {
  const file = JSON.parse(await readFile(splitsUrl(task), 'utf8')) as Record<keyof Splits, string>;
  return {
    train: file.train.split(' '),
    validation: file.validation.split(' '),
    test: file.test.split(' '),
  };
}

/** The text of a split file: each split one string of hashes separated by spaces. */
export function formatSplits(splits: Splits): string {
  const { train, validation, test } = splits;
  const joined = { train: train.join(' '), validation: validation.join(' '), test: test.join(' ') };
  return `${JSON.stringify(joined, null, 2)}\n`;
}

/**
 * The items of one split, in the split's order.
 * @param name of the package that the items are from
 * @throws UserError where the installed data lack one of the split's texts
 */
export function pick<T extends RawItem>(items: readonly T[], hashes: readonly string[], name: string): T[] {
  const byHash = new Map<string, T>();
  for (const item of items) {
    const hash = contentHash(item.text);
    if (!byHash.has(hash)) byHash.set(hash, item);
  }
  const missing = hashes.filter((hash) => !byHash.has(hash)).length;
  if (missing > 0) {
    throw new UserError(
      `${name}: ${missing} of ${hashes.length} texts named by the published split are not there; ` +
        `\`${installCommand([name])}\` installs a version that has them`,
    );
  }
  return hashes.map((hash) => byHash.get(hash)!);
}
