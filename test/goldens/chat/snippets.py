"""Short templates as Jinja2 renders them within transformers: expressions, filters, tests, methods, statements, white space.

    python test/goldens/chat/snippets.py

Writes snippets.json beside this file (transformers 5.24.0, Jinja2 3.1.6): a template without a text is one that Jinja2 refuses.
"""

import json
from pathlib import Path

from transformers.utils.chat_template_utils import _compile_jinja_template

VARIABLES = {
    "s": "Hello World",
    "t": "  x y\tz \n",
    "u": "naïve café 🎉 ß",
    "e": "",
    "n": 3,
    "f": 2.5,
    "z": 0,
    "neg": -7,
    "b": True,
    "c": False,
    "nn": None,
    "l": [
        "b",
        "a",
        "C"
    ],
    "ll": [
        3,
        1,
        2
    ],
    "d": {
        "b": 1,
        "a": "x",
        "C": None
    },
    "m": [
        {
            "role": "user",
            "content": "a",
            "n": 2
        },
        {
            "role": "assistant",
            "content": "b",
            "n": 1
        },
        {
            "role": "user",
            "content": "it's \"q\"",
            "n": 3
        }
    ],
    "nest": {
        "items": {
            "x": 1
        },
        "o": {
            "p": [
                1,
                {
                    "q": True
                }
            ]
        }
    },
    "small": 1e-05,
    "big": 123456789012,
    "multi": "a\n\nb\nc\n"
}

