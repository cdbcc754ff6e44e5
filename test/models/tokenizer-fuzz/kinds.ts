/** Tests only: tokenizers of all components that `tokenizer.json` knows, put together by number. */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { byteCharacters } from '../../../pretrain/bpe.ts';
import { WORDS } from './texts.ts';

type Json = Readonly<Record<string, unknown>>;

const SPECIAL = ['[PAD]', '[UNK]', '<s>', '</s>', '[MASK]'] as const;
const UNKNOWN = 1;
const [START, END] = [
  ['<s>', 2],
  ['</s>', 3],
] as const;

const sequence = (key: string, parts: readonly Json[]): Json => ({ type: 'Sequence', [key]: parts });
const normalizers = (...parts: Json[]): Json => sequence('normalizers', parts);
const before = (...parts: Json[]): Json => sequence('pretokenizers', parts);
const decoders = (...parts: Json[]): Json => sequence('decoders', parts);
const text = (pattern: string): Json => ({ String: pattern });
const regex = (pattern: string): Json => ({ Regex: pattern });

const replace = (pattern: Json, content: string): Json => ({ type: 'Replace', pattern, content });
const bert = (clean: boolean, chinese: boolean, strip: boolean | null, lowercase: boolean): Json => ({
  ...{ type: 'BertNormalizer', clean_text: clean, handle_chinese_chars: chinese, strip_accents: strip, lowercase },
});
const charsmap = readFileSync(join(import.meta.dirname, 'charsmap.txt'), 'utf8').trim();

const NORMALIZERS: readonly (Json | null)[] = [
  null,
  ...['NFC', 'NFD', 'NFKC', 'NFKD', 'Lowercase', 'StripAccents', 'Nmt', 'ByteLevel'].map((type) => ({ type })),
  { type: 'Strip', strip_left: true, strip_right: true },
  { type: 'Strip', strip_left: true, strip_right: false },
  { type: 'Prepend', prepend: '▁' },
  replace(text(' '), '▁'),
  replace(regex('\\s+|[^\\w\\s]'), ' '),
  bert(true, true, null, true),
  bert(true, false, true, false),
  bert(false, true, false, true),
  { type: 'Precompiled', precompiled_charsmap: charsmap },
  normalizers({ type: 'NFD' }, { type: 'StripAccents' }, { type: 'Lowercase' }),
  normalizers({ type: 'Precompiled', precompiled_charsmap: charsmap }, replace(regex(' {2,}'), ' ')),
  normalizers({ type: 'Prepend', prepend: '▁' }, replace(text(' '), '▁')),
];

const BEHAVIOURS = ['Removed', 'Isolated', 'MergedWithPrevious', 'MergedWithNext', 'Contiguous'] as const;
const byteLevel = (prefix: boolean, useRegex = true): Json => ({
  ...{ type: 'ByteLevel', add_prefix_space: prefix, trim_offsets: true, use_regex: useRegex },
});
const metaspace = (prepend_scheme: string, split: boolean): Json => ({
  ...{ type: 'Metaspace', replacement: '▁', prepend_scheme, split },
});
const split = (pattern: Json, behavior: string, invert = false): Json => ({ type: 'Split', pattern, behavior, invert });
/** The patterns of Llama 3 and Qwen 2 are this but for how many digits make a number. */
const numbers = (digits: string): string =>
  "(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\\r\\n\\p{L}\\p{N}]?\\p{L}+|" +
  `\\p{N}${digits}| ?[^\\s\\p{L}\\p{N}]+[\\r\\n]*|\\s*[\\r\\n]+|\\s+(?!\\S)|\\s+`;

