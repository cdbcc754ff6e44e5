/**
 * Room: models/chat. How a model folder writes conversations: its chat templates and special tokens. Reads the folder; touches nothing
 * else.
 */
import { readdir } from 'node:fs/promises';
import { basename, join } from 'node:path';
import { UserError } from '../../engine/errors.ts';
import { fileError, preview } from '../../engine/io/files.ts';
import { contentOf, readObject, readText } from '../tokenizer.ts';
import { ChatTemplate, type Rendered } from './template.ts';
import { stripEnd } from './values.ts';

/** A turn of a conversation; templates may read more of it, such as `tool_calls`. */
export interface Message {
  readonly role: string;
  /** A text, or parts such as `{"type": "text", "text": …}`. */
  readonly content?: string | readonly Readonly<Record<string, unknown>>[] | null;
  readonly [key: string]: unknown;
}

/** What a conversation is rendered with, under transformers' names. */
export interface RenderOptions {
  /** JSON schemas of functions that the assistant may call. */
  readonly tools?: readonly unknown[] | undefined;
  readonly documents?: readonly unknown[] | undefined;
  /** Ends the text where the assistant's answer begins. */
  readonly addGenerationPrompt?: boolean;
  /** Ends the text within the last message, which goes on. */
  readonly continueFinalMessage?: boolean;
  /** More variables of the template, such as `enable_thinking`. */
  readonly variables?: Readonly<Record<string, unknown>> | undefined;
}

const TOKENS = ['bos', 'eos', 'unk', 'sep', 'pad', 'cls', 'mask'].map((role) => `${role}_token`);

/** Names under which a message's reasoning is known; the first is that of templates. */
const REASONING = ['reasoning_content', 'thinking', 'reasoning'];

/** Stands at the end of a message that goes on while it is rendered. */
const CONTINUE = 'CONTINUE_FINAL_MESSAGE_TAG ';

/** The chat templates of a model folder with its special tokens. */
export class ChatFormat {
  readonly #templates: ReadonlyMap<string, { readonly source: string; readonly at: string }>;
  readonly #tokens: Readonly<Record<string, string>>;
  readonly #parsed = new Map<string, ChatTemplate>();

  /** @param templates by name; a model's only one is `default` */
  constructor(
    templates: ReadonlyMap<string, { readonly source: string; readonly at: string }>,
    tokens: Readonly<Record<string, string>>,
  ) {
    this.#templates = templates;
    this.#tokens = tokens;
  }

