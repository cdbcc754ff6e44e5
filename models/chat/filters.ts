/** Room: models/chat. Jinja's filters, with transformers' `tojson`. Pure. */
import { bind, needText } from './arguments.ts';
import { capitalize, pairsOf, replaced, splitLines } from './methods.ts';
import { IS, IS_NOT } from './split.ts';
import { percentFormat } from './python-format.ts';
import { testOf } from './tests.ts';
import {
  compare,
  float,
  isDict,
  isEqual,
  isNumber,
  isTrue,
  itemOf,
  itemsOf,
  jsonText,
  Lazy,
  lengthOf,
  stripEnd,
  stripStart,
  TemplateError,
  text,
  tuple,
  type Tuple,
  typeName,
  WORDS,
  type Named,
  type Value,
} from './values.ts';

type Filter = (value: Value, args: readonly Value[], named: Named) => Value;

/** `a.b.0`: an attribute of an attribute, as filters take them. */
function attributeOf(value: Value, path: Value): Value {
  if (typeof path === 'number') return itemOf(value, path);
  const parts = text(path).split('.');
  return parts.reduce((found, part) => itemOf(found, /^\d+$/.test(part) ? Number(part) : part), value);
}

const folded = (value: Value, isExact: Value): Value =>
  typeof value === 'string' && !isTrue(isExact) ? value.toLowerCase() : value;

const sort: Filter = (value, args, named) => {
  const names = ['reverse', 'case_sensitive', 'attribute'] as const;
  const { reverse, case_sensitive: isExact, attribute } = bind(names, args, named);
  const key = (item: Value): Value =>
    folded(attribute === undefined || attribute === null ? item : attributeOf(item, attribute), isExact);
  const sign = isTrue(reverse) ? -1 : 1;
  return [...itemsOf(value)].sort((a, b) => sign * compare(key(a), key(b)));
};

const extreme =
  (sign: 1 | -1): Filter =>
  (value, args, named) => {
    const { case_sensitive: isExact, attribute } = bind(['case_sensitive', 'attribute'], args, named);
    const key = (item: Value): Value => folded(attribute === undefined ? item : attributeOf(item, attribute), isExact);
    const [first, ...rest] = itemsOf(value);
    return rest.reduce((best, item) => (sign * compare(key(item), key(best)) > 0 ? item : best), first);
  };

/** `select`, `reject` and their kin of attributes. */
const chosen =
  (keep: boolean, byAttribute: boolean): Filter =>
  (value, args) => {
    const [attribute, name, ...rest] = byAttribute ? args : [undefined, ...args];
    const test = name === undefined ? isTrue : testOf(needText(name, 'a test'));
    const of = (item: Value): Value => (byAttribute ? attributeOf(item, attribute) : item);
    return new Lazy(itemsOf(value).filter((item) => test(of(item), rest[0]) === keep));
  };

const map: Filter = (value, args, named) => {
  if (args.length === 0) {
    const { attribute, default: fallback } = bind(['attribute', 'default'], args, named);
    return new Lazy(itemsOf(value).map((item) => attributeOf(item, attribute) ?? fallback));
  }
  const [name, ...rest] = args;
  const filter = filterOf(needText(name, 'a filter'));
  return new Lazy(itemsOf(value).map((item) => filter(item, rest, named)));
};

const tojson: Filter = (value, args, named) => {
  const names = ['ensure_ascii', 'indent', 'separators', 'sort_keys'] as const;
  const { ensure_ascii: ascii, indent, separators, sort_keys: isSorted } = bind(names, args, named);
  const isFlat = indent === undefined || indent === null;
  const own = separators === undefined || separators === null ? undefined : itemsOf(separators).map(text);
  return jsonText(value, {
    ascii: isTrue(ascii),
    indent: isFlat ? undefined : typeof indent === 'string' ? indent : ' '.repeat(Number(indent)),
    separators: (own as [string, string] | undefined) ?? [isFlat ? ', ' : ',', ': '],
    sort: isTrue(isSorted),
  });
};

