/** Protects: what is learned of a conversation — the assistant's turns as transformers masks them, or by prefixes, or all — where it is cut, and what bad rows are told. */
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { headOfData } from '../../../data/load/head-of-data.ts';
import { loadData } from '../../../data/source.ts';
import { readLanguageFile } from '../../../data/lm/documents.ts';
import { encodeLanguageFile, type LanguageOptions } from '../../../data/lm/encode.ts';
import { ChatFormat, type Message } from '../../../models/chat/chat-format.ts';
import { loadModel } from '../../../models/checkpoint.ts';
import { loadTokenizer, type TextTokenizer } from '../../../models/tokenizer.ts';
import { heardWarnings } from '../../warnings.ts';

const ROOT = join(import.meta.dirname, '..', '..', '..');
const CHAT = join(ROOT, 'test', 'goldens', 'chat');
const SPECIAL = { bos_token: '<s>', eos_token: '</s>' };

let dir: string;
let tokenizer: TextTokenizer;
beforeAll(async () => {
  dir = await mkdtemp(join(tmpdir(), 'light-peft-'));
  tokenizer = await loadTokenizer(join(ROOT, 'checkpoints', 'light-roberta'));
});
afterAll(() => rm(dir, { recursive: true }));

const warnings = heardWarnings();

const formatOf = (source: string): ChatFormat =>
  new ChatFormat(new Map([['default', { source, at: 'template' }]]), SPECIAL);
const templateOf = async (name: string): Promise<ChatFormat> =>
  formatOf(await readFile(join(CHAT, 'templates', `${name}.jinja`), 'utf8'));

async function write(name: string, content: string): Promise<string> {
  const path = join(dir, name);
  await writeFile(path, content);
  return path;
}

async function encode(path: string, chat: ChatFormat | undefined, options: Partial<LanguageOptions> = {}) {
  const usual = { maxLength: 1000, vocabSize: tokenizer.vocabSize, tokenizer, endId: 2, chat };
  return [...(await encodeLanguageFile(readLanguageFile(path), { ...usual, ...options }))];
}

const lines = (...rows: object[]): string => rows.map((row) => JSON.stringify(row)).join('\n');

/** Without the spaces that the tokenizer puts before words. */
const decoded = (ids: Iterable<number>): string => tokenizer.decode([...ids], true).replaceAll(' ', '');

/** The texts of an example: all of it, and what is learned. */
async function textsOf(
  row: object,
  chat: ChatFormat,
  options: Partial<LanguageOptions> = {},
): Promise<[string, string]> {
  const [example] = await encode(await write('row.jsonl', lines(row)), chat, options);
  const learned = [...example!.tokenLabels!].filter((id) => id >= 0);
  return [decoded(example!.ids), decoded(learned)];
}

const user = (content: string): Message => ({ role: 'user', content });
const assistant = (content: string): Message => ({ role: 'assistant', content });
const TALK = { messages: [user('hello'), assistant('good day'), user('bye'), assistant('so long')] };

it('is the tokens and the mask that transformers gives, by the marks of templates', async () => {
  interface Golden {
    readonly template: string;
    readonly conversation: string;
    readonly options: { readonly tools?: boolean; readonly add_generation_prompt?: boolean };
    readonly ids?: readonly number[];
    readonly mask?: readonly number[];
  }
  const goldens = JSON.parse(await readFile(join(CHAT, 'rendered.json'), 'utf8')) as {
    readonly rows: readonly Golden[];
    readonly tools: readonly unknown[];
    readonly conversations: Readonly<Record<string, readonly Message[]>>;
  };
  const rows = goldens.rows.filter(({ mask, options }) => mask?.includes(1) && !options.add_generation_prompt);
  expect(new Set(rows.map(({ template }) => template)).size).toBe(4);
  expect(rows.length).toBeGreaterThan(30);
  for (const { template, conversation, options, ids, mask } of rows) {
    const tools = options.tools && goldens.tools;
    const path = await write('g.jsonl', lines({ messages: goldens.conversations[conversation], tools }));
    const [example] = await encode(path, await templateOf(template));
    expect([...example!.ids], `${template} ${conversation}`).toEqual(ids);
    expect([...example!.tokenLabels!]).toEqual(ids!.map((id, i) => (mask![i] === 1 ? id : -100)));
  }
});