  /** All that texts of conversations depend on, as one text. */
  get content(): string {
    const sources = [...this.#templates].map(([name, { source }]) => [name, source]);
    return JSON.stringify([sources.sort(), Object.entries(this.#tokens).sort()]);
  }

  /** Whether the template that is used marks the assistant's parts by `{% generation %}`. */
  hasMarks(tools?: readonly unknown[]): boolean {
    return this.#template(tools).hasMarks;
  }

  /**
   * A conversation as text: transformers' `apply_chat_template` without tokenisation.
   * @throws UserError where the template refuses the conversation, or there are several and none is for it
   */
  render(messages: readonly Message[], options: RenderOptions = {}): Rendered {
    const { tools, documents, addGenerationPrompt = false, continueFinalMessage = false, variables } = options;
    const template = this.#template(tools);
    const normal = messages.map(normalised);
    const rendered = template.render({
      ...this.#tokens,
      ...variables,
      messages: continueFinalMessage ? continued(normal) : normal,
      tools: tools ?? null,
      documents: documents ?? null,
      add_generation_prompt: addGenerationPrompt,
    });
    return continueFinalMessage ? { ...rendered, text: cutAtTag(rendered.text) } : rendered;
  }

  #template(tools: readonly unknown[] | undefined): ChatTemplate {
    const name = tools && this.#templates.has('tool_use') ? 'tool_use' : 'default';
    const known = this.#parsed.get(name);
    if (known) return known;
    const found = this.#templates.get(name);
    if (!found) {
      const names = [...this.#templates.keys()].sort().join(', ');
      const at = this.#templates.values().next().value?.at;
      throw new UserError(`${at}: found chat templates named ${names}, expected one named default`);
    }
    const template = new ChatTemplate(found.source, found.at);
    this.#parsed.set(name, template);
    return template;
  }
}

/** Without keys that are null, and with reasoning under the names that templates read. */
function normalised(message: Message): Message {
  const entries = Object.entries(message).filter(([, value]) => value !== null && value !== undefined);
  const own = Object.fromEntries(entries) as Message;
  const reasoning = REASONING.map((key) => own[key]).find((value) => value !== undefined);
  return reasoning === undefined ? own : { thinking: reasoning, ...own, reasoning_content: reasoning };
}

/** The last message, or its last text, with the tag at its end. */
function continued(messages: readonly Message[]): Message[] {
  const last = messages.at(-1);
  const { content } = last ?? {};
  const at = typeof content === 'object' ? (content?.findLastIndex((part) => 'text' in part) ?? -1) : -1;
  if (!last || (typeof content !== 'string' && at < 0)) throw new UserError('the last message has no text to continue');
  const longer =
    typeof content === 'string'
      ? content + CONTINUE
      : content!.map((part, i) => (i === at ? { ...part, text: String(part.text) + CONTINUE } : part));
  return [...messages.slice(0, -1), { ...last, content: longer }];
}

function cutAtTag(text: string): string {
  const at = text.lastIndexOf(CONTINUE.trim());
  if (at < 0) throw new UserError('the chat template leaves out the last message, which is to be continued');
  return text.startsWith(CONTINUE, at) ? text.slice(0, at) : stripEnd(text.slice(0, at));
}

/**
 * Reads `chat_template.jinja` and `additional_chat_templates/`, else `chat_template` in `tokenizer_config.json`: a template, or a list of
 * named ones.
 * @returns undefined where the folder has no chat template
 * @throws UserError where a file is corrupt
 */
export async function loadChatFormat(folder: string): Promise<ChatFormat | undefined> {
  const path = join(folder, 'tokenizer_config.json');
  const config = (await readObject(path)) ?? {};
  const files = await templateFiles(folder);
  const templates = files.size > 0 ? files : templatesOf(config.chat_template, path);
  if (templates.size === 0) return undefined;
  const roles = 'added_tokens_decoder' in config ? {} : await readObject(join(folder, 'special_tokens_map.json'));
  const tokens = TOKENS.flatMap((key) => {
    const content = contentOf({ ...config, ...roles }[key]);
    return content === undefined ? [] : [[key, content]];
  });
  return new ChatFormat(templates, Object.fromEntries(tokens) as Record<string, string>);
}

type Templates = Map<string, { readonly source: string; readonly at: string }>;

async function templateFiles(folder: string): Promise<Templates> {
  const more = join(folder, 'additional_chat_templates');
  const names = await readdir(more).catch((error: unknown) => {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return [];
    throw fileError(more, error);
  });
  const paths = names.filter((name) => name.endsWith('.jinja')).map((name) => join(more, name));
  const templates: Templates = new Map();
  for (const at of [join(folder, 'chat_template.jinja'), ...paths.sort()]) {
    const source = await readText(at);
    const name = at.startsWith(more) ? basename(at, '.jinja') : 'default';
    if (source !== undefined) templates.set(name, { source, at });
  }
  return templates;
}

function templatesOf(value: unknown, path: string): Templates {
  const at = `${path}: key "chat_template"`;
  if (value === undefined || value === null) return new Map();
  if (typeof value === 'string') return new Map([['default', { source: value, at }]]);
  const isNamed = (one: unknown): one is { name: string; template: string } =>
    typeof one === 'object' && one !== null && 'name' in one && 'template' in one && typeof one.template === 'string';
  if (Array.isArray(value) && value.every(isNamed))
    return new Map(value.map(({ name, template }) => [name, { source: template, at }]));
  throw new UserError(`${at}: found ${preview(value)}, expected a template, or a list of {"name", "template"}`);
}
