/**
 * Room: data/tasks. The readable body of an internet mail message (RFC 5322 and MIME): headers stripped, transfer encodings and
 * character sets decoded, HTML reduced to its text. Pure functions of bytes; touches nothing else.
 */
import { fromWindows1252 } from './windows-1252.ts';

/** The body text of a raw message, every run of white space one space; empty where no part holds text. */
export function mailBody(raw: Uint8Array): string {
  // Latin-1 maps bytes to code units one to one, so structure can be parsed before any character set is known.
  const message = Buffer.from(raw).toString('latin1').replaceAll('\r\n', '\n').replaceAll('\r', '\n');
  return entityText(message, 0)
    .replace(ENCODED_LINE, '')
    .replace(/[\p{Cc}\p{Cf}\s]+/gu, ' ')
    .trim();
}

/** Lines of base64 left in the text: signatures, keys, attachments of broken messages. */
const ENCODED_LINE = /^[A-Za-z0-9+/=]{60,}\s*$/gm;

/** Nested multiparts beyond this depth are hostile or broken. */
const MAX_DEPTH = 8;

/** Text of one MIME entity: header block, empty line, body. */
function entityText(entity: string, depth: number): string {
  const [headers, body] = splitEntity(entity);
  const type = headers.get('content-type') ?? 'text/plain';
  const media = /^\s*([\w-]+\/[\w.+-]+)/.exec(type)?.[1]?.toLowerCase() ?? 'text/plain';
  const boundary = headers.has('content-type') ? parameter(type, 'boundary') : undeclaredBoundary(body);
  if (depth < MAX_DEPTH && boundary !== undefined) {
    return multipartText(body, boundary, media === 'multipart/alternative', depth);
  }
  if (depth < MAX_DEPTH && media === 'message/rfc822') return entityText(body, depth + 1);
  if (/^attachment/i.test(headers.get('content-disposition') ?? '')) return '';
  if (!media.startsWith('text/') && !media.startsWith('multipart/')) return '';
  const text = decodeBody(body, headers.get('content-transfer-encoding'), parameter(type, 'charset'));
  return media === 'text/html' || /<html|<body/i.test(text) ? htmlText(text) : text;
}

/** Of alternatives the first with text (plain text comes first by convention); of other multiparts all texts in order. */
function multipartText(body: string, boundary: string, alternative: boolean, depth: number): string {
  const texts: string[] = [];
  for (const part of splitParts(body, boundary)) {
    const text = entityText(part, depth + 1);
    if (text.trim() === '') continue;
    if (alternative) return text;
    texts.push(text);
  }
  return texts.join('\n\n');
}

/** The boundary of a multipart body whose message lacks the header that says so. */
function undeclaredBoundary(body: string): string | undefined {
  return /^--(.+)\nContent-Type:/im.exec(body)?.[1];
}

function splitParts(body: string, boundary: string): string[] {
  const parts: string[] = [];
  let lines: string[] | undefined;
  for (const line of body.split('\n')) {
    const marker = line.trimEnd();
    if (marker === `--${boundary}` || marker === `--${boundary}--`) {
      if (lines) parts.push(lines.join('\n'));
      lines = marker.endsWith(`${boundary}--`) ? undefined : [];
    } else lines?.push(line);
  }
  if (lines) parts.push(lines.join('\n'));
  return parts;
}

/** Headers (names in lower case, folded lines joined, first occurrence wins) and body. An mbox `From ` line is skipped. */
function splitEntity(entity: string): [Map<string, string>, string] {
  const headers = new Map<string, string>();
  if (entity.startsWith('\n')) return [headers, entity.slice(1)];
  const end = entity.indexOf('\n\n');
  const block = end < 0 ? entity : entity.slice(0, end);
  for (const line of block.replace(/\n[ \t]+/g, ' ').split('\n')) {
    const header = /^([!-9;-~]+):\s*(.*)$/.exec(line);
    const name = header?.[1]?.toLowerCase();
    if (name !== undefined && !headers.has(name)) headers.set(name, header?.[2] ?? '');
  }
  return [headers, end < 0 ? '' : entity.slice(end + 2)];
}

