/** Protects: conversations are written as transformers writes them — templates of many families, Jinja's white space, Python's text — and bad templates are told apart. */
import { mkdir, mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { UserError } from '../../engine/errors.ts';
import { ChatFormat, loadChatFormat, type Message } from '../../models/chat/chat-format.ts';
import { strftime } from '../../models/chat/strftime.ts';
import { ChatTemplate } from '../../models/chat/template.ts';

const GOLDENS = join(import.meta.dirname, '..', 'goldens', 'chat');

interface Golden {
  readonly template: string;
  readonly conversation: string;
  readonly options: {
    readonly add_generation_prompt?: boolean;
    readonly tools?: boolean;
    readonly continue_final_message?: boolean;
  };
  readonly text?: string;
  readonly error?: string;
}

interface Goldens {
  readonly special: Readonly<Record<string, string>>;
  readonly conversations: Readonly<Record<string, readonly Message[]>>;
  readonly tools: readonly unknown[];
  readonly rows: readonly Golden[];
}

const goldens = JSON.parse(await readFile(join(GOLDENS, 'rendered.json'), 'utf8')) as Goldens;
const names = (await readdir(join(GOLDENS, 'templates'))).map((name) => name.replace('.jinja', ''));

let dir: string;
beforeAll(async () => {
  dir = await mkdtemp(join(tmpdir(), 'light-peft-'));
});
afterAll(() => rm(dir, { recursive: true }));

/** A folder with files of these names and contents. */
async function folder(files: Readonly<Record<string, unknown>>): Promise<string> {
  const path = await mkdtemp(join(dir, 'model-'));
  await mkdir(join(path, 'additional_chat_templates'));
  for (const [name, content] of Object.entries(files))
    await writeFile(join(path, name), typeof content === 'string' ? content : JSON.stringify(content));
  return path;
}

describe.each(names)('%s', (name) => {
  it('is rendered as by transformers, refusals included', async () => {
    const source = await readFile(join(GOLDENS, 'templates', `${name}.jinja`), 'utf8');
    const format = await loadChatFormat(
      await folder({ 'tokenizer_config.json': goldens.special, 'chat_template.jinja': source }),
    );
    const rows = goldens.rows.filter(({ template }) => template === name);
    expect(rows.length).toBeGreaterThan(30);
    for (const { conversation, options, text } of rows) {
      const render = (): string =>
        format!.render(goldens.conversations[conversation]!, {
          tools: options.tools ? goldens.tools : undefined,
          addGenerationPrompt: options.add_generation_prompt ?? false,
          continueFinalMessage: options.continue_final_message ?? false,
        }).text;
      const at = `${conversation} ${JSON.stringify(options)}`;
      if (text === undefined) expect(render, at).toThrow();
      else expect(render(), at).toBe(text);
    }
  });
});

describe('a model folder', () => {
  const turns = [{ role: 'user', content: 'x' }];
  const tools = [{ type: 'function' }];

  it('has its template in its configuration, in a file, or several of them', async () => {
    const config = { bos_token: { content: '<b>' }, chat_template: 'config {{ bos_token }}' };
    const rendered = async (files: Record<string, unknown>, given?: readonly unknown[]): Promise<string> =>
      (await loadChatFormat(await folder(files)))!.render(turns, { tools: given }).text;
    expect(await rendered({ 'tokenizer_config.json': config })).toBe('config <b>');
    expect(await rendered({ 'tokenizer_config.json': config, 'chat_template.jinja': 'file' })).toBe('file');
    const named = [
      { name: 'default', template: 'plain' },
      { name: 'tool_use', template: 'tools' },
    ];
    const several = { 'tokenizer_config.json': { chat_template: named } };
    expect([await rendered(several), await rendered(several, tools)]).toEqual(['plain', 'tools']);
    const files = { 'chat_template.jinja': 'plain', 'additional_chat_templates/tool_use.jinja': 'more' };
    expect([await rendered(files), await rendered(files, tools)]).toEqual(['plain', 'more']);
    expect(await loadChatFormat(await folder({ 'tokenizer_config.json': {} }))).toBeUndefined();
  });

  it('takes special tokens from the older file where the configuration does not list its tokens', async () => {
    const files = {
      'tokenizer_config.json': { eos_token: 'a', chat_template: '{{ eos_token }}' },
      'special_tokens_map.json': { eos_token: 'b' },
    };
    const rendered = async (more: object): Promise<string> => {
      const config = { ...files['tokenizer_config.json'], ...more };
      return (await loadChatFormat(await folder({ ...files, 'tokenizer_config.json': config })))!.render(turns).text;
    };
    expect(await rendered({})).toBe('b');
    expect(await rendered({ added_tokens_decoder: {} })).toBe('a');
  });

  it.each([
    ['a template that is no text', { chat_template: 3 }, /key "chat_template": found 3, expected a template/],
    ['no default', { chat_template: [{ name: 'rag', template: '' }] }, /named rag, expected one named default/],
    ['a tag without end', { chat_template: '{{ x' }, /cannot be read as a chat template: \{\{ without \}\}/],
    ['an unknown tag', { chat_template: '{% include "x" %}' }, /cannot be read as a chat template: .*include/],
    ['a refusal', { chat_template: "{{ raise_exception('no ' + messages[0].role) }}" }, /: no user$/],
    [
      'a sum of text and list',
      { chat_template: "{{ 'a' + messages }}" },
      /unsupported operand types for \+: 'str' and 'list'/,
    ],
    ['an unknown filter', { chat_template: '{{ 1 | nothing }}' }, /no filter named 'nothing'/],
    ['an endless range', { chat_template: '{{ range(1000000) }}' }, /a range of 1000000 numbers/],
  ])('with %s is told', async (_, config, message) => {
    const path = await folder({ 'tokenizer_config.json': config });
    await expect((async () => (await loadChatFormat(path))!.render(turns))()).rejects.toThrow(message);
  });
});

/** Each template's text is Jinja2's, by `test/goldens/chat/snippets.py`. */
describe('Jinja and Python', async () => {
  interface Snippets {
    readonly variables: Readonly<Record<string, unknown>>;
    readonly cases: readonly { readonly source: string; readonly text?: string }[];
  }
  const snippets = JSON.parse(await readFile(join(GOLDENS, 'snippets.json'), 'utf8')) as Snippets;

  it('are followed: the text of every short template, and which of them are refused', () => {
    const textOf = (source: string): string | undefined => {
      try {
        return new ChatTemplate(source, 't').render(snippets.variables).text;
      } catch (error) {
        expect(error, source).toBeInstanceOf(UserError);
        return undefined;
      }
    };
    expect(snippets.cases.length).toBeGreaterThan(400);
    expect(snippets.cases.map(({ source }) => [source, textOf(source)])).toEqual(
      snippets.cases.map(({ source, text }) => [source, text]),
    );
  });

  it('write dates as strftime', () => {
    const date = new Date(2026, 6, 5, 15, 4, 9);
    expect(strftime(date, '%d %b %Y, %A %-d %B %y, %H:%M:%S %I %p %j %% %Q')).toBe(
      '05 Jul 2026, Sunday 5 July 26, 15:04:09 03 PM 186 % %Q',
    );
  });
});

it('tells the parts that a template marks, in UTF-16 units', () => {
  const source =
    '{% for m in messages %}<{% if m.role == "assistant" %}{% generation %}{{ m.content }}.{% endgeneration %}{% else %}{{ m.content }}{% endif %}>{% endfor %}';
  const format = new ChatFormat(new Map([['default', { source, at: 't' }]]), {});
  const { text, marked } = format.render(
    ['user', 'assistant', 'assistant'].map((role) => ({ role, content: `🎉${role}` })),
  );
  expect(format.hasMarks()).toBe(true);
  expect(marked.map(([begin, end]) => text.slice(begin, end))).toEqual(['🎉assistant.', '🎉assistant.']);
});

it('gives messages as they are, keys in their order, without null, reasoning under its usual names', () => {
  const format = new ChatFormat(new Map([['default', { source: '{{ messages | tojson }}', at: 't' }]]), {});
  const messages = [{ content: 'a', role: 'user', name: null, n: 1 }];
  expect(format.render(messages).text).toBe('[{"content": "a", "role": "user", "n": 1}]');
  expect(format.render([{ role: 'x', thinking: 'b' }]).text).toBe(
    '[{"thinking": "b", "role": "x", "reasoning_content": "b"}]',
  );
});