const indent: Filter = (value, args, named) => {
  const { width = 4, first, blank } = bind(['width', 'first', 'blank'], args, named);
  const space = typeof width === 'string' ? width : ' '.repeat(Number(width));
  const [head = '', ...rest] = splitLines(`${text(value)}\n`);
  const lines = rest.map((line) => (line !== '' || isTrue(blank) ? space + line : line));
  return (isTrue(first) ? space : '') + [head, ...lines].join('\n');
};

const dictsort: Filter = (value, args, named) => {
  const names = ['case_sensitive', 'by', 'reverse'] as const;
  const { case_sensitive: isExact, by = 'key', reverse } = bind(names, args, named);
  const place = by === 'value' ? 1 : 0;
  const sign = isTrue(reverse) ? -1 : 1;
  const key = (entry: readonly Value[]): Value => folded(entry[place], isExact);
  return entriesOf(value).sort((a, b) => sign * compare(key(a), key(b)));
};

function entriesOf(value: Value): Tuple[] {
  if (isDict(value)) return pairsOf(value);
  throw new TemplateError('expected a mapping');
}

const groupby: Filter = (value, args, named) => {
  const { attribute, default: fallback } = bind(['attribute', 'default'], args, named);
  const key = (item: Value): Value => attributeOf(item, attribute) ?? fallback;
  const sorted = [...itemsOf(value)].sort((a, b) => compare(folded(key(a), false), folded(key(b), false)));
  const groups: [key: Value, items: Value[]][] = [];
  for (const item of sorted) {
    const last = groups.at(-1);
    if (last && isEqual(folded(last[0], false), folded(key(item), false))) last[1].push(item);
    else groups.push([key(item), [item]]);
  }
  return groups.map(tuple);
};

/** The number that a text begins with and consists of; undefined where it is none. */
function numberOf(value: Value): number | undefined {
  if (isNumber(value)) return Number(value);
  const found = typeof value === 'string' && value.trim() !== '' ? Number(value.replaceAll('_', '')) : NaN;
  return Number.isNaN(found) ? undefined : found;
}

const round: Filter = (value, args, named) => {
  const { precision = 0, method: how = 'common' } = bind(['precision', 'method'], args, named);
  const scale = 10 ** Number(precision);
  const scaled = Number(value) * scale;
  const down = Math.floor(scaled);
  const isHalf = scaled - down === 0.5;
  const isInteger = how === 'common' && typeName(value) !== 'float';
  const common = isHalf ? down + (down % 2 === 0 ? 0 : 1) : Math.round(scaled);
  const rounded = (how === 'ceil' ? Math.ceil(scaled) : how === 'floor' ? down : common) / scale;
  return isInteger ? rounded : float(rounded);
};

