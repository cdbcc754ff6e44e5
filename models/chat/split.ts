/**
 * Room: models/chat. The source of a template as tokens for the parser: text and tags are told apart, and white space around tags taken
 * away, as Jinja's lexer does with `trim_blocks` and `lstrip_blocks`. Pure.
 */
import { tokenize } from '@huggingface/jinja';
import { stripEnd, stripStart, TemplateError } from './values.ts';

/** The library's tokens. */
export interface Token {
  readonly value: string;
  readonly type: ReturnType<typeof tokenize>[number]['type'];
}

/** The function that a template's `{% generation %}` block calls. */
export const GENERATION = '__generation__';

/** The filters that stand for tests with an argument: `x | is('divisibleby', 3)`. */
export const IS = '__is__';
export const IS_NOT = '__is_not__';

const CLOSING = { '{%': '%}', '{{': '}}', '{#': '#}' } as const;
type Opening = keyof typeof CLOSING;

/** @throws TemplateError for a tag without an end; the library's errors for what is no Jinja */
export function tokensOf(source: string): Token[] {
  const tokens: Token[] = [];
  const lines = source.replace(/\r\n?/g, '\n').replace(/\n$/, '');
  let isLineStart = true;
  for (let at = 0; at < lines.length;) {
    const found = lines.slice(at).search(/\{[%{#]/);
    const begin = found < 0 ? lines.length : at + found;
    const opening = lines.slice(begin, begin + 2) as Opening;
    const sign = lines[begin + 2];
    const before = lines.slice(at, begin);
    addText(tokens, found < 0 ? before : trimmed(before, opening, sign, isLineStart));
    if (found < 0) break;
    const from = begin + (sign === '-' || sign === '+' ? 3 : 2);
    const to = opening === '{#' ? lines.indexOf('#}', from) : endOfTag(lines, from, CLOSING[opening]);
    if (to < 0) throw new TemplateError(`${opening} without ${CLOSING[opening]}`);
    const mark = to > from ? lines[to - 1] : '';
    const inner = lines.slice(from, mark === '-' || (mark === '+' && opening !== '{{') ? to - 1 : to).trim();
    const isRaw = opening === '{%' && inner === 'raw';
    at = afterTag(lines, to + 2, isRaw ? '{{' : opening, mark);
    if (isRaw) {
      const end = /\{%([-+]?)\s*endraw\s*([-+]?)%\}/g;
      end.lastIndex = at;
      const match = end.exec(lines);
      if (!match) throw new TemplateError('raw without endraw');
      addText(tokens, trimmed(lines.slice(at, match.index), '{%', match[1], false));
      at = afterTag(lines, end.lastIndex, '{%', match[2]);
    } else if (opening !== '{#') tokens.push(...withTestArguments(tagTokens(opening, inner)));
    isLineStart = lines[at - 1] === '\n';
  }
  return tokens;
}

function addText(tokens: Token[], value: string): void {
  if (value !== '') tokens.push({ value, type: 'Text' });
}

/** Text before a tag. */
function trimmed(before: string, opening: Opening, sign: string | undefined, isLineStart: boolean): string {
  if (sign === '-') return stripEnd(before);
  if (opening === '{{' || sign === '+') return before;
  const line = before.lastIndexOf('\n') + 1;
  return (line > 0 || isLineStart) && stripStart(before.slice(line)) === '' ? before.slice(0, line) : before;
}

function afterTag(lines: string, at: number, opening: Opening, mark: string | undefined): number {
  if (mark === '-') return lines.length - stripStart(lines.slice(at)).length;
  return mark !== '+' && opening !== '{{' && lines[at] === '\n' ? at + 1 : at;
}

/** Where a tag ends, outside of its texts and brackets; −1: nowhere. */
function endOfTag(lines: string, from: number, closing: string): number {
  let depth = 0;
  for (let at = from; at < lines.length; at++) {
    const one = lines[at]!;
    if (depth === 0 && lines.startsWith(closing, at)) return at;
    if ('([{'.includes(one)) depth++;
    else if (')]}'.includes(one)) depth--;
    else if (one === '"' || one === "'") {
      for (at++; at < lines.length && lines[at] !== one; at++) if (lines[at] === '\\') at++;
    }
  }
  return -1;
}

function tagTokens(opening: Opening, inner: string): Token[] {
  if (opening === '{{') return tokenize(`{{ ${inner} }}`);
  if (inner === 'generation') return tokenize(`{% call ${GENERATION}() %}`);
  return tokenize(`{% ${inner === 'endgeneration' ? 'endcall' : inner} %}`);
}

const NO_ARGUMENT: ReadonlySet<string> = new Set(['and', 'or', 'not', 'if', 'else', 'is', 'in', 'recursive']);

/** `x is name(y)` and `x is name y`, which the parser does not know, as a filter: `x | is('name', y)`. */
function withTestArguments(tokens: Token[]): Token[] {
  const at = tokens.findIndex(({ type, value }) => type === 'Identifier' && value === 'is');
  if (at < 0) return tokens;
  const before = tokens.slice(0, at);
  const isNegated = tokens[at + 1]?.value === 'not' && tokens[at + 1]?.type === 'Identifier';
  const [name, ...rest] = tokens.slice(at + (isNegated ? 2 : 1)) as [Token, ...Token[]];
  const count = argumentLength(rest);
  const after = withTestArguments(rest.slice(count));
  if (count === 0) return [...tokens.slice(0, tokens.length - rest.length), ...after];
  const own = rest[0]!.value === '(' && rest[0]!.type === 'OpenParen' ? rest.slice(1, count - 1) : rest.slice(0, count);
  const call: Token[] = [
    { type: 'Pipe', value: '|' },
    { type: 'Identifier', value: isNegated ? IS_NOT : IS },
    { type: 'OpenParen', value: '(' },
    { type: 'StringLiteral', value: name.value },
    { type: 'Comma', value: ',' },
    ...withTestArguments(own),
    { type: 'CloseParen', value: ')' },
  ];
  return [...before, ...call, ...after];
}

/** Tokens of the argument that some tokens begin with. */
function argumentLength([first, ...rest]: readonly Token[]): number {
  if (!first) return 0;
  if (first.type === 'StringLiteral' || first.type === 'NumericLiteral') return 1;
  if (first.type === 'Identifier') return NO_ARGUMENT.has(first.value) ? 0 : 1;
  if (!['OpenParen', 'OpenSquareBracket', 'OpenCurlyBracket'].includes(first.type)) return 0;
  let depth = 1;
  const end = rest.findIndex(({ type }) => {
    if (type.startsWith('Open')) depth++;
    if (type.startsWith('Close')) depth--;
    return depth === 0;
  });
  return end < 0 ? 0 : end + 2;
}