function parameter(header: string, name: string): string | undefined {
  const match = new RegExp(`;\\s*${name}\\s*=\\s*(?:"([^"]*)"|([^\\s;]+))`, 'i').exec(header);
  return match?.[1] ?? match?.[2];
}

function decodeBody(body: string, encoding: string | undefined, charset: string | undefined): string {
  const kind = encoding?.trim().toLowerCase();
  if (kind === 'quoted-printable') return decodeCharset(quotedPrintable(body), charset);
  if (kind === 'base64') return decodeCharset(base64(body), charset);
  return decodeCharset(body, charset);
}

function quotedPrintable(body: string): string {
  return body
    .replace(/[ \t]*=[ \t]*\n/g, '')
    .replace(/=([0-9A-Fa-f]{2})/g, (_, hex: string) => String.fromCharCode(parseInt(hex, 16)));
}

/** Decodes up to the first line that is not base64: mailing lists append plain footers. */
function base64(body: string): string {
  const lines = body.trimStart().split('\n');
  const end = lines.findIndex((line) => !/^[A-Za-z0-9+/=\s]*$/.test(line));
  return Buffer.from(lines.slice(0, end < 0 ? lines.length : end).join(''), 'base64').toString('latin1');
}

/** Decodes bytes held in a Latin-1 string; UTF-8 where they are, else windows-1252, when the named set is unknown. */
function decodeCharset(latin1: string, charset: string | undefined): string {
  if (/^[\x00-\x7f]*$/.test(latin1)) return latin1;
  const bytes = Buffer.from(latin1, 'latin1');
  for (const label of [charset ?? 'utf-8', 'utf-8']) {
    try {
      const decoder = new TextDecoder(label, { fatal: true });
      // The label's canonical name: Latin-1 and ASCII are windows-1252 in practice.
      if (decoder.encoding === 'windows-1252') break;
      return decoder.decode(bytes);
    } catch {
      // An unknown label or bytes that are not in this set: try the next.
    }
  }
  return fromWindows1252(latin1);
}

/** Tags that do not separate words, so that `V<b>i</b>agra` stays one word. */
const INLINE = /<\/?(?:a|b|big|em|font|i|s|small|span|strike|strong|sub|sup|tt|u)(?:\s[^>]*)?>/gi;

function htmlText(html: string): string {
  const text = html
    .replace(/<!--[\s\S]*?(?:-->|$)/g, '')
    .replace(/<(script|style|head|title)\b[\s\S]*?(?:<\/\1\s*>|$)/gi, ' ')
    .replace(INLINE, '')
    .replace(/<\/?[a-z!?][^>]*>/gi, ' ');
  return decodeEntities(text);
}

const ENTITIES: Record<string, string> = {
  amp: '&', lt: '<', gt: '>', quot: '"', apos: "'", nbsp: ' ', copy: '©', reg: '®', trade: '™', hellip: '…', mdash: '—',
  ndash: '–', lsquo: '‘', rsquo: '’', ldquo: '“', rdquo: '”', bull: '•', middot: '·', cent: '¢', pound: '£', euro: '€',
  eacute: 'é', egrave: 'è', aacute: 'á', agrave: 'à', auml: 'ä', ouml: 'ö', uuml: 'ü', ntilde: 'ñ', ccedil: 'ç', szlig: 'ß',
}; // prettier-ignore

function decodeEntities(text: string): string {
  return text.replace(
    /&(?:#(\d{1,7})|#x([0-9a-f]{1,6})|([a-z]+));?/gi,
    (whole, dec?: string, hex?: string, name?: string) => {
      if (name !== undefined) return ENTITIES[name.toLowerCase()] ?? whole;
      const code = dec !== undefined ? Number(dec) : parseInt(hex ?? '', 16);
      if (code < 0x100) return fromWindows1252(String.fromCharCode(code));
      return code <= 0x10ffff && !(code >= 0xd800 && code < 0xe000) ? String.fromCodePoint(code) : ' ';
    },
  );
}