const HTML: Readonly<Record<string, string>> = { '&': '&amp;', '<': '&lt;', '>': '&gt;', '"': '&#34;', "'": '&#39;' };
const escape: Filter = (value) => text(value).replace(/[&<>"']/g, (one) => HTML[one]!);
const fallback: Filter = (value, args, named) => {
  const { default_value: other = '', boolean } = bind(['default_value', 'boolean'], args, named);
  return value === undefined || (isTrue(boolean) && !isTrue(value)) ? other : value;
};
const length: Filter = lengthOf;

const is =
  (expected: boolean): Filter =>
  (value, [name, other]) =>
    testOf(text(name))(value, other) === expected;

const FILTERS: Readonly<Record<string, Filter>> = {
  abs: (value) => (typeName(value) === 'float' ? float(Math.abs(Number(value))) : Math.abs(Number(value))),
  batch: (value, [size, filling]) => {
    const items = itemsOf(value);
    const groups = Array.from({ length: Math.ceil(items.length / Number(size)) }, (_, i) =>
      items.slice(i * Number(size), (i + 1) * Number(size)),
    );
    const missing = groups.length * Number(size) - items.length;
    const isFilled = filling !== undefined && missing > 0;
    return new Lazy(
      isFilled ? [...groups.slice(0, -1), [...groups.at(-1)!, ...Array<Value>(missing).fill(filling)]] : groups,
    );
  },
  capitalize: (value) => capitalize(text(value)),
  count: length,
  length,
  d: fallback,
  default: fallback,
  dictsort,
  e: escape,
  escape,
  first: (value) => itemsOf(value)[0],
  last: (value) => itemsOf(value).at(-1),
  float: (value, [other = float(0)]) => {
    const found = numberOf(value);
    return found === undefined ? other : float(found);
  },
  format: (value, args, named) => {
    if (args.length > 0 && named.size > 0)
      throw new TemplateError("can't handle positional and keyword arguments at the same time");
    return percentFormat(text(value), named.size > 0 ? named : tuple(args));
  },
  int: (value, [other = 0]) => {
    const found = numberOf(value);
    return found === undefined || !Number.isFinite(found) ? other : Math.trunc(found);
  },
  groupby,
  indent,
  items: (value) => new Lazy(value === undefined ? [] : entriesOf(value)),
  join: (value, args, named) => {
    const { d = '', attribute } = bind(['d', 'attribute'], args, named);
    const parts = itemsOf(value).map((item) => text(attribute === undefined ? item : attributeOf(item, attribute)));
    return parts.join(text(d));
  },
  list: (value) => Array.from(itemsOf(value)),
  lower: (value) => text(value).toLowerCase(),
  upper: (value) => text(value).toUpperCase(),
  map,
  max: extreme(1),
  min: extreme(-1),
  reject: chosen(false, false),
  rejectattr: chosen(false, true),
  select: chosen(true, false),
  selectattr: chosen(true, true),
  replace: (value, args, named) => {
    const { old, new: by, count } = bind(['old', 'new', 'count'], args, named);
    return replaced(text(value), text(old), text(by), count);
  },
  reverse: (value) =>
    typeof value === 'string' ? Array.from(value).reverse().join('') : new Lazy([...itemsOf(value)].reverse()),
  round,
  safe: (value) => value,
  sort,
  string: text,
  sum: (value, args, named) => {
    const { attribute, start = 0 } = bind(['attribute', 'start'], args, named);
    const items = itemsOf(value).map((item) => (attribute === undefined ? item : attributeOf(item, attribute)));
    const total = items.reduce<number>((sum, item) => sum + Number(item), Number(start));
    return [start, ...items].some((item) => typeName(item) === 'float') ? float(total) : total;
  },
  title: (value) =>
    text(value).replace(/[^-\s({[<]+/g, (word) => word.charAt(0).toUpperCase() + word.slice(1).toLowerCase()),
  tojson,
  trim: (value, [characters]) => {
    const own = characters === undefined || characters === null ? undefined : text(characters);
    return stripEnd(stripStart(text(value), own), own);
  },
  unique: (value, args, named) => {
    const { case_sensitive: isExact, attribute } = bind(['case_sensitive', 'attribute'], args, named);
    const keys = itemsOf(value).map((item) =>
      folded(attribute === undefined ? item : attributeOf(item, attribute), isExact),
    );
    return new Lazy(itemsOf(value).filter((_, i) => keys.findIndex((key) => isEqual(key, keys[i])) === i));
  },
  urlencode: (value) => encodeURIComponent(text(value)).replaceAll('%2F', '/'),
  [IS]: is(true),
  [IS_NOT]: is(false),
  wordcount: (value) => text(value).match(WORDS)?.length ?? 0,
};

/** @throws TemplateError for a filter that Jinja, or this renderer, does not have */
export function filterOf(name: string): Filter {
  const filter = Object.hasOwn(FILTERS, name) ? FILTERS[name] : undefined;
  if (filter) return filter;
  throw new TemplateError(`no filter named '${name}'`);
}
