/** Protects: a text made token by token over the cache is the one that whole forward passes make, pruned models included. */
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { hostRandom, STREAM } from '../../engine/random.ts';
import { chunksOf, Generator } from '../../generate/generator.ts';
import { loadModel } from '../../models/checkpoint.ts';
import { KvCache } from '../../models/kv-cache.ts';
import { logitsSession } from '../../peft-model/inference-session.ts';
import { PeftModel } from '../../peft-model/peft-model.ts';
import { decide, randomScores } from '../../pruning/decide.ts';
import { openTestEngine } from '../engine.ts';

const FAMILIES = join(import.meta.dirname, '..', 'goldens', 'families');
const CAPACITY = 19;
const PROMPTS = [[5], [7, 3, 9, 11, 4], Array.from({ length: 13 }, (_, i) => 3 + ((i * 17) % 90))];

const engine = await openTestEngine();

async function load(name: string, adapter?: string): Promise<PeftModel> {
  const folder = join(FAMILIES, name);
  const adapterDir = adapter === undefined ? undefined : join(folder, 'adapters', adapter);
  return PeftModel.fromPretrained(engine, await loadModel(join(folder, 'model')), adapterDir);
}

/** Half of the heads and some of everything else, at random. */
async function pruned(name: string): Promise<PeftModel> {
  const whole = await load(name, 'lora');
  const scores = {
    heads: whole.base.layers.map(({ heads }) => new Array<number>(heads).fill(1)),
    neurons: whole.base.layers.map(({ neurons }) => new Array<number>(neurons).fill(1)),
    modules: Object.fromEntries(whole.method!.modules.map((m) => [m.name, 1])),
    ranks: Object.fromEntries(whole.method!.modules.map((m) => [m.name, new Array<number>(m.ranks).fill(1)])),
  };
  const ratios = { heads: 0.5, neurons: 0.4, modules: 0.3, ranks: 0.4 };
  return whole.prune(decide(randomScores(scores, 0), ratios, 'random'));
}

/** The most likely token after each of a sequence's tokens, by one whole forward pass. */
async function likeliest(model: PeftModel, ids: readonly number[]): Promise<number[]> {
  using forward = logitsSession(model);
  const zeros = new Int32Array(CAPACITY);
  const batch = { batch: 1, seq: CAPACITY, count: 1, indices: Int32Array.of(0), tokenTypeIds: zeros, labels: zeros };
  const inputIds = zeros.map((_, i) => ids[i] ?? 0);
  const attentionMask = zeros.map((_, i) => (i < ids.length ? 1 : 0));
  const scores = await forward.run({ ...batch, inputIds, attentionMask });
  const width = scores.length / CAPACITY;
  return ids.map((_, i) => {
    const row = scores.subarray(i * width, (i + 1) * width);
    return row.indexOf(Math.max(...row));
  });
}

const NEVER: ReadonlySet<number> = new Set();

describe.each([
  ['opt-lm', 'lora'],
  ['gpt2-lm', undefined],
  ['llama-lm', 'lora'],
  ['opt-lm', 'pruned'],
  ['gpt2-lm', 'pruned'],
  ['llama-lm', 'pruned'],
])('%s, %s', (name, kind) => {
  it('greedy generation over the cache equals whole forward passes', async () => {
    using model = await (kind === 'pruned' ? pruned(name) : load(name, kind));
    const memory = new KvCache(engine, model.base, CAPACITY);
    const { headDim } = model.base.config;
    const rows = model.base.layers.reduce((sum, layer) => sum + layer.kvHeads, 0);
    expect(memory.bytes).toBe(2 * 4 * CAPACITY * headDim * rows);
    using generator = new Generator(model, memory);
    for (const prompt of PROMPTS) {
      const seen: number[] = [];
      const options = { maxNewTokens: 5, endIds: NEVER, onToken: (id: number) => void seen.push(id) };
      const { ids, finish } = await generator.generate(Int32Array.from(prompt), options);
      expect(ids).toHaveLength(5);
      expect(seen).toEqual(ids);
      expect(finish).toBe('length');
      const next = await likeliest(model, [...prompt, ...ids]);
      expect(ids).toEqual(next.slice(prompt.length - 1, -1));
    }
    memory.free();
  });
});

describe('one model', () => {
  it('draws the same text with the same seed, ends at an end token and at the last place, and creates nothing meanwhile', async () => {
    using model = await load('gpt2-lm', 'lora');
    const memory = new KvCache(engine, model.base, CAPACITY);
    using generator = new Generator(model, memory);
    const prompt = Int32Array.from(PROMPTS[1]!);
    const draw = (seed: number, endIds = NEVER, maxNewTokens = 100) => {
      const random = hostRandom(seed, STREAM.sampling);
      return generator.generate(prompt, {
        maxNewTokens,
        endIds,
        sampling: { temperature: 2, topK: 0, topP: 1, random },
      });
    };
    const first = await draw(1);
    expect(first.ids).toHaveLength(CAPACITY - prompt.length);
    expect(first.decodedTokens).toBe(first.ids.length - 1);
    const { created } = engine.memory;
    expect((await draw(1)).ids).toEqual(first.ids);
    expect(engine.memory.created).toBe(created);
    expect((await draw(2)).ids).not.toEqual(first.ids);
    const end = first.ids[3]!;
    const ended = await draw(1, new Set([end]));
    expect(ended.ids).toEqual(first.ids.slice(0, first.ids.indexOf(end) + 1));
    expect(ended.finish).toBe('eos');
    const later = await generator.generate(prompt, {
      maxNewTokens: 6,
      endIds: new Set([end]),
      sampling: { temperature: 2, topK: 0, topP: 1, random: hostRandom(1, STREAM.sampling) },
      constraints: { repetitionPenalty: 1, minNewTokens: 6 },
    });
    expect(later.ids).toHaveLength(6);
    expect(later.ids).not.toContain(end);
    const varied = await generator.generate(prompt, {
      maxNewTokens: 8,
      endIds: NEVER,
      constraints: { repetitionPenalty: 1e6, minNewTokens: 0 },
    });
    expect(new Set([...prompt, ...varied.ids]).size).toBe(new Set(prompt).size + 8);
    const stopped = await generator.generate(prompt, { maxNewTokens: 6, endIds: NEVER, onToken: () => true });
    expect([stopped.ids.length, stopped.finish]).toEqual([1, 'stop']);
    await expect(generator.generate(new Int32Array(CAPACITY), { maxNewTokens: 1, endIds: NEVER })).rejects.toThrow(
      /19/,
    );
    memory.free();
  });
});

it.each([1, 4, 5, 8, 9, 16, 17, 20, 40, 65, 128, 129, 300, 1000])(
  'chunks of %i tokens cover them with little filling',
  (length) => {
    const chunks = chunksOf(length);
    chunks.forEach(({ start }, i) => expect(start).toBe(chunks.slice(0, i).reduce((sum, { size }) => sum + size, 0)));
    const covered = chunks.reduce((sum, { size }) => sum + size, 0);
    expect(covered).toBeGreaterThanOrEqual(length);
    expect(covered - length).toBeLessThanOrEqual(Math.max(7, length - 1));
  },
);