describe('without marks', () => {
  it('is each turn of the assistant with what ends it', async () => {
    const [all, learned] = await textsOf(TALK, await templateOf('zephyr'));
    expect(all).toBe('<|user|>\nhello</s>\n<|assistant|>\ngoodday</s>\n<|user|>\nbye</s>\n<|assistant|>\nsolong</s>\n');
    expect(learned).toBe('goodday</s>\nsolong</s>\n');
  });

  it('is the completion alone of a prompt with a completion, and of its turns those of the assistant', async () => {
    const [first, second, third, fourth] = TALK.messages as [Message, Message, Message, Message];
    const zephyr = await templateOf('zephyr');
    const learned = async (row: object): Promise<string> => (await textsOf(row, zephyr))[1];
    expect(await learned({ prompt: [first, second, third], completion: [fourth] })).toBe('solong</s>\n');
    expect(await learned({ prompt: [first], completion: [second, third, fourth] })).toBe('goodday</s>\nsolong</s>\n');
  });

  it('is what follows the words shared with the generation prompt', async () => {
    const [all, learned] = await textsOf(
      { messages: [user('q'), assistant('a')] },
      await templateOf('deepseek_r1_distill'),
    );
    expect(all).toBe('<s><|user|>q<|assistant|>a<|end▁of▁sentence|>');
    expect(learned.endsWith('a<|end▁of▁sentence|>')).toBe(true);
    expect(learned).not.toContain('user');
  });

  it('is told where turns are written otherwise when others follow', async () => {
    const row = await write('q.jsonl', lines(TALK));
    await expect(encode(row, await templateOf('qwen3'))).rejects.toThrow(
      /q\.jsonl:1: the chat template writes turn 2 \(assistant\) otherwise .*\{% generation %\}.*`lossOn` to all/,
    );
    expect(await encode(row, await templateOf('qwen3'), { lossOn: 'all' })).toHaveLength(1);
  });

  it('leaves the header of a first turn out', async () => {
    const [, learned] = await textsOf({ messages: [assistant('welcome'), user('x')] }, await templateOf('zephyr'));
    expect(learned).toBe('welcome</s>\n');
  });
});

it('is everything with lossOn all, of prompts with completions too', async () => {
  const zephyr = await templateOf('zephyr');
  const [all, learned] = await textsOf(TALK, zephyr, { lossOn: 'all' });
  expect(learned).toBe(all);
  const [text, whole] = await textsOf({ prompt: 'the film', completion: ' was good' }, zephyr, { lossOn: 'all' });
  expect(whole).toBe(text);
});

it('has what the template gives: no token is added before or behind', async () => {
  const [example] = await encode(
    await write('b.jsonl', lines(TALK)),
    formatOf('{{ bos_token }}{{ messages[0].content }}'),
    {
      lossOn: 'all',
    },
  );
  expect(decoded(example!.ids)).toBe('<s>hello');
});

it('is cut at its end, counted; and left out where nothing to learn is left', async () => {
  const zephyr = await templateOf('zephyr');
  const long = { messages: [user('film '.repeat(40)), assistant('x')] };
  const path = await write('c.jsonl', lines(TALK, long, { messages: [user('a'), assistant('b')] }));
  const whole = await encode(path, zephyr);
  const cut = await encode(path, zephyr, { maxLength: 30 });
  expect(warnings).toEqual([
    expect.stringMatching(/c\.jsonl: 2 of 3 conversations cut to 30 tokens \(`maxLength`\); the first: .*c\.jsonl:1/),
    expect.stringMatching(/c\.jsonl: 1 of 3 rows left out, without a token to learn; the first: .*c\.jsonl:2/),
  ]);
  expect(cut.map(({ ids }) => [...ids])).toEqual([[...whole[0]!.ids.subarray(0, 30)], [...whole[2]!.ids]]);
});