EXPRESSIONS = r"""
s|upper
s.upper()
s|lower
u|upper
u|length
u[-2:]
u[::-1]
u|title
s|capitalize
u.capitalize()
t|trim
t.strip()
t.lstrip()
t.rstrip()
s.strip('Hd')
s|trim('Hd')
s.split()
s.split('o')
s.split('o', 1)
s.split('o', maxsplit=1)
t.split()
t.split(None, 1)
s.rsplit('o', 1)
s.split('o')[-1]
multi.splitlines()
s.partition(' ')[2]
s.startswith('He')
s.startswith(('x','He'))
s.endswith('ld')
s.replace('l','L')
s.replace('l','L',1)
s|replace('l','L')
s|replace('l','L',2)
s.find('W')
u.find('é')
s.rfind('o')
s.count('o')
s.index('W')
', '.join(l)
'-'.join(['a','b'])
s.isdigit()
'12'.isdigit()
'ab'.isalpha()
s.removeprefix('Hello ')
s.removesuffix('World')
'7'.zfill(3)
'{} and {}'.format(1, 'x')
'{0}{1}{0}'.format('a','b')
'{x}'.format(x=3)
n + 1
n / 2
n // 2
neg // 2
neg % 3
n % 2
n ** 2
f * 2.5
f + n
n - f
-n
+n
n * 'ab'
'ab' * 2
b + 1
nn
b
c
e
f
small
big
l
ll
d
nest
m
d.b
d['a']
d.C
d.zzz
d.get('a')
d.get('q')
d.get('q','dflt')
d.keys()|list
d.values()|list
d.items()|list
nest['items']
nest.o.p[1].q
nest.o.p[-1]
nest.o.p[9]
l[0]
l[-1]
l[1:]
l[:-1]
l[::2]
l[5]
l|first
l|last
l|length
l|count
l|join(', ')
l|join
m|map(attribute='role')|join(',')
m|map(attribute='role')|list
m|map(attribute='x', default='?')|list
l|map('upper')|list
m|selectattr('role','equalto','user')|list|length
m|selectattr('role','eq','user')|map(attribute='content')|list
m|rejectattr('role','equalto','user')|list
m|selectattr('n','gt',1)|map(attribute='n')|list
m|selectattr('zz','defined')|list
m|selectattr('role','in',['user'])|list|length
l|select('equalto','a')|list
ll|select('odd')|list
ll|reject('odd')|list
l|sort
l|sort(reverse=true)
l|sort(case_sensitive=true)
ll|sort
m|sort(attribute='n')|map(attribute='n')|list
ll|sum
m|sum(attribute='n')
ll|max
ll|min
l|min
l|reverse|list
s|reverse
l|unique|list
['a','A','b']|unique|list
d|dictsort
d|items|list
[1,2,3,4,5]|batch(2)|list
[1,2,3,4,5]|batch(2,'-')|list
m|groupby('role')
d|tojson
d|tojson(indent=2)
nest|tojson(indent=4)
[]|tojson(indent=2)
{}|tojson(indent=2)
u|tojson
u|tojson(ensure_ascii=true)
d|tojson(sort_keys=true)
d|tojson(separators=(',',':'))
d|tojson(indent=2, separators=(',',':'))
d|tojson(true)
d|tojson(indent=0)
f|tojson
small|tojson
b|tojson
nn|tojson
zzz|tojson
'<a&b>'|tojson
'<a&b>"\''|e
'<a>'|safe
multi|indent
multi|indent(2)
multi|indent(2, true)
multi|indent(2, blank=true)
zzz|default('x')
e|default('x')
e|default('x', true)
nn|default('x')
nn|default('x', boolean=true)
zzz|d('y')
zzz
zzz|upper
zzz|length
zzz|trim
zzz|string
zzz ~ 'a'
nn ~ 'a' ~ n ~ b ~ l
nn|string
l|string
n|string + 'x'
'5'|int + 1
'5.7'|int
'x'|int
'x'|int(9)
f|int
'2.5'|float
n|abs
neg|abs
2.567|round(2)|string
3.5|round|int
s is string
l is string
d is mapping
l is mapping
l is sequence
s is sequence
d is sequence
n is number
b is number
n is integer
b is integer
f is float
b is boolean
n is boolean
l is iterable
n is iterable
nn is none
zzz is none
zzz is defined
s is defined
zzz is undefined
n is odd
n is even
n is divisibleby 3
n is divisibleby(2)
n is not divisibleby 2
s is equalto 'Hello World'
s is eq('x')
n is in [1,2,3]
'a' is in l
n is not in [1,2]
nn is sameas none
n is gt 2 and n is lt 5
b is true
c is false
b is not true
s is upper
'abc' is lower
namespace is callable
'ell' in s
'zz' not in s
'a' in l
'a' in d
'zz' in zzz
n in ll
1 in [true]
n == 3.0
b == 1
l == ['b','a','C']
d == {'a':'x','b':1,'C':none}
nn == none
zzz == none
n < 4
s < 'I'
n != 3
not n
not e
not l
not zzz
n and e
e or 'x'
l and d
zzz or nn
'y' if n else 'z'
'y' if e
('y' if e) ~ '!'
'y' if e else 'z' if c else 'w'
[1, 'a', none, true, 2.5]
(1, 2)|list
{'a': 1, 'b': [1, {'c': 'x'}]}
{'a': {'b': 1}}['a']['b']
dict(a=1, b='x')
range(3)|list
range(1, 7, 2)|list
range(3, 0, -1)|list
range(5)|length
"it's"
['it\'s', 'a"b', "it's \"q\"", 'a\nb', 'é', '\t']
'a' 'b'
'\x41\u00e9'
"\\d"
s[0]
s[99]
s[1:3]
s['length']
s.nothing
n.nothing
nn.nothing
nn['x']
n['x']
l['x']
l.count('a')
l.index('C')
'a b'|urlencode
s|wordcount
t|wordcount
s|list
d|list
d|length
d|first
n + s
s + n
s + nn
s + l
l + s
zzz + 'a'
zzz.foo
zzz.foo.bar
zzz[0]
d.foo.bar
nn + 1
nn|length
n|length
n|join
n|list
l|selectattr('x')|list|length
s.nope()
zzz()
d()
'a' < 1
raise_exception('boom ' ~ n)
1 / 0
l|nofilter
n is notest
1 in 'a'
(m|selectattr('role','equalto','nobody')) and 'true'
(m|selectattr('role','equalto','nobody')|list) and 'true'
m|selectattr('role','equalto','user')|first
l|first|upper
loop
true and not false
True ~ None ~ False
1 if true else 2
n|string|length
[l, ll]|map('length')|list
[[1,2],[3]]|map('first')|list
[['b',1],['a',2]]|sort
s.casefold()
l.append(1)
d.update({})
'a,b'.split(',')|join('|')
d.items()|map('first')|list
-1|abs
n|default(1) + 2
'x' ~ 1 + 2
2 * 3 + 4
2 + 3 * 4
(2 + 3) * 4
10 - 2 - 3
2 ** 3 ** 2
not n == 3
not 'a' in l
1 < 2 < 3
[1,2,]|length
'a'.upper().lower()
m[0].role.upper()
m[0]['role'][1:]
m[-1].content
m[1:]|length
m[:1][0]['content']
m|last|tojson
m|map(attribute='role')|unique|list
d|dictsort(by='value')
d|dictsort(reverse=true)
x.y|default('ok')
d.x.y|default('ok')
[u, 'a\u200bb', '\u00a0']
"""

