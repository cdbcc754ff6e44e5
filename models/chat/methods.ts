/** Room: models/chat. Methods of Python's `str`, `dict` and `list`; none of those that change their object, which templates may not. Pure. */
import { bind, needText } from './arguments.ts';
import { braceFormat } from './python-format.ts';
import {
  isDict,
  isEqual,
  isList,
  itemsOf,
  lengthOf,
  stripEnd,
  stripStart,
  TemplateError,
  text,
  tuple,
  WORDS,
  type Callable,
  type Dict,
  type Tuple,
  type Value,
} from './values.ts';

type Methods<T> = Readonly<Record<string, (self: T, ...args: Parameters<Callable>) => Value>>;

/** Python's `str.capitalize`. */
export const capitalize = (value: string): string => {
  const [first = '', ...rest] = Array.from(value);
  return first.toUpperCase() + rest.join('').toLowerCase();
};

/** Python's `str.splitlines`. */
export function splitLines(value: string): string[] {
  const lines = value.split(/\r\n|[\n\r\v\f\x1c-\x1e\x85\u2028\u2029]/);
  return lines[lines.length - 1] === '' ? lines.slice(0, -1) : lines;
}

/** Python's `str.replace`. @param count of replacements from the left; absent or below 0: all */
export function replaced(value: string, old: string, by: string, count: Value): string {
  if (count === undefined || count === null || Number(count) < 0) return value.replaceAll(old, () => by);
  const parts = old === '' ? ['', ...Array.from(value)] : value.split(old);
  const most = Number(count);
  return parts.slice(0, most + 1).join(by) + (parts.length > most + 1 ? old + parts.slice(most + 1).join(old) : '');
}

function split(value: string, separator: Value, most: Value): string[] {
  const limit = most === undefined || Number(most) < 0 ? Infinity : Number(most);
  if (separator === undefined || separator === null) {
    const words = [...value.matchAll(WORDS)];
    if (words.length <= limit) return words.map(([word]) => word);
    return [...words.slice(0, limit).map(([word]) => word), value.slice(words[limit]!.index)];
  }
  const by = needText(separator, 'sep');
  if (by === '') throw new TemplateError('empty separator');
  const parts = value.split(by);
  return parts.length <= limit ? parts : [...parts.slice(0, limit), parts.slice(limit).join(by)];
}

function splitRight(value: string, separator: Value, most: Value): string[] {
  const turn = (one: string): string => Array.from(one).reverse().join('');
  const by = typeof separator === 'string' ? turn(separator) : separator;
  return split(turn(value), by, most).map(turn).reverse();
}

const strip =
  (work: (value: string, characters?: string) => string) =>
  (self: string, args: readonly Value[]): Value =>
    work(self, args[0] === undefined || args[0] === null ? undefined : needText(args[0], 'strip argument'));

const begins =
  (test: (value: string, part: string) => boolean) =>
  (self: string, [parts]: readonly Value[]): Value =>
    (isList(parts) ? parts : [parts]).some((part) => test(self, needText(part, 'prefix')));

const every =
  (pattern: RegExp) =>
  (self: string): Value =>
    pattern.test(self);

/** Places are of code points. */
const find =
  (from: 'indexOf' | 'lastIndexOf', mustBe: boolean) =>
  (self: string, [part]: readonly Value[]): Value => {
    const at = self[from](needText(part, 'substring'));
    if (at < 0 && mustBe) throw new TemplateError('substring not found');
    return at < 0 ? -1 : lengthOf(self.slice(0, at));
  };

const pad =
  (before: (missing: number) => number) =>
  (self: string, [width, fill = ' ']: readonly Value[]): Value => {
    const missing = Math.max(0, Number(width) - lengthOf(self));
    const left = before(missing);
    return text(fill).repeat(left) + self + text(fill).repeat(missing - left);
  };

const isCased = (value: string): boolean => value.toLowerCase() !== value.toUpperCase();

