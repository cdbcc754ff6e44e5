/**
 * Protects: numbers and texts that templates format are written as by Python 3.11 with Jinja 3.1: `%`, the filter `format`, `str.format`, and
 * whole numbers that are floats, in JSON too.
 */
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { isWrittenFloat, parseJsonWithFloats } from '../../engine/io/json-floats.ts';
import { ChatTemplate } from '../../models/chat/template.ts';

const render = (source: string, variables: object = {}): string =>
  new ChatTemplate(source, 'template').render(variables as Readonly<Record<string, unknown>>).text;

it.each([
  ["'%s and %s' % ('a', 1)", 'a and 1'],
  ["'%s' % 'a'", 'a'],
  ["'%s' % [1, 'a']", "[1, 'a']"],
  ["'%(x)s-%(y)03d' % {'x': 'q', 'y': 5}", 'q-005'],
  ["'%5.1f%%' % 45.678", ' 45.7%'],
  ["'%d|%i|%+d|% d' % (3.7, -2, 7, 7)", '3|-2|+7| 7'],
  ["'%5s|%-5s|%.2s|%r' % ('abc', 'abc', 'abc', 'abc')", '  abc|abc  |ab|\'abc\''], // prettier-ignore
  ["'%x %X %#x %o' % (255, 255, 255, 8)", 'ff FF 0xff 10'],
  ["'%e|%.3E|%g|%.3g|%G' % (2.5, 1234567, 0.00001234, 123456.789, 100.0)", '2.500000e+00|1.235E+06|1.234e-05|1.23e+05|100'],
  ["'%08.2f|%-8.1f|%05d' % (-2.5, 2.5, 42)", '-0002.50|2.5     |00042'],
  ["'%.0f %.0f %.2f' % (0.5, 1.5, 0.125)", '0 2 0.12'],
  ["'%s, %s' | format('a', 2.0)", 'a, 2.0'],
  ["'%(who)s' | format(who='me')", 'me'],
  ["'{} {}'.format(1, 'x')", '1 x'],
  ["'{1} {0} {{}} {a!r}'.format(1, 'x', a='y')", "x 1 {} 'y'"],
  ["'{a[x]} {b[1]}'.format(a={'x': 4}, b=[7, 8])", '4 8'],
  ["'{:>8}|{:<8}|{:^9}|{:*^9}'.format(7, 'a', 2.5, 'é')", '       7|a       |   2.5   |****é****'],
  ["'{:,}|{:_}|{:,.2f}|{:+}|{:05}'.format(1234567, 1234567, 1234567.5, 7, -7)", '1,234,567|1_234_567|1,234,567.50|+7|-0007'],
  ["'{:.3}|{:.1%}|{:#x}|{:b}|{:g}'.format(123456.789, 0.125, 255, 5, 1.0)", '1.23e+05|12.5%|0xff|101|1'],
])('{{ %s }}', (expression, expected) => {
  expect(render(`{{ ${expression} }}`)).toBe(expected);
}); // prettier-ignore

it.each([
  ["'%s %s' % 'a'", 'not enough arguments for format string'],
  ["'%s' % ('a', 'b')", 'not all arguments converted'],
  ["'abc' % 3", 'not all arguments converted'],
  ["'%d' % 'a'", 'a number is required, not str'],
  ["'%(x)s' % 3", 'format requires a mapping'],
  ["'%y' % 3", "unsupported format character 'y'"],
  ["'{} {}'.format(1)", 'no argument at 1'],
  ["'{x}'.format(1)", "no argument 'x'"],
  ["'{'.format(1)", "a single '{'"],
  ["'{:>{w}}'.format(1, w=3)", 'not supported'],
  ["'{:d}'.format(1.5)", "no format 'd' for 'float'"],
  ["'{:>3}'.format(none)", 'NoneType'],
])('{{ %s }} is refused', (expression, expected) => {
  expect(() => render(`{{ ${expression} }}`)).toThrow(expected);
});

it('whole floats stay floats in what is made of them', () => {
  const source =
    "{{ 4/2 }} {{ 1.0 }} {{ 1.0+1 }} {{ 7.0//2 }} {{ 7//2 }} {{ 2**3 }} {{ -1.0 }} {{ 1.0 == 1 }} {{ 0.0 or 'z' }} " +
    "{{ 1.0 is float }} {{ 1.0 is integer }} {{ '3'|float }} {{ 3.0|int }} {{ 2.5|round }} {{ 42|round }} {{ [1, 2.0]|sum }} " +
    "{{ [1.0, 2]|tojson }} {{ {'a': 1.0} }} {{ 1.0 in [1] }} {{ 1.0 ~ 'x' }}";
  expect(render(source)).toBe(
    "2.0 1.0 2.0 3.0 3 8 -1.0 True z True False 3.0 3 2.0 42 3.0 [1.0, 2] {'a': 1.0} True 1.0x",
  );
});

describe('numbers of JSON', () => {
  it('are written as Python’s json writes them again', () => {
    const json =
      '{"a": 1.0, "b": 1, "c": [1.0, 2, -0.0, 1e5, 1E2, 1.50, 1e16], "d": {"x": 100.00}, "e": "1.0 \\" 2.0", "f": 0.0}';
    const expected =
      '{"a": 1.0, "b": 1, "c": [1.0, 2, -0.0, 100000.0, 100.0, 1.5, 1e+16], "d": {"x": 100.0}, "e": "1.0 \\" 2.0", "f": 0.0}';
    expect(render('{{ v | tojson }}', { v: parseJsonWithFloats(json) })).toBe(expected);
  });

  it('are those of JSON.parse, whatever the JSON', () => {
    fc.assert(
      fc.property(fc.json(), fc.boolean(), (json, isFloat) => {
        const text = isFloat ? `[1.0, ${json}]` : json;
        expect(parseJsonWithFloats(text)).toEqual(JSON.parse(text));
      }),
    );
    expect(isWrittenFloat(parseJsonWithFloats('[1.0, 1]') as object, 0)).toBe(true);
    expect(isWrittenFloat(parseJsonWithFloats('[1.0, 1]') as object, 1)).toBe(false);
    expect(() => parseJsonWithFloats('{"a": 1.0')).toThrow(SyntaxError);
  });
});