BLOCKS = r"""
a
{% if b %}
  b
{% endif %}
c
====
a  {%- if b %} b  {%- endif -%}  c
====
  {% if b %}x{% endif %}
  {{ s }}
y
====
  {%+ if b %}x{%+ endif %}
z
====
  {% if b +%}
x{% endif %}
====
{# c #}
x
====
  {# c #}  y
====
a {#- c -#} b
====
{{- s -}}   x   {{- s }}
====
{% for x in l %}{{ x }}{% if not loop.last %}, {% endif %}{% endfor %}
====
{% for x in l -%}
  {{ x }}
{%- endfor %}!
====
{% for k, v in d.items() %}{{ k }}={{ v }};{% endfor %}
====
{% for x in [] %}a{% else %}none{% endfor %}
====
{% for x in ll if x > 1 %}{{ loop.index }}:{{ x }}/{{ loop.length }} {% endfor %}
====
{% for x in ll if x > 9 %}a{% else %}none{% endfor %}
====
{% for x in s %}{{ x }}.{% endfor %}
====
{% for x in d %}{{ x }}.{% endfor %}
====
{% for x in ll %}{% if loop.first %}{% set q = x %}{% endif %}[{{ q }}]{% endfor %}{{ q }}
====
{% set q = 0 %}{% for x in ll %}{% set q = q + x %}{{ q }} {% endfor %}={{ q }}
====
{% set ns = namespace(q=0) %}{% for x in ll %}{% set ns.q = ns.q + x %}{% endfor %}={{ ns.q }}
====
{% for x in ll %}{{ loop.index0 }}{{ loop.revindex }}{{ loop.revindex0 }}{{ loop.first }}{{ loop.last }}{{ loop.previtem }}{{ loop.nextitem }}{{ loop.depth }}{{ loop.cycle('a','b') }}|{% endfor %}
====
{% for x in ll %}{% for y in l %}{{ loop.index }}{{ loop.depth }}{% endfor %}{{ loop.index }};{% endfor %}
====
{% for x in ll %}a{% if x == 1 %}b{% break %}{% endif %}c{% endfor %}
====
{% for x in ll %}a{% if x == 1 %}{% continue %}{% endif %}c{% endfor %}
====
{% macro f(a, b='d', c=a) %}({{ a }},{{ b }},{{ c }}){% endmacro %}{{ f(1) }}{{ f(1, 2) }}{{ f(b=3, a=4) }}{{ f() }}
====
{% macro f(a) %}{{ a }}{{ varargs }}{{ kwargs }}{% endmacro %}{{ f(1,2,3,x=4) }}
====
{% set g = 1 %}{% macro f() %}{{ g }}{% endmacro %}{% set g = 2 %}{{ f() }}
====
{% macro f() %}[{{ caller() }}]{% endmacro %}{% call f() %}body{% endcall %}
====
{% macro f() %}[{{ caller(3) }}]{% endmacro %}{% call(x) f() %}body{{ x }}{% endcall %}
====
{% macro f() %}x{% endmacro %}{% for i in ll %}{% set loc = i %}{{ f() }}{% endfor %}
====
{% macro f() %}{{ loc }}{% endmacro %}{% for i in ll %}{% set loc = i %}{{ f() }}{% endfor %}
====
{% set x %}a{{ n }}b{% endset %}{{ x|upper }}
====
{% set a, c2 = 1, 2 %}{{ a }}{{ c2 }}
====
{% filter upper %}abc{{ s }}{% endfilter %}
====
{% raw %}{{ x }} {% if %}{% endraw %}!
====
{% if n == 1 %}a{% elif n == 3 %}b{% else %}c{% endif %}
====
{% if zzz %}a{% else %}b{% endif %}
====
{% if zzz.foo %}a{% endif %}
====
{{ '}}' }}{{ "{%" }}{{ {'a': '}}'}['a'] }}
====
{% set x = "%}" %}{{ x }}
====
a

====
a


====
{{ s }}

====
{% generation %}abc{% endgeneration %}
====
{%- if b %}
{%- generation %}
  {{- s }}
{%- endgeneration %}
{%- endif %}
====
{% for x in ll %}<{% generation %}{{ x }}{% endgeneration %}>{% endfor %}
====
	{% if b %}tab{% endif %}
====
{% for x in ll %}
    {{ x }}
{% endfor %}
====
{%- for x in ll %}
    {{- x }}
{%- endfor %}
====
{% if b %}

x

{% endif %}

y
====
{% if b -%}

x

{%- endif %}

y
====
{{ s -}}

y
====
x
    {%- if b %} y{% endif %}
====
{% set d2 = {'a': {'b': 1}} %}{{ d2.a.b }}
====
{% do l.append(1) %}
====
{% include 'x' %}
====
{% if b %}unclosed
====
{{ s
====
{% for a in %}{% endfor %}
====
{%- set ns = namespace(found=false) -%}{%- for x in m -%}{%- if x.role == 'assistant' -%}{%- set ns.found = true -%}{%- endif -%}{%- endfor -%}{{ ns.found }}
====
{{ messages }}{{ strftime_now('%%') }}
====
{%if b%}tight{%endif%}
====
{{s}}{{-s-}}{{s}}
====
<{% if b %}
>{% endif %}
<
====
x{{ "a\nb" }}y
====
x{{ 'multi
line' }}y

"""


def case(source):
    try:
        return {"source": source, "text": _compile_jinja_template(source).render(**VARIABLES)}
    except Exception:  # whatever Jinja2 or Python refuses
        return {"source": source}


def main():
    expressions = [f"{{{{ {line} }}}}" for line in EXPRESSIONS.strip("\n").split("\n")]
    blocks = BLOCKS[1:-1].split("\n====\n")
    cases = ",\n".join(json.dumps(case(source), ensure_ascii=False) for source in expressions + blocks)
    variables = json.dumps(VARIABLES, ensure_ascii=False)
    path = Path(__file__).with_name("snippets.json")
    path.write_text(f'{{"variables": {variables}, "cases": [\n{cases}\n]}}\n', encoding="utf-8")


main()