const STRING: Methods<string> = {
  upper: (self) => self.toUpperCase(),
  lower: (self) => self.toLowerCase(),
  casefold: (self) => self.toLowerCase(),
  capitalize,
  title: (self) => self.replace(/\p{L}+/gu, capitalize),
  strip: strip((value, characters) => stripEnd(stripStart(value, characters), characters)),
  lstrip: strip(stripStart),
  rstrip: strip(stripEnd),
  startswith: begins((value, part) => value.startsWith(part)),
  endswith: begins((value, part) => value.endsWith(part)),
  removeprefix: (self, [part]) => (self.startsWith(text(part)) ? self.slice(text(part).length) : self),
  removesuffix: (self, [part]) =>
    text(part) !== '' && self.endsWith(text(part)) ? self.slice(0, -text(part).length) : self,
  split: (self, args, named) => {
    const { sep, maxsplit } = bind(['sep', 'maxsplit'], args, named);
    return split(self, sep, maxsplit);
  },
  rsplit: (self, args, named) => {
    const { sep, maxsplit } = bind(['sep', 'maxsplit'], args, named);
    return splitRight(self, sep, maxsplit);
  },
  splitlines: splitLines,
  partition: (self, [separator]) => {
    const [before, ...after] = split(self, separator, 1) as [string, ...string[]];
    return tuple([before, ...(after.length === 0 ? ['', ''] : [separator, after[0]])]);
  },
  rpartition: (self, [separator]) => {
    const parts = splitRight(self, separator, 1);
    return tuple(parts.length === 1 ? ['', '', parts[0]] : [parts[0], separator, parts[1]]);
  },
  replace: (self, args, named) => {
    const { old, new: by, count } = bind(['old', 'new', 'count'], args, named);
    return replaced(self, needText(old, 'replace() argument 1'), needText(by, 'replace() argument 2'), count);
  },
  join: (self, [items]) =>
    itemsOf(items)
      .map((item) => needText(item, 'sequence item'))
      .join(self),
  find: find('indexOf', false),
  rfind: find('lastIndexOf', false),
  index: find('indexOf', true),
  count: (self, [part]) => self.split(needText(part, 'substring')).length - 1,
  isdigit: every(/^\p{Nd}+$/u),
  isnumeric: every(/^\p{N}+$/u),
  isalpha: every(/^\p{L}+$/u),
  isalnum: every(/^[\p{L}\p{N}]+$/u),
  isspace: (self) => self !== '' && stripStart(self) === '',
  isupper: (self) => isCased(self) && self === self.toUpperCase(),
  islower: (self) => isCased(self) && self === self.toLowerCase(),
  ljust: pad(() => 0),
  rjust: pad((missing) => missing),
  zfill: (self, [width]) => self.padStart(Number(width), '0'),
  format: braceFormat,
};

/** Keys with their values. */
export const pairsOf = (dict: Dict): Tuple[] => Array.from(dict, tuple);

const DICT: Methods<Dict> = {
  get: (self, [key, fallback = null]) => (self.has(key) ? self.get(key) : fallback),
  items: (self) => pairsOf(self),
  keys: (self) => [...self.keys()],
  values: (self) => [...self.values()],
  copy: (self) => self,
};

const LIST: Methods<readonly Value[]> = {
  copy: (self) => self,
  count: (self, [item]) => self.filter((one) => isEqual(one, item)).length,
  index: (self, [item]) => {
    const at = self.findIndex((one) => isEqual(one, item));
    if (at < 0) throw new TemplateError('the item is not in the list');
    return at;
  },
};

/** The method of a value; undefined where it has none of that name. */
export function methodOf(self: Value, name: string): Callable | undefined {
  const bound = <T>(methods: Methods<T>, value: T): Callable | undefined => {
    const method = Object.hasOwn(methods, name) ? methods[name] : undefined;
    return method && ((args, named) => method(value, args, named));
  };
  if (typeof self === 'string') return bound(STRING, self);
  if (isDict(self)) return bound(DICT, self);
  return isList(self) ? bound(LIST, self) : undefined;
}
