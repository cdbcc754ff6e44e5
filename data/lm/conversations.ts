/**
 * Room: data/lm. Conversations as TRL has them: `messages`, or `prompt` and `completion` of messages, with tools. Every message is checked;
 * errors name file and line.
 */
import { UserError } from '../../engine/errors.ts';
import { preview } from '../../engine/io/files.ts';
import { parseJsonWithFloats } from '../../engine/io/json-floats.ts';
import type { Message } from '../../models/chat/chat-format.ts';
import type { Fields } from '../records.ts';

/** A conversation with what its template is told besides. */
export interface Chat {
  /** At least one. */
  readonly messages: readonly Message[];
  /** JSON schemas of functions that the assistant may call. */
  readonly tools?: readonly unknown[] | undefined;
  readonly documents?: readonly unknown[] | undefined;
  /** More variables of the template: `chat_template_kwargs`. */
  readonly variables?: Readonly<Record<string, unknown>> | undefined;
}

/** A conversation to learn from. */
export interface Conversation extends Chat {
  readonly line: number;
  /** Messages that are the prompt, where the row tells prompt and completion apart: they are not learned. */
  readonly promptMessages?: number;
}

/** The column that holds a line's messages, prompt and all; undefined: none does. */
export const messagesColumn = (fields: Fields['fields']): string | undefined =>
  ['messages', 'conversations'].find((name) => fields[name] !== undefined);

/** Whether a line holds messages. */
export const isConversational = (fields: Fields['fields']): boolean =>
  messagesColumn(fields) !== undefined || Array.isArray(fields.prompt);

/**
 * @param column of the file's messages; undefined: its lines are prompts with completions
 * @throws UserError where messages are missing or malformed
 */
export function parseConversation(path: string, { line, fields }: Fields, column: string | undefined): Conversation {
  const at = `${path}:${line}`;
  const extra = parseExtra(at, fields);
  if (column !== undefined) return { line, messages: parseMessages(at, column, fields[column]), ...extra };
  const prompt = parseMessages(at, 'prompt', fields.prompt);
  const completion = parseMessages(at, 'completion', fields.completion);
  return { line, messages: [...prompt, ...completion], promptMessages: prompt.length, ...extra };
}

const EXPECTED = 'a list of {"role": …, "content": …}, at least one';

/** A list of messages, or its JSON. @param at file and line */
export function parseMessages(at: string, name: string, value: unknown): Message[] {
  const list = fromJson(value);
  if (!Array.isArray(list) || list.length === 0)
    throw new UserError(`${at}: "${name}" is ${preview(value)}, expected ${EXPECTED}`);
  for (const [i, message] of list.entries()) {
    const wrong = problemOf(message);
    if (wrong !== undefined) throw new UserError(`${at}: "${name}" entry ${i} ${wrong}`);
  }
  return list.map((message: Message) => renamed(message));
}

/** `from` and `value` are other names of `role` and `content`. */
function renamed(message: Message): Message {
  if (message.from === undefined) return message;
  const { from, value, ...rest } = message;
  return { ...rest, role: from as string, content: value as Message['content'] };
}

/** What is wrong with a message; undefined: nothing. */
function problemOf(message: unknown): string | undefined {
  if (!isObject(message)) return `is ${preview(message)}, expected {"role": …, "content": …}`;
  const { role = message.from, content = message.value } = message;
  if (typeof role !== 'string') return `has "role" ${preview(role)}, expected a string such as "user" or "assistant"`;
  if (content === undefined || content === null || typeof content === 'string' || isObject(content)) return undefined;
  if (Array.isArray(content) && content.every((part) => isObject(part))) return undefined;
  return `has "content" ${preview(content)}, expected a text, or a list of {"type": "text", "text": …}`;
}

function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

/** Tools, documents and variables of a row. No tools are as good as an empty list of them. */
export function parseExtra(at: string, fields: Fields['fields']): Omit<Chat, 'messages'> {
  const tools = parseList(at, 'tools', fields.tools);
  const documents = parseList(at, 'documents', fields.documents);
  const variables = fields.chat_template_kwargs ?? undefined;
  if (variables !== undefined && !isObject(variables))
    throw new UserError(`${at}: "chat_template_kwargs" is ${preview(variables)}, expected an object`);
  return { ...(tools && { tools }), ...(documents && { documents }), ...(variables && { variables }) };
}

function parseList(at: string, name: string, value: unknown): readonly unknown[] | undefined {
  if (value === undefined || value === null) return undefined;
  const list = fromJson(value);
  if (Array.isArray(list) && list.every(isObject)) return list.length > 0 ? list : undefined;
  throw new UserError(`${at}: "${name}" is ${preview(value)}, expected a list of JSON objects`);
}

/** Lists of tables, and tools in TRL's data sets, are JSON in a text. */
function fromJson(value: unknown): unknown {
  if (typeof value !== 'string') return value;
  try {
    return parseJsonWithFloats(value);
  } catch {
    return value;
  }
}
