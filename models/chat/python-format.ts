/** Room: models/chat. Python's ways to format values: `%` of texts, `str.format`, and what both say of widths, signs and digits. Pure. */
import {
  isDict,
  isNumber,
  itemOf,
  repr,
  TemplateError,
  text,
  Tuple,
  typeName,
  type Named,
  type Value,
} from './values.ts';

/** How a value is written: `[[fill]align][sign][#][0][width][grouping][.precision][type]`. */
interface Spec {
  readonly fill: string;
  readonly align: '<' | '>' | '^' | '=' | undefined;
  readonly sign: '+' | ' ' | '';
  readonly isAlternate: boolean;
  readonly width: number;
  readonly grouping: ',' | '_' | '';
  readonly precision: number | undefined;
  readonly type: string;
}

const SPEC = /^(?:(.)?([<>=^]))?([-+ ]?)(#?)(0?)(\d*)([,_]?)(?:\.(\d+))?([a-zA-Z%]?)$/su;

/** Python's `format(value, spec)`. @throws TemplateError for a form that Python, or this renderer, does not have */
function formatted(value: Value, form: string): string {
  if (form === '') return text(value);
  if (typeof value !== 'string' && !isNumber(value))
    throw new TemplateError(`unsupported format string passed to ${typeName(value)}.__format__`);
  const match = SPEC.exec(form);
  if (!match) throw new TemplateError(`format '${form}' is not supported`);
  const [, fill, align, sign, alternate, zero, width, grouping, precision, type] = match;
  const isInteger = isNumber(value) && typeName(value) !== 'float' && !/[a-zA-Z%]/.test(type!.replace(/[dboxXcn]/, ''));
  if ((isNumber(value) && type === 's') || (isInteger && precision !== undefined))
    throw new TemplateError(`format '${form}' is not for '${typeName(value)}'`);
  return padded(value, {
    fill: fill ?? (zero && !align ? '0' : ' '),
    align: (align ?? (zero && isNumber(value) ? '=' : undefined)) as Spec['align'],
    sign: sign === '-' ? '' : (sign as Spec['sign']),
    isAlternate: alternate === '#',
    width: Number(width),
    grouping: grouping as Spec['grouping'],
    precision: precision === undefined ? undefined : Number(precision),
    type: type!,
  });
}

function padded(value: Value, spec: Spec): string {
  const isDigits = isNumber(value) && spec.type !== 's';
  const [sign, body] = isDigits ? numberParts(value, spec) : ['', textBody(value, spec)];
  const missing = Math.max(0, spec.width - Array.from(sign + body).length);
  const fill = spec.fill.repeat(missing);
  switch (spec.align ?? (isDigits ? '>' : '<')) {
    case '<':
      return sign + body + fill;
    case '>':
      return fill + sign + body;
    case '=':
      return sign + fill + body;
    case '^':
      return fill.slice(0, missing >> 1) + sign + body + fill.slice(missing >> 1);
  }
}

function textBody(value: Value, { type, precision }: Spec): string {
  if (type !== '' && type !== 's') throw new TemplateError(`no format '${type}' for '${typeName(value)}'`);
  return Array.from(text(value)).slice(0, precision).join('');
}

/** Sign and digits of a number. */
function numberParts(value: Value, spec: Spec): [sign: string, digits: string] {
  const number = Number(value);
  const isNegative = number < 0 || Object.is(number, -0);
  const sign = isNegative ? '-' : spec.sign;
  return [sign, grouped(digitsOf(Math.abs(number), isNegative, typeName(value) === 'float', spec), spec.grouping)];
}

function grouped(digits: string, separator: string): string {
  if (separator === '') return digits;
  const [, whole, rest] = /^(\d*)([^]*)$/.exec(digits)!;
  return whole!.replace(/\B(?=(\d{3})+$)/g, separator) + rest!;
}

const BASES: Readonly<Record<string, readonly [base: number, prefix: string]>> = {
  b: [2, '0b'],
  o: [8, '0o'],
  x: [16, '0x'],
  X: [16, '0X'],
};

function digitsOf(
  number: number,
  isNegative: boolean,
  isFloat: boolean,
  { type, precision, isAlternate }: Spec,
): string {
  const isWhole = type === 'd' || type === 'c' || Object.hasOwn(BASES, type);
  if (isWhole && isFloat) throw new TemplateError(`no format '${type}' for 'float'`);
  if (!Number.isFinite(number)) return Number.isNaN(number) ? 'nan' : 'inf';
  if (Object.hasOwn(BASES, type)) {
    const [base, prefix] = BASES[type]!;
    const digits = BigInt(number).toString(base);
    return (isAlternate ? prefix : '') + (type === 'X' ? digits.toUpperCase() : digits);
  }
  switch (type) {
    case 'd':
      return BigInt(number).toString();
    case 'c':
      if (isNegative) throw new TemplateError('%c arg not in range');
      return String.fromCodePoint(number);
    case 'f':
    case 'F':
      return fixed(number, precision ?? 6);
    case '%':
      return `${fixed(number * 100, precision ?? 6)}%`;
    case 'e':
      return scientific(number, precision ?? 6);
    case 'E':
      return scientific(number, precision ?? 6).toUpperCase();
    case 'g':
      return general(number, precision ?? 6, isAlternate);
    case 'G':
      return general(number, precision ?? 6, isAlternate).toUpperCase();
    case '':
      if (!isFloat) return BigInt(number).toString();
      return precision === undefined ? floatText(number) : withPoint(general(number, precision, isAlternate));
  }
  throw new TemplateError(`no format '${type}' for '${isFloat ? 'float' : 'int'}'`);
}

function floatText(number: number): string {
  return withPoint(repr(number));
}

function withPoint(digits: string): string {
  return /[.e]/.test(digits) ? digits : `${digits}.0`;
}

/** With so many digits after the point; halves go to the even neighbour, as in Python. */
function fixed(number: number, precision: number): string {
  if (number >= 1e21) return BigInt(number).toString() + (precision > 0 ? `.${'0'.repeat(precision)}` : '');
  const rounded = number.toFixed(precision);
  const long = number.toFixed(Math.min(100, precision + 25));
  const cut = long.length - (Math.min(100, precision + 25) - precision);
  const isHalf = /^\.?50*$/.test(long.slice(cut)) && precision < 75;
  const down = long.slice(0, cut).replace(/\.$/, '');
  return isHalf && Number(down.at(-1)) % 2 === 0 ? down : rounded;
}

function scientific(number: number, precision: number): string {
  return number.toExponential(precision).replace(/e([-+])(\d)$/, 'e$10$2');
}

function general(number: number, precision: number, keepZeros: boolean): string {
  const digits = Math.max(1, precision);
  const exponent = number === 0 ? 0 : Number(number.toExponential(digits - 1).split('e')[1]);
  const isPlain = exponent >= -4 && exponent < digits;
  const full = isPlain ? fixed(number, digits - 1 - exponent) : scientific(number, digits - 1);
  if (keepZeros || !full.includes('.')) return full;
  return full.replace(/\.?0+(?=e|$)/, '');
}

/** What a pattern found, and its groups. */
type Match = readonly (string | undefined)[];

const CONVERSION = /%(?:\((.*?)\))?([-+ #0]*)(\d*)(?:\.(\d*))?([a-zA-Z%]?)/gsu;

/**
 * Python's `format % values`.
 * @throws TemplateError as Python, where values are too few, too many or of another kind
 */
export function percentFormat(format: string, values: Value): string {
  const placed = values instanceof Tuple ? values : [values];
  let next = 0;
  const taken = (): Value => {
    if (next >= placed.length) throw new TemplateError('not enough arguments for format string');
    return placed[next++];
  };
  const made = format.replace(CONVERSION, (...[, name, flags, width, precision, type]: Match) => {
    if (type === '%') return '%';
    if (!type || !'diouxXeEfFgGcrsa'.includes(type)) throw new TemplateError(`unsupported format character '${type}'`);
    if (name !== undefined && !isDict(values)) throw new TemplateError('format requires a mapping');
    if (precision !== undefined && 'diouxXc'.includes(type))
      throw new TemplateError(`format character '${type}' with a precision is not supported`);
    const value = name === undefined ? taken() : itemOf(values, name);
    return converted(value, type, { flags: flags!, width: Number(width), precision });
  });
  if (next < placed.length && !isDict(values))
    throw new TemplateError('not all arguments converted during string formatting');
  return made;
}

interface Conversion {
  readonly flags: string;
  readonly width: number;
  readonly precision: string | undefined;
}

function converted(value: Value, type: string, { flags, width, precision }: Conversion): string {
  const isText = 'rsa'.includes(type);
  const isLeft = flags.includes('-');
  const isFilled = flags.includes('0') && !isLeft && !isText;
  const number = (): Value => {
    if (type === 'c' && typeof value === 'string') return value;
    if (!isNumber(value)) throw new TemplateError(`%${type} format: a number is required, not ${typeName(value)}`);
    if ('oxX'.includes(type) && typeName(value) === 'float')
      throw new TemplateError(`%${type} format: an integer is required, not float`);
    return 'diuoxX'.includes(type) ? Math.trunc(Number(value)) : value;
  };
  return padded(isText ? (type === 's' ? text(value) : repr(value)) : number(), {
    fill: isFilled ? '0' : ' ',
    align: isLeft ? '<' : isFilled ? '=' : '>',
    sign: flags.includes('+') ? '+' : flags.includes(' ') ? ' ' : '',
    isAlternate: flags.includes('#'),
    width,
    grouping: '',
    precision: precision === undefined ? undefined : Number(precision),
    type: isText ? 's' : 'iu'.includes(type) ? 'd' : type === 'c' && typeof value === 'string' ? 's' : type,
  });
}

const FIELD = /\{\{|\}\}|\{([^{}!:]*)(?:!([rsa]))?(?::([^{}]*))?\}|[{}]/g;

/** Python's `str.format`. @throws TemplateError for a field that is not there, or a form that is not supported */
export function braceFormat(format: string, args: readonly Value[], named: Named): string {
  let next = 0;
  const field = (name: string): Value => {
    const [, first = '', path = ''] = /^([^.[]*)(.*)$/s.exec(name)!;
    const isPlace = /^\d*$/.test(first);
    const at = first === '' ? next++ : Number(first);
    if (isPlace ? at >= args.length : !named.has(first))
      throw new TemplateError(
        isPlace ? `no argument at ${at} for '${format}'` : `no argument '${first}' for '${format}'`,
      );
    const keys = [...path.matchAll(/\.([^.[]+)|\[([^\]]+)\]/g)].map(([, attribute, item]) => attribute ?? item!);
    return keys.reduce<Value>(
      (value, key) => itemOf(value, /^\d+$/.test(key) ? Number(key) : key),
      isPlace ? args[at] : named.get(first),
    );
  };
  return format.replace(FIELD, (...[found, name, as, form]: Match) => {
    if (found === '{{' || found === '}}') return found[0]!;
    if (name === undefined)
      throw new TemplateError(`'${format}' has a single '${found}', or a form that is not supported`);
    const value = field(name);
    return formatted(as === undefined ? value : as === 's' ? text(value) : repr(value), form ?? '');
  });
}