const PRE_TOKENIZERS: readonly (Json | null)[] = [
  ...['BertPreTokenizer', 'Whitespace', 'WhitespaceSplit', 'UnicodeScripts'].map((type) => ({ type })),
  byteLevel(false),
  byteLevel(true),
  metaspace('always', true),
  metaspace('first', false),
  metaspace('never', true),
  { type: 'CharDelimiterSplit', delimiter: '-' },
  ...BEHAVIOURS.map((behavior) => ({ type: 'Punctuation', behavior })),
  ...BEHAVIOURS.map((behavior) => split(text('a'), behavior)),
  split(regex('\\w+'), 'Isolated', true),
  { type: 'Digits', individual_digits: true },
  { type: 'Digits', individual_digits: false },
  { type: 'FixedLength', length: 3 },
  before(split(regex(numbers('{1,3}')), 'Isolated'), byteLevel(false, false)),
  before(split(regex(numbers('')), 'Isolated'), byteLevel(false, false)),
  before({ type: 'WhitespaceSplit' }, metaspace('always', true)),
  before(
    { type: 'Whitespace' },
    { type: 'Digits', individual_digits: true },
    { type: 'Punctuation', behavior: 'Isolated' },
  ),
  null,
];

const unique = (tokens: readonly string[]): string[] => [...new Set(tokens)];
const vocabulary = (tokens: readonly string[]): Json =>
  Object.fromEntries(unique([...SPECIAL, ...tokens]).map((token, id) => [token, id]));
const BYTES = byteCharacters();
const asBytes = (word: string): string => Array.from(Buffer.from(word), (byte) => BYTES[byte]!).join('');
const FALLBACK = Array.from({ length: 256 }, (_, b) => `<0x${b.toString(16).toUpperCase().padStart(2, '0')}>`);
/** As words of a text come: alone, behind a space of either sign, in bytes. */
const FORMS = WORDS.flatMap((word) => [word, `▁${word}`, asBytes(word), asBytes(` ${word}`)]);
const LETTERS = unique([...FORMS.flatMap((form) => Array.from(form)), ...BYTES]);

/** Pairs that make each word from its left, with the signs that a model writes inside and at the end of words. */
function bpe(fields: Json, { inside = '', end = '', more = [] as readonly string[] } = {}): Json {
  const tokens = new Set<string>([...LETTERS, ...LETTERS.map((letter) => inside + letter), ...more]);
  if (end) LETTERS.forEach((letter) => tokens.add(letter + end));
  const merges = new Map<string, [string, string]>();
  for (const form of FORMS) {
    const letters = Array.from(form);
    const last = letters.length - 1;
    const written = letters.map((letter, i) => (i > 0 ? inside : '') + letter + (i === last ? end : ''));
    written.slice(1).reduce((left, right) => {
      const joined = left + right.slice(inside.length);
      merges.set(`${left} ${right}`, [left, right]);
      tokens.add(joined);
      return joined;
    }, written[0]!);
  }
  const signs = { continuing_subword_prefix: inside || null, end_of_word_suffix: end || null };
  const plain = { dropout: null, fuse_unk: false, byte_fallback: false, ignore_merges: false };
  const model = { ...signs, ...plain, unk_token: null, ...fields };
  return { type: 'BPE', ...model, vocab: vocabulary([...tokens]), merges: [...merges.values()] };
}

function unigram(unk_id: number, byte_fallback: boolean): Json {
  const pieces = unique([...SPECIAL, ...FORMS, ...LETTERS, ...(byte_fallback ? FALLBACK : [])]);
  return { type: 'Unigram', unk_id, byte_fallback, vocab: pieces.map((piece, i) => [piece, -2 - (i % 13) / 3]) };
}

const wordPiece = (max_input_chars_per_word: number, prefix: string): Json => {
  const parts = WORDS.flatMap((word) => {
    const letters = Array.from(word);
    const ends = letters.map((_, i) => prefix + letters.slice(i).join(''));
    return [word, letters.slice(0, 2).join(''), ...ends];
  });
  const vocab = vocabulary([...parts, ...FORMS]);
  return { type: 'WordPiece', unk_token: '[UNK]', continuing_subword_prefix: prefix, max_input_chars_per_word, vocab };
};

const MODELS: readonly Json[] = [
  wordPiece(100, '##'),
  wordPiece(8, '##'),
  { type: 'WordLevel', unk_token: '[UNK]', vocab: vocabulary(FORMS) },
  bpe({}),
  bpe({ unk_token: '[UNK]' }),
  bpe({ unk_token: '[UNK]', fuse_unk: true }),
  bpe({ unk_token: '[UNK]', fuse_unk: true, byte_fallback: true }, { more: FALLBACK }),
  bpe({ unk_token: '[UNK]', ignore_merges: true }),
  bpe({ unk_token: '[UNK]' }, { inside: '##' }),
  bpe({ unk_token: '[UNK]' }, { end: '</w>' }),
  unigram(UNKNOWN, false),
  unigram(UNKNOWN, true),
];

