/** Tests only: texts by seed, with what tokenizers treat in ways of their own. */
import { hostRandom, type HostRandom } from '../../../engine/random.ts';

/** Words of all tokenizers' vocabularies; some also occur in other case. */
export const WORDS = [
  ...['the', 'film', 'was', 'good', 'filmmaking', 'bad', 'zoë', 'zoe', 'covid', '19', 'naïve', 'fine', 'ﬁne', 'über'],
  ...['café', 'cafe', 'οδος', 'οδοσ', 'i̇stanbul', 'ıssız', 'straße', 'strasse', 'дом', '日本', '語', 'カメラ', 'ｶﾞ'],
  ...['한국', 'ไทย', 'हिन्दी', 'عربي', "don't", "we'll", '...', '1999', '3', '½', '①', '😀', '👩‍👩‍👧', 'ångström'],
] as const;

const OTHER = [
  ...['ΟΔΟΣ', 'ΟΔΟΣ.', 'ΣΑΣ', 'İstanbul', 'IĞDIR', 'STRASSE', 'ẞ', 'ﬂow', 'ﬃ', 'Ångström', 'Å', 'Ω', 'ǆ', 'ŉ', 'ſ'],
  ...['e\u0301', 'a\u0308\u0323', '\u0301', 'q\u0307\u0323', '\u1100\u1161\u11a8', 'カ\u3099', 'नि', '\u0e33'],
  ...['\u200d', '\u200c', '\u200b', '\u2060', '\ufeff', '\u00ad', '\u202e', '\u0000', '\u0007', '\u001f', '\u007f'],
  ...['\u0085', '\u2028', '\ufffd', '\ufffe', '\ufdd0', '\ue000', '\u{10ffff}', '\ud800', '\udc00', 'a\udfffb'],
  ...['🇩🇪', '👍🏽', '❤️', '🏴‍☠️', '1️⃣', '𝐀𝐁', '𝄞', '𠮷', '㍿', '㈱', '…', '“q”', '‘s’', '—', '_', '__a', '$5', '^', '`'],
  ...[
    'x1y2',
    '٣',
    '१२',
    'Ⅳ',
    'm²',
    'don’t',
    "'S",
    '<s>',
    '</s>',
    '[MASK]',
    '<|end|>',
    '##ing',
    '▁',
    'Ġ',
    '</w>',
    '<0x41>',
  ],
  ...[
    'COVID-19',
    'Covid-19',
    'Zoë',
    'ZOË',
    'Zoe\u0308',
    'new york',
    'New York',
    'tag',
    'xtag',
    'tagé',
    'tag1',
    '<sep>',
  ],
  ...['w'.repeat(101), 'filmfilm'.repeat(40), 'é'.repeat(120), '日'.repeat(60), '!'.repeat(30)],
] as const;

const SPACES = [
  ' ',
  ' ',
  ' ',
  ' ',
  ' ',
  '',
  '',
  '  ',
  '\n',
  '\t',
  '\r\n',
  '\u00a0',
  '\u3000',
  '\u2003',
  ' \n ',
] as const;

/** Texts of up to a dozen parts; the first is empty. */
export function fuzzTexts(seed: number, count: number): string[] {
  const random = hostRandom(seed, 0);
  return Array.from({ length: count }, (_, i) => (i === 0 ? '' : textOf(random)));
}

function textOf(random: HostRandom): string {
  const parts = Array.from({ length: 1 + random.below(12) }, () => partOf(random) + pick(random, SPACES));
  return (random.below(4) === 0 ? ' ' : '') + parts.join('');
}

function partOf(random: HostRandom): string {
  const kind = random.below(16);
  if (kind < 7) return pick(random, WORDS);
  if (kind === 7) return pick(random, WORDS).toUpperCase();
  if (kind < 13) return pick(random, OTHER);
  if (kind === 13) return String.fromCodePoint(random.below(0x250));
  return String.fromCodePoint(random.below(kind === 14 ? 0x3100 : 0x110000));
}

function pick<T>(random: HostRandom, items: readonly T[]): T {
  return items[random.below(items.length)]!;
}
