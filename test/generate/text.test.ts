/** Protects: drawing as transformers does, characters shown whole, prompts and options checked. */
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { ModelConfig } from '../../models/architecture.ts';
import { ChatFormat, type Message } from '../../models/chat/chat-format.ts';
import { loadConfig } from '../../models/config.ts';
import { loadTokenizer } from '../../models/tokenizer.ts';
import { hostRandom } from '../../engine/random.ts';
import { constrained, UNCONSTRAINED } from '../../generate/constraints.ts';
import { generationConfig, type GenerationOverrides } from '../../generate/options.ts';
import { encodePrompt, endOfTurn, readPrompts, type Prompt } from '../../generate/prompts.ts';
import { greedyToken, sampleToken } from '../../generate/sampling.ts';
import { TextStream } from '../../generate/text-stream.ts';

const GPT2 = join(import.meta.dirname, '..', 'goldens', 'families', 'gpt2-lm', 'model');

describe('drawing', () => {
  /** Written down from the definitions: which tokens stay, with which probability. */
  function expected(scores: readonly number[], temperature: number, topK: number, topP: number): Map<number, number> {
    const least = topK > 0 ? [...scores].sort((a, b) => b - a)[Math.min(topK, scores.length) - 1]! : -Infinity;
    const left = scores.map((s, id) => ({ id, s })).filter(({ s }) => s >= least);
    const z = left.reduce((sum, { s }) => sum + Math.exp(s / temperature), 0);
    const sorted = left.map(({ id, s }) => ({ id, p: Math.exp(s / temperature) / z })).sort((a, b) => b.p - a.p);
    let before = 0;
    const kept = sorted.filter(({ p }) => {
      const keep = before < topP;
      before += p;
      return keep;
    });
    const total = kept.reduce((sum, { p }) => sum + p, 0);
    return new Map(kept.map(({ id, p }) => [id, p / total]));
  }

  it.each([
    [1, 0, 1],
    [0.5, 0, 1],
    [2, 3, 1],
    [1, 0, 0.7],
    [1.5, 4, 0.8],
    [1, 0, 0.01],
  ])('follows the probabilities at temperature %d, top-k %i, top-p %d', (temperature, topK, topP) => {
    const scores = [0.3, -1, 2, 1.1, 0.29, -0.4, 1.7];
    const random = hostRandom(4, 97);
    const draws = 20_000;
    const counts = new Map<number, number>();
    for (let i = 0; i < draws; i++) {
      const id = sampleToken(Float32Array.from(scores), { temperature, topK, topP }, random);
      counts.set(id, (counts.get(id) ?? 0) + 1);
    }
    const probabilities = expected(scores, temperature, topK, topP);
    expect([...counts.keys()].sort()).toEqual([...probabilities.keys()].sort());
    // Four standard deviations.
    for (const [id, p] of probabilities)
      expect(Math.abs(counts.get(id)! / draws - p)).toBeLessThan(4 * Math.sqrt((p * (1 - p)) / draws) + 1e-9);
  });

  it('takes the first of equal largest scores when greedy, and keeps all that equal the last of top-k', () => {
    expect(greedyToken(Float32Array.of(1, 3, 3, 2))).toBe(1);
    const random = hostRandom(1, 97);
    const seen = new Set<number>();
    for (let i = 0; i < 200; i++)
      seen.add(sampleToken(Float32Array.of(2, 1, 1, 0), { temperature: 1, topK: 2, topP: 1 }, random));
    expect([...seen].sort()).toEqual([0, 1, 2]);
  });
});

describe('scores before a choice', () => {
  const scores = Float32Array.of(2, -1, 0.5, 1);
  const none: ReadonlySet<number> = new Set();

  it('are divided by the penalty where above 0, else multiplied, once for each token of the text', () => {
    const changed = constrained(scores, { repetitionPenalty: 2, minNewTokens: 0 }, new Set([0, 1]), 5, none);
    expect([...changed]).toEqual([1, -2, 0.5, 1]);
    expect([...scores]).toEqual([2, -1, 0.5, 1]);
    expect(greedyToken(constrained(scores, { repetitionPenalty: 4, minNewTokens: 0 }, new Set([0]), 1, none))).toBe(3);
  });

  it('of end tokens never win before the least length', () => {
    const ends = new Set([0, 3, 99]);
    const least = { repetitionPenalty: 1, minNewTokens: 2 };
    for (const count of [0, 1]) {
      const changed = constrained(scores, least, none, count, ends);
      expect([...changed]).toEqual([-Infinity, -1, 0.5, -Infinity]);
      const random = hostRandom(2, 97);
      for (let i = 0; i < 100; i++)
        expect([1, 2]).toContain(sampleToken(changed, { temperature: 5, topK: 0, topP: 1 }, random));
    }
    expect(constrained(scores, least, none, 2, ends)).toBe(scores);
  });
});

/** A token for every byte, as byte-level tokenizers have at least. */
const decodeBytes = (ids: readonly number[]): string => new TextDecoder().decode(Uint8Array.from(ids));

