/** Tests only: the stored part of the comparison with the library: what is compared, and how it is told in short. */
import { createHash } from 'node:crypto';
import { join } from 'node:path';
import { fuzzTexts } from './texts.ts';

/** Written by `npm run tokenizers -- --write`: a digest of the reference's lines for each tokenizer. */
export const DIGESTS = join(import.meta.dirname, 'digests.json');

/** The texts behind a tokenizer's digest: one of three lists. */
export function storedTexts(number: number): string[] {
  return fuzzTexts(number % 3, 100);
}

/** @param lines one of each text, separated by line feeds */
export function digestOf(lines: string): string {
  return createHash('sha256').update(lines).digest('hex').slice(0, 16);
}