it('without a turn of the assistant is left out, and learned whole where that is asked for', async () => {
  const zephyr = await templateOf('zephyr');
  const path = await write('asked.jsonl', lines({ messages: [user('who?')] }, TALK));
  expect(await encode(path, zephyr)).toHaveLength(1);
  expect(warnings.at(-1)).toMatch(
    /1 of 2 rows left out.*asked\.jsonl:1; .* without a turn of the assistant: set `lossOn` to all/,
  );
  await write('asked.jsonl', lines({ messages: [user('who?')] }));
  await expect(encode(path, zephyr)).rejects.toThrow(/no token to learn.* set `lossOn` to all to learn every turn/);
  expect(await encode(path, zephyr, { lossOn: 'all' })).toHaveLength(1);
});

it('keeps numbers as Python’s json has them', async () => {
  const format = formatOf('{{ messages[0].tool_calls[0].arguments | tojson }}{{ tools[0] | tojson }}');
  const call = '{"role": "assistant", "tool_calls": [{"arguments": {"a": 1.0, "b": 2, "c": [3.00]}}]}';
  const path = await write('calls.jsonl', `{"messages": [${call}], "tools": "[{\\"least\\": 0.0}]"}\n`);
  const [example] = await encode(path, format, { lossOn: 'all' });
  expect(decoded(example!.ids)).toBe('{"a":1.0,"b":2,"c":[3.0]}{"least":0.0}');
});

it('is read from JSON in a table, and knows its variables', async () => {
  const format = formatOf('{{ mood }}{% for t in tools or [] %}{{ t.name }}{% endfor %}{{ messages[0].content }}');
  const cell = (value: unknown): string => `"${JSON.stringify(value).replaceAll('"', '""')}"`;
  const path = await write('t.csv', `messages,tools\n${cell([user('hi')])},${cell([{ name: 'f' }])}\n`);
  const [example] = await encode(path, format, { lossOn: 'all' });
  expect(decoded(example!.ids)).toBe('fhi');
  const row = { messages: [user('hi')], chat_template_kwargs: { mood: 'gay' }, tools: [] };
  expect((await textsOf(row, format, { lossOn: 'all' }))[0]).toBe('gayhi');
});

it('is read of `conversations` with `from` and `value` too', async () => {
  const [user, assistant] = [
    { from: 'user', value: 'hello' },
    { from: 'assistant', value: 'bye' },
  ];
  const path = await write('s.jsonl', lines({ conversations: [user, assistant] }));
  expect(await headOfData({ train: path })).toBe('causal-lm');
  const [example] = await encode(path, await templateOf('zephyr'));
  expect(decoded(example!.ids)).toBe('<|user|>\nhello</s>\n<|assistant|>\nbye</s>\n');
});

it.each([
  ['no list', { messages: 'hello' }, /r\.jsonl:1: "messages" is "hello", expected a list of \{"role"/],
  ['an empty list', { messages: [] }, /:1: "messages" is \[\], expected a list/],
  [
    'a message without role',
    { messages: [{ content: 'a' }] },
    /"messages" entry 0 has "role" nothing, expected a string/,
  ],
  ['a message that is a text', { messages: [user('a'), 'b'] }, /"messages" entry 1 is "b", expected \{"role"/],
  [
    'a content that is a number',
    { messages: [{ role: 'user', content: 3 }] },
    /entry 0 has "content" 3, expected a text/,
  ],
  ['a completion that is a text', { prompt: [user('a')], completion: 'b' }, /"completion" is "b", expected a list/],
  ['tools that are no list', { messages: [user('a')], tools: 3 }, /"tools" is 3, expected a list of JSON objects/],
  ['what the template refuses', { messages: [assistant('a')] }, /r\.jsonl:1: template: first the user/],
])('refuses %s', async (_, row, message) => {
  const format = formatOf("{% if messages[0].role != 'user' %}{{ raise_exception('first the user') }}{% endif %}x");
  await expect(encode(await write('r.jsonl', lines(row)), format)).rejects.toThrow(message);
});

it('needs a model with a chat template, which the error explains', async () => {
  const path = await write('n.jsonl', lines(TALK));
  await expect(encode(path, undefined)).rejects.toThrow(
    /n\.jsonl:1: found a conversation, but the model folder has no chat template; expected "chat_template"/,
  );
  const gpt2 = join(ROOT, 'test', 'goldens', 'families', 'gpt2-lm', 'model');
  expect(await headOfData({ train: path })).toBe('causal-lm');
  await expect(loadData(await loadModel(gpt2), { train: path })).rejects.toThrow(/no tokenizer\.json|no chat template/);
});