describe('text as it comes', () => {
  it('is the whole text in the end, and no piece ever ends within a character', () => {
    fc.assert(
      fc.property(
        fc.string({ unit: 'grapheme', maxLength: 12 }),
        fc.string({ unit: 'grapheme', maxLength: 40 }),
        (prompt, text) => {
          const bytes = (s: string): number[] => [...new TextEncoder().encode(s)];
          const stream = new TextStream(decodeBytes, bytes(prompt));
          const pieces = bytes(text).map((id) => stream.push(id));
          expect(pieces.every((piece) => !piece.includes('�') || text.includes('�'))).toBe(true);
          expect(pieces.join('') + stream.flush()).toBe(text);
        },
      ),
    );
  });

  it('gives out what is left of a character at the end', () => {
    const stream = new TextStream(decodeBytes, []);
    const [first, second] = new TextEncoder().encode('é');
    expect(stream.push(first!)).toBe('');
    expect(stream.flush()).toBe('�');
    const whole = new TextStream(decodeBytes, [65]);
    expect(whole.push(first!) + whole.push(second!)).toBe('é');
  });
});

describe('options', () => {
  const of = async (wanted: GenerationOverrides) => generationConfig(GPT2, await loadConfig(GPT2), wanted);

  it('are greedy unless something asks to sample, with the defaults of transformers', async () => {
    const { endIds, sampling, constraints, stop, ignored } = await of({});
    expect({ constraints, stop, ignored }).toEqual({ constraints: UNCONSTRAINED, stop: [], ignored: [] });
    expect(sampling).toBeUndefined();
    expect(endIds.size).toBe(1);
    expect((await of({ doSample: true })).sampling).toEqual({ temperature: 1, topK: 50, topP: 1 });
    expect((await of({ temperature: 0.7, topK: 0 })).sampling).toEqual({ temperature: 0.7, topK: 0, topP: 1 });
  });

  it('come from generation_config.json where the user says nothing', async () => {
    const dir = await mkdtemp(join(tmpdir(), 'light-peft-'));
    const file = { do_sample: true, temperature: 0.6, top_p: 0.9, eos_token_id: [7, 9] };
    await writeFile(join(dir, 'generation_config.json'), JSON.stringify(file));
    const config = await loadConfig(GPT2);
    const { endIds, sampling } = await generationConfig(dir, config, {});
    expect([...endIds]).toEqual([7, 9]);
    expect(sampling).toEqual({ temperature: 0.6, topK: 50, topP: 0.9 });
    expect((await generationConfig(dir, config, { greedy: true })).sampling).toBeUndefined();
    await rm(dir, { recursive: true });
  });

  it('take penalties, a least length and stop texts from the file, and name what they leave out', async () => {
    const dir = await mkdtemp(join(tmpdir(), 'light-peft-'));
    const off = { num_beams: 1, typical_p: 1, bad_words_ids: null, suppress_tokens: [], max_length: 20 };
    const file = { ...off, repetition_penalty: 1.2, min_new_tokens: 3, stop_strings: '###', min_p: 0.1 };
    await writeFile(join(dir, 'generation_config.json'), JSON.stringify({ ...file, no_repeat_ngram_size: 2 }));
    const config = await loadConfig(GPT2);
    const own = await generationConfig(dir, config, {});
    expect(own.constraints).toEqual({ repetitionPenalty: 1.2, minNewTokens: 3 });
    expect(own.stop).toEqual(['###']);
    expect(own.ignored).toEqual(['no_repeat_ngram_size (2)']);
    const asked = await generationConfig(dir, config, { repetitionPenalty: 1, stop: ['.'], doSample: true });
    expect(asked.constraints).toEqual({ repetitionPenalty: 1, minNewTokens: 3 });
    expect(asked.stop).toEqual(['.']);
    expect(asked.ignored).toEqual(['no_repeat_ngram_size (2)', 'min_p (0.1)']);
    await writeFile(join(dir, 'generation_config.json'), '{"repetition_penalty": 0}');
    await expect(generationConfig(dir, config, {})).rejects.toThrow(/"repetition_penalty": found 0/);
    await rm(dir, { recursive: true });
  });

  it.each<[GenerationOverrides, RegExp]>([
    [{ greedy: true, topK: 5 }, /`greedy`/],
    [{ temperature: 0 }, /`temperature`: found 0, expected a number above 0/],
    [{ topK: 1.5 }, /`topK`: found 1\.5/],
    [{ topP: 0 }, /`topP`: found 0/],
    [{ repetitionPenalty: 0 }, /`repetitionPenalty`: found 0/],
    [{ minNewTokens: -1 }, /`minNewTokens`: found -1/],
    [{ stop: [''] }, /`stop`: found an empty text/],
  ])('%j is refused', async (wanted, message) => {
    await expect(of(wanted)).rejects.toThrow(message);
  });
});

