/** Tests only: damage for files. Of a seed and a case's number always the same: bytes, or values of the JSON inside. */
import { z } from 'zod';
import { hostRandom, type HostRandom } from '../../engine/random.ts';

/** Name of the stream of random numbers, apart from those of training. */
const MUTATION_STREAM = 77;

/** What a JSON value may become: wrong types, numbers at the limits of integers and memory, names that objects have anyway. */
const VALUES: readonly unknown[] = [
  ...[null, true, false, '', 'x', '(', '__proto__', 'constructor', '\u0000', '😀'.repeat(40)],
  ...[-1, 0, 1, 0.5, 1e-300, 255, 65536, 1e6, 1e9, 2 ** 31, 2 ** 32, 2 ** 53, 1e19, 1e308, -1e308],
  ...[[], {}, [1, 2], [[0]], { a: 1 }, [null], { '0': 'x' }],
];

/** Characters that matter to JSON and to header lengths. */
const BYTES = Buffer.from('0123456789-+.eE,:"[]{}\\/u ntrue\0\u007f');

export function randomOf(seed: number, index: number): HostRandom {
  return hostRandom(seed, MUTATION_STREAM, index);
}

/** One to three edits of a file's content. */
export function damage(content: Buffer, name: string, random: HostRandom): Buffer {
  let damaged = content;
  for (let edits = 1 + random.below(3); edits > 0; edits--) damaged = editOnce(damaged, name, random);
  return damaged;
}

function editOnce(content: Buffer, name: string, random: HostRandom): Buffer {
  const kind = random.below(12);
  if (kind === 0 && /\.jsonl?$/.test(name)) return nest(content, random);
  if (kind < 2 && name.endsWith('.safetensors')) return editTensor(content, random) ?? content;
  if (/\.(csv|tsv|yaml)$/.test(name) && random.uniform() < 0.6) return editLine(content, random);
  if (random.uniform() < 0.4) return editBytes(content, name, random);
  return (
    (name.endsWith('.json') ? editJson(content, random) : editHeader(content, random)) ??
    editBytes(content, name, random)
  );
}

function editBytes(content: Buffer, name: string, random: HostRandom): Buffer {
  const reach = name.endsWith('.safetensors') && random.uniform() < 0.7 ? headerEnd(content) : content.length;
  const at = random.below(Math.max(1, Math.min(reach, content.length)));
  const [head, tail] = [content.subarray(0, at), content.subarray(at)];
  const byte = random.uniform() < 0.5 ? random.below(256) : BYTES[random.below(BYTES.length)]!;
  const kind = random.below(16);
  if (kind < 5) return Buffer.concat([head, Buffer.of(byte), tail.subarray(1)]);
  if (kind < 9) return Buffer.concat([head, Buffer.of(byte), tail]);
  if (kind < 13) return Buffer.concat([head, tail.subarray(1)]);
  if (kind < 14) return Buffer.from(head);
  if (kind < 15) return Buffer.concat([content, tail.subarray(0, 64)]);
  return Buffer.concat([head, Buffer.alloc(1 + random.below(16), byte), tail.subarray(16)]);
}

/** What a field of a table or a value of YAML may become. */
const FIELDS = [
  ...[
    '',
    ' ',
    '""',
    '"',
    'nan',
    '-0',
    '+1',
    '1e3',
    '1e999',
    '0x10',
    '1_000',
    '.5',
    'true',
    'yes',
    'null',
    '~',
    '2026-01-01',
  ],
  ...[
    '[1, 2]',
    '[',
    '{ a: 1 }',
    '{',
    '&a [*a]',
    '*b',
    '!!js/function x',
    '- 1',
    'a: b',
    '|',
    '😀',
    '\u0000',
    'x'.repeat(5000),
  ],
];

/** A table or YAML with a line doubled or left out, or one field of it replaced. */
function editLine(content: Buffer, random: HostRandom): Buffer {
  const lines = content.toString('utf8').split('\n');
  const at = random.below(lines.length);
  const line = lines[at]!;
  const kind = random.below(6);
  if (kind === 0) lines.splice(at, 0, line);
  else if (kind === 1) lines.splice(at, 1);
  else {
    const parts = line.split(/([,\t]|: )/);
    parts[2 * random.below(Math.ceil(parts.length / 2))] = FIELDS[random.below(FIELDS.length)]!;
    lines[at] = parts.join('');
  }
  return Buffer.from(lines.join('\n'));
}

/** A value wrapped in lists, more than any file has, or than a stack holds. */
function nest(content: Buffer, random: HostRandom): Buffer {
  const depth = [101, 5000, 200_000][random.below(3)]!;
  const text = content.toString('utf8');
  const at = text.indexOf(':', random.below(Math.max(1, text.length))) + 1;
  const end = at + (/^[^,}\]]*/.exec(text.slice(at))?.[0].length ?? 0);
  return Buffer.from(
    `${text.slice(0, at)}${'['.repeat(depth)}${text.slice(at, end)}${']'.repeat(depth)}${text.slice(end)}`,
  );
}

const entrySchema = z.looseObject({
  dtype: z.enum(['F32', 'F16', 'BF16', 'F64', 'I32', 'I64']),
  data_offsets: z.tuple([z.int().nonnegative(), z.int().nonnegative()]),
});
type Entry = z.infer<typeof entrySchema>;

