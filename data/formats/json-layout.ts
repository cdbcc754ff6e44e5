/** Room: data/formats. How a .json file holds its records. Reads the file: its first part, or all of it where it is one object. */
import { TokenType } from '@streamparser/json';
import { begins, scanJson, type JsonToken } from './json-scan.ts';

/**
 * `object`: a record alone. `items`: a list of them, at the top or under a key. `columns`: a list, or an object, of values for each key.
 * `lines`: an object a line.
 */
export type JsonLayout =
  | { readonly kind: 'object' }
  | { readonly kind: 'items'; readonly key?: string }
  | { readonly kind: 'columns'; readonly keys: readonly string[] }
  | { readonly kind: 'lines' };

/** Where SQuAD, and many files after it, have their records. */
const DATA = 'data';

const { LEFT_BRACE, LEFT_BRACKET, COLON, COMMA, STRING, NUMBER } = TokenType;

/** A key at the top with what it holds. */
interface Member {
  readonly key: string;
  readonly token: TokenType;
  /** Of a list or object how many values, the first one's token, and its key. */
  items: number;
  first?: TokenType;
  firstKey?: unknown;
}

/** What is seen of a file until its layout is known. */
interface Survey {
  top?: TokenType;
  readonly members: Member[];
  /** Whether a second value follows the first. */
  hasMore: boolean;
}

/** @param rows key of the list of records, if it is known. @throws UserError as `scanJson` */
export async function layoutOf(path: string, rows?: string): Promise<JsonLayout> {
  if (rows !== undefined) return { kind: 'items', key: rows };
  const { top, members, hasMore } = await surveyOf(path);
  if (top === LEFT_BRACKET) return { kind: 'items' };
  if (top !== LEFT_BRACE || hasMore) return { kind: 'lines' };
  if (members.some(isData)) return { kind: 'items', key: DATA };
  return areColumns(members) ? { kind: 'columns', keys: members.map(({ key }) => key) } : { kind: 'object' };
}

async function surveyOf(path: string): Promise<Survey> {
  const survey: Survey = { members: [], hasMore: false };
  const { members } = survey;
  let before: TokenType = COMMA;
  let key = '';
  const onToken = (token: JsonToken, depth: number): void => {
    const isKey = token.token === STRING && before !== COLON;
    before = token.token;
    if (!begins(token) || depth > 2) return;
    if (depth === 0) {
      survey.hasMore = survey.top !== undefined;
      survey.top ??= token.token;
    } else if (survey.top === LEFT_BRACE && !survey.hasMore) {
      if (depth === 2) count(members.at(-1)!, token, isKey);
      else if (isKey) key = String(token.value);
      else members.push({ key, token: token.token, items: 0 });
    }
  };
  try {
    for await (const { top, hasMore } of scanJson(path, 2, onToken, () => survey))
      if (hasMore || top !== LEFT_BRACE || members.some(isData)) break;
  } catch (error) {
    // Lines are read one by one: the fault is told there.
    if (!survey.hasMore) throw error;
  }
  return survey;
}

function count(member: Member, { token, value }: JsonToken, isKey: boolean): void {
  if (member.token === LEFT_BRACE && !isKey) return;
  member.items++;
  member.first ??= token;
  if (member.token === LEFT_BRACE) member.firstKey ??= value;
}

function isData({ key, token, first }: Member): boolean {
  return key === DATA && token === LEFT_BRACKET && first === LEFT_BRACE;
}

/**
 * Lists of equal length, at least one of them of texts or numbers, but not the `input_ids` of a single row; or pandas' objects with the row
 * numbers as keys.
 */
function areColumns(members: readonly Member[]): boolean {
  const items = members[0]?.items ?? 0;
  if (items === 0 || members.some((member) => member.items !== items)) return false;
  if (members.every(({ token, firstKey }) => token === LEFT_BRACE && firstKey === '0')) return true;
  const isNested = ({ first }: Member): boolean => first === LEFT_BRACE || first === LEFT_BRACKET;
  const isRow = members.some(({ key, first }) => key === 'input_ids' && first === NUMBER);
  return members.every(({ token }) => token === LEFT_BRACKET) && !members.every(isNested) && !isRow;
}