describe('prompts', () => {
  it('name file and line where they are wrong', async () => {
    const dir = await mkdtemp(join(tmpdir(), 'light-peft-'));
    const path = join(dir, 'p.jsonl');
    await writeFile(
      path,
      '{"input_ids":[0,1,2],"attention_mask":[0,1,1],"adapter":null}\n{"prompt":"a","adapter":"b"}\n',
    );
    const prompts = await readPrompts(path);
    expect(prompts.map(({ ids, text, adapter }) => [ids ?? text, adapter])).toEqual([
      [[1, 2], null],
      ['a', 'b'],
    ]);
    const config = await loadConfig(GPT2);
    expect([...(await encodePrompt(prompts[0]!, config, undefined))]).toEqual([1, 2]);
    await expect(encodePrompt(prompts[1]!, config, undefined)).rejects.toThrow(/p\.jsonl:2: found text/);
    const long = { at: 'x:1', ids: new Array<number>(19).fill(3) };
    await expect(encodePrompt(long, config, undefined)).rejects.toThrow(/x:1: 19 tokens, expected fewer than the 19/);
    await expect(encodePrompt({ at: 'x:1', ids: [500] }, config, undefined)).rejects.toThrow(/x:1: token 500/);
    await writeFile(path, '{"text":"a"}\n');
    await expect(readPrompts(path)).rejects.toThrow(
      /p\.jsonl:1: found text, expected "prompt", "messages" or "input_ids"/,
    );
    await writeFile(path, '{"prompt":"a","adapter":3}\n');
    await expect(readPrompts(path)).rejects.toThrow(/"adapter" is 3/);
    await rm(dir, { recursive: true });
  });
});

describe('conversations', () => {
  const MODEL = join(import.meta.dirname, '..', '..', 'checkpoints', 'light-roberta');
  const config = { maxTokens: 100, vocabSize: 10_000 } as ModelConfig;
  const source =
    "{% for m in messages %}{{ '<s>' + m.role + ':' + m.content + '</s>\n' }}{% endfor %}{% if add_generation_prompt %}<s>assistant:{% endif %}";
  const formatOf = (text: string): ChatFormat => new ChatFormat(new Map([['default', { source: text, at: 't' }]]), {});
  const written = async (prompt: Omit<Prompt, 'at'>, system?: string): Promise<string> => {
    const tokenizer = await loadTokenizer(MODEL);
    const ids = await encodePrompt({ at: 'x:1', ...prompt }, config, tokenizer, { format: formatOf(source), system });
    return tokenizer.decode([...ids], true).replaceAll(' ', '');
  };
  const turn = (role: string, content: string): Message => ({ role, content });

  it('are texts as one turn of the user, or turns, up to where the answer begins', async () => {
    expect(await written({ text: 'hi' })).toBe('<s>user:hi</s>\n<s>assistant:');
    expect(await written({ text: 'hi' }, 'be')).toBe('<s>system:be</s>\n<s>user:hi</s>\n<s>assistant:');
    const messages = [turn('system', 'own'), turn('user', 'hi')];
    expect(await written({ chat: { messages } }, 'be')).toBe('<s>system:own</s>\n<s>user:hi</s>\n<s>assistant:');
    const begun = [turn('user', 'hi'), turn('assistant', 'so')];
    expect(await written({ chat: { messages: begun } })).toBe('<s>user:hi</s>\n<s>assistant:so');
  });

  it('end at the special token behind a turn of the assistant, where the template has one', async () => {
    const tokenizer = await loadTokenizer(MODEL);
    expect(await endOfTurn(formatOf(source), tokenizer)).toBe(2);
    expect(await endOfTurn(formatOf('{{ messages[1].content }} and so on</s>'), tokenizer)).toBeUndefined();
    expect(await endOfTurn(formatOf("{{ raise_exception('no') }}"), tokenizer)).toBeUndefined();
  });

  it('are read from files, and told where they do not belong', async () => {
    const dir = await mkdtemp(join(tmpdir(), 'light-peft-'));
    const path = join(dir, 'p.jsonl');
    const messages = [turn('user', 'hi')];
    await writeFile(
      path,
      [{ messages, tools: [{ a: 1 }] }, { prompt: messages }].map((row) => JSON.stringify(row)).join('\n'),
    );
    const [first, second] = await readPrompts(path);
    expect([first!.chat, second!.chat]).toEqual([{ messages, tools: [{ a: 1 }] }, { messages }]);
    const tokenizer = await loadTokenizer(MODEL);
    await expect(encodePrompt(first!, config, tokenizer)).rejects.toThrow(
      /p\.jsonl:1: found a conversation; set `chat`/,
    );
    const chat = { format: undefined, system: undefined };
    await expect(encodePrompt(first!, config, tokenizer, chat)).rejects.toThrow(/p\.jsonl:1: .* no chat template/);
    await expect(encodePrompt({ at: 'x:1', ids: [1] }, config, tokenizer, chat)).rejects.toThrow(
      /x:1: found "input_ids", expected "prompt" or "messages" with `chat`/,
    );
    await writeFile(path, '{"messages": [{"role": 3}]}');
    await expect(readPrompts(path)).rejects.toThrow(/p\.jsonl:1: "messages" entry 0 has "role" 3/);
    await rm(dir, { recursive: true });
  });
});