/** A sound file without one of its tensors, or with a number of one that is NaN or infinite; undefined where it is damaged already. */
function editTensor(content: Buffer, random: HostRandom): Buffer | undefined {
  const end = headerEnd(content);
  const header = soundHeader(content.subarray(8, end));
  const names = Object.keys(header ?? {});
  const name = names[random.below(Math.max(1, names.length))] ?? '';
  const entry = header?.[name];
  if (!header || !entry) return undefined;
  const [from, to] = entry.data_offsets;
  if (to <= from || end + to > content.length) return undefined;
  return random.below(3) === 0 ? withoutTensor(content, header, name) : withNonFinite(content, entry, random);
}

/** Tensors by name, or undefined where the header is damaged. */
function soundHeader(json: Buffer): Record<string, Entry> | undefined {
  let value: unknown;
  try {
    value = JSON.parse(json.toString('utf8'));
  } catch {
    return undefined;
  }
  const found = z.record(z.string(), z.unknown()).safeParse(value);
  if (!found.success) return undefined;
  const { __metadata__: _, ...tensors } = found.data;
  return z.record(z.string(), entrySchema).safeParse(tensors).data;
}

function withoutTensor(content: Buffer, header: Readonly<Record<string, Entry>>, name: string): Buffer {
  const end = headerEnd(content);
  const [from, to] = header[name]!.data_offsets;
  const moved = (offset: number): number => (offset >= to ? offset - (to - from) : offset);
  const rest = Object.entries(header)
    .filter(([other]) => other !== name)
    .map(([other, entry]) => [other, { ...entry, data_offsets: entry.data_offsets.map(moved) }]);
  const json = Buffer.from(JSON.stringify(Object.fromEntries(rest)));
  const prefix = Buffer.alloc(8);
  prefix.writeBigUInt64LE(BigInt(json.length));
  return Buffer.concat([prefix, json, content.subarray(end, end + from), content.subarray(end + to)]);
}

/** The bits of NaN and both infinities. */
const NON_FINITE: Readonly<Record<string, readonly number[]>> = {
  F32: [0x7fc00000, 0x7f800000, 0xff800000],
  F16: [0x7e00, 0x7c00, 0xfc00],
  BF16: [0x7fc0, 0x7f80, 0xff80],
};

function withNonFinite(content: Buffer, { dtype, data_offsets: [from, to] }: Entry, random: HostRandom): Buffer {
  const patterns = NON_FINITE[dtype];
  const width = dtype === 'F32' ? 4 : 2;
  if (!patterns || to - from < width) return content;
  const at = headerEnd(content) + from + width * random.below(Math.floor((to - from) / width));
  const edited = Buffer.from(content);
  edited.writeUIntLE(patterns[random.below(patterns.length)]!, at, width);
  return edited;
}

/** Where the header of a safetensors file ends. */
function headerEnd(content: Buffer): number {
  const length = content.length >= 8 ? content.readBigUInt64LE(0) : 0n;
  return length < BigInt(content.length) ? 8 + Number(length) : content.length;
}

/** A safetensors file with its header's JSON changed and its length set right; undefined where there is no header. */
function editHeader(content: Buffer, random: HostRandom): Buffer | undefined {
  const end = headerEnd(content);
  const header = editJson(content.subarray(8, end), random);
  if (!header) return undefined;
  const prefix = Buffer.alloc(8);
  prefix.writeBigUInt64LE(BigInt(header.length));
  return Buffer.concat([prefix, header, content.subarray(end)]);
}

/** JSON with one value replaced, left out, doubled, or under another name; undefined for what is no JSON any more. */
function editJson(content: Buffer, random: HostRandom): Buffer | undefined {
  // Nested by an edit before: too deep to be written again.
  if (content.includes('['.repeat(101))) return undefined;
  let root: unknown;
  try {
    root = JSON.parse(content.toString('utf8'));
  } catch {
    return undefined;
  }
  const holder = pickHolder(root, random);
  if (!holder) return Buffer.from(JSON.stringify(VALUES[random.below(VALUES.length)]));
  const keys = Object.keys(holder);
  const key = keys[random.below(keys.length)]!;
  const value = Reflect.get(holder, key) as unknown;
  const kind = random.below(8);
  if (kind === 0) Reflect.deleteProperty(holder, key);
  else if (kind === 1) Reflect.set(holder, Array.isArray(holder) ? String(holder.length) : `${key}x`, value);
  else if (kind === 2 && typeof value === 'number') Reflect.set(holder, key, value + (random.below(2) ? 1 : -1));
  else if (kind === 3 && typeof value === 'string')
    Reflect.set(holder, key, value.slice(0, random.below(value.length + 1)));
  else Reflect.set(holder, key, VALUES[random.below(VALUES.length)]);
  return Buffer.from(JSON.stringify(root));
}

/** An object or array that is not empty, at a random depth. */
function pickHolder(root: unknown, random: HostRandom): object | undefined {
  let found: object | undefined;
  for (let at = root; typeof at === 'object' && at !== null && Object.keys(at).length > 0;) {
    found = at;
    if (random.uniform() < 0.35) break;
    const inside: unknown[] = Object.values(at).filter((value) => typeof value === 'object' && value !== null);
    if (inside.length === 0) break;
    at = inside[random.below(inside.length)];
  }
  return found;
}