const trim = (type: string, add_prefix_space: boolean, trim_offsets: boolean): Json => ({
  ...(type === 'RobertaProcessing' && { sep: END, cls: START }),
  ...{ type, add_prefix_space, trim_offsets, ...(type === 'ByteLevel' && { use_regex: true }) },
});
const special = (id: string, type_id = 0): Json => ({ SpecialToken: { id, type_id } });
const part = (id: 'A' | 'B', type_id = 0): Json => ({ Sequence: { id, type_id } });
const template = (single: readonly Json[], pair: readonly Json[]): Json => ({
  ...{ type: 'TemplateProcessing', single, pair },
  special_tokens: Object.fromEntries(
    [START, END].map(([token, id]) => [token, { id: token, ids: [id], tokens: [token] }]),
  ),
});

const POST_PROCESSORS: readonly (Json | null)[] = [
  null,
  { type: 'BertProcessing', sep: END, cls: START },
  trim('RobertaProcessing', true, true),
  trim('RobertaProcessing', false, true),
  trim('RobertaProcessing', true, false),
  trim('ByteLevel', true, true),
  trim('ByteLevel', false, true),
  template([special('<s>'), part('A')], [special('<s>'), part('A'), special('</s>'), part('B', 1), special('</s>', 1)]),
  template([part('A'), special('</s>')], [part('B', 2), special('</s>'), part('A', 1)]),
  sequence('processors', []),
  sequence('processors', [
    trim('ByteLevel', true, true),
    template([special('<s>'), part('A')], [part('A'), part('B', 1)]),
  ]),
];

const DECODERS: readonly (Json | null)[] = [
  null,
  ...['ByteFallback', 'Fuse'].map((type) => ({ type })),
  byteLevel(true),
  { type: 'WordPiece', prefix: '##', cleanup: true },
  { type: 'WordPiece', prefix: '##', cleanup: false },
  { type: 'BPEDecoder', suffix: '</w>' },
  metaspace('always', true),
  metaspace('never', true),
  { type: 'CTC', pad_token: '[PAD]', word_delimiter_token: '|', cleanup: true },
  { type: 'Strip', content: 'e', start: 0, stop: 1 },
  replace(text('▁'), ' '),
  decoders(
    replace(text('▁'), ' '),
    { type: 'ByteFallback' },
    { type: 'Fuse' },
    { type: 'Strip', content: ' ', start: 1, stop: 0 },
  ),
];

const FLAGS = ['single_word', 'lstrip', 'rstrip', 'normalized', 'special'] as const;
const CONTENTS = ['tag', 'COVID-19', 'Zoë', 'new york', '<sep>', '<|end|>', 'ﬁ', 'é', '日本'] as const;

/** The special tokens, and others whose flags are the bits of a number. */
function addedTokens(number: number, size: number): Json[] {
  const flags = (bits: number): Json => Object.fromEntries(FLAGS.map((flag, i) => [flag, ((bits >> i) & 1) === 1]));
  const own = SPECIAL.map((content, id) => ({ id, content, ...flags(16 + (id === 4 ? 2 : 0)) }));
  return [
    ...own,
    ...CONTENTS.map((content, i) => ({ id: size + i, content, ...flags(number * 9 + i * 7 + (number % 3) * 8) })),
  ];
}

/** How many tokenizers it takes until every component was part of several. */
export const KINDS = 60;

/** The file of a tokenizer; lists of different lengths meet anew in each. @param number from 0 to before `KINDS` */
export function tokenizerJson(number: number): Json {
  const take = <T>(items: readonly T[]): T => items[number % items.length]!;
  const model = take(MODELS);
  const size = Object.keys(model.vocab as object).length;
  return {
    ...{ version: '1.0', truncation: null, padding: null },
    added_tokens: addedTokens(number, size),
    normalizer: take(NORMALIZERS),
    pre_tokenizer: take(PRE_TOKENIZERS),
    post_processor: take(POST_PROCESSORS),
    decoder: take(DECODERS),
    model,
  };
}
