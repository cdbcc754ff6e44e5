/**
 * Room: generate. Text generation with a cache of keys and values: a prompt goes in by chunks of few sizes, and then one program is
 * replayed for every token.
 */
import type { InputSpec } from '../engine/compile/program.ts';
import type { HostArray, Traced } from '../engine/engine.ts';
import type { Tensor } from '../engine/graph/tensor.ts';
import type { ModelConfig } from '../models/architecture.ts';
import type { KvCache } from '../models/kv-cache.ts';
import type { BatchInputs, PeftModel } from '../peft-model/peft-model.ts';
import type { HostRandom } from '../engine/random.ts';
import { ProgramCache } from '../engine/program-cache.ts';
import { assertFinite } from '../train/finite.ts';
import { constrained, UNCONSTRAINED, type Constraints } from './constraints.ts';
import { greedyToken, sampleToken, type Sampling } from './sampling.ts';

/** Tokens of a prompt that go through the model at a time: few sizes, so that few programs are compiled. */
const SMALLEST_CHUNK = 8;
const CHUNKS: readonly number[] = [SMALLEST_CHUNK, 32, 128];

export interface GenerateOptions {
  readonly maxNewTokens: number;
  /** Tokens that end the text; they are part of it. */
  readonly endIds: ReadonlySet<number>;
  /** Absent: the most likely token always. */
  readonly sampling?: Sampling & { readonly random: HostRandom };
  /** Absent: none. */
  readonly constraints?: Constraints;
  /** Called with every new token; true ends the text with it. */
  readonly onToken?: (id: number) => boolean | undefined;
  readonly signal?: AbortSignal;
}

export interface Generated {
  /** The new tokens. */
  readonly ids: readonly number[];
  /** An end token came; a stop text; as many tokens as asked for, or as the model has positions for; or Ctrl-C. */
  readonly finish: 'eos' | 'stop' | 'length' | 'interrupted';
  readonly promptTokens: number;
  /** From the prompt to the scores of its last token, compiling left out. */
  readonly prefillSeconds: number;
  /** Tokens after the first, and what they took. */
  readonly decodedTokens: number;
  readonly decodeSeconds: number;
}

/** A language model, with or without PEFT modules, that writes into a cache which others on the same base may share. */
export class Generator implements Disposable {
  readonly #model: PeftModel;
  readonly #cache: KvCache;
  readonly #programs: ProgramCache;

  /** @param cache made for the model's base; one sequence at a time uses it */
  constructor(model: PeftModel, cache: KvCache) {
    this.#model = model;
    this.#cache = cache;
    this.#programs = new ProgramCache(model.engine, ({ seq }) => ({
      name: `generate ${seq}`,
      inputs: this.#specs(seq),
      trace: (inputs) => this.#trace(inputs),
    }));
  }

  /**
   * @param prompt at least one token, fewer than the cache has places
   * @returns when the text has ended
   */
  async generate(prompt: Int32Array, options: GenerateOptions): Promise<Generated> {
    const { maxNewTokens, endIds, sampling, constraints = UNCONSTRAINED, onToken, signal } = options;
    const { capacity } = this.#cache;
    if (prompt.length === 0 || prompt.length >= capacity)
      throw new RangeError(`a prompt of ${prompt.length} tokens for a cache of ${capacity}`);
    await this.#prepare(prompt, maxNewTokens);
    const seen = new Set(prompt);
    const choose = (given: Float32Array, count: number): number => {
      const scores = constrained(given, constraints, seen, count, endIds);
      return sampling ? sampleToken(scores, sampling, sampling.random) : greedyToken(scores);
    };
    const started = performance.now();
    let scores = await this.#prefill(prompt);
    const first = performance.now();
    const most = Math.min(maxNewTokens, capacity - prompt.length);
    const ids: number[] = [];
    let finish: Generated['finish'] = 'length';
    while (ids.length < most) {
      if (ids.length > 0) scores = await this.#run(Int32Array.of(ids[ids.length - 1]!), prompt.length + ids.length - 1);
      const id = choose(scores, ids.length);
      ids.push(id);
      seen.add(id);
      const isStopped = onToken?.(id) === true;
      if (endIds.has(id)) finish = 'eos';
      else if (isStopped) finish = 'stop';
      else if (signal?.aborted) finish = 'interrupted';
      else continue;
      break;
    }
    return {
      ids,
      finish,
      promptTokens: prompt.length,
      prefillSeconds: (first - started) / 1000,
      decodedTokens: Math.max(0, ids.length - 1),
      decodeSeconds: (performance.now() - first) / 1000,
    };
  }

  /** Frees its programs; model and cache stay. */
  dispose(): void {
    this.#programs.dispose();
  }

  [Symbol.dispose](): void {
    this.dispose();
  }

  /** Compiles what a prompt needs, so that the clock sees none of it. */
  async #prepare(prompt: Int32Array, maxNewTokens: number): Promise<void> {
    const counts = chunksOf(prompt.length).map(({ size }) => size);
    for (const count of new Set(maxNewTokens > 1 ? [...counts, 1] : counts))
      await this.#programs.get({ batch: 1, seq: count }, this.#inputs(prompt.subarray(0, 1), 0, count));
  }

  /** Scores of the token after the prompt. */
  async #prefill(prompt: Int32Array): Promise<Float32Array> {
    const chunks = chunksOf(prompt.length);
    for (const { start, size } of chunks.slice(0, -1))
      await this.#enqueue(prompt.subarray(start, start + size), start, size);
    const { start, size } = chunks[chunks.length - 1]!;
    return this.#run(prompt.subarray(start), start, size);
  }

  /** Puts tokens behind those in the cache. @returns f32 [vocabulary]: scores of the token after them */
  async #run(ids: Int32Array, place: number, size = ids.length): Promise<Float32Array> {
    const scores = await (await this.#enqueue(ids, place, size)).read('scores');
    assertFinite(scores, `token ${place + ids.length + 1}: a score`);
    return scores;
  }

  async #enqueue(ids: Int32Array, place: number, size: number): ReturnType<ProgramCache['get']> {
    const program = await this.#programs.get({ batch: 1, seq: size });
    program.run(this.#inputs(ids, place, size));
    return program;
  }

  #specs(count: number): Readonly<Record<string, InputSpec>> {
    const { config, wordEmbedding } = this.#model.base;
    const one: InputSpec = { shape: [1], dtype: 'i32' };
    const tokens: InputSpec = { shape: [1, count], dtype: 'i32' };
    return {
      inputIds: tokens,
      positionIds: tokens,
      position: one,
      last: one,
      ...(wordEmbedding && { words: { shape: [count, config.embeddingSize], dtype: 'f32' } as const }),
    };
  }

  /** @param size tokens of the program; those after `ids` are filling that nothing sees */
  #inputs(ids: Int32Array, place: number, size: number): Readonly<Record<string, HostArray>> {
    const { config, wordEmbedding } = this.#model.base;
    const inputIds = new Int32Array(size).fill(config.padTokenId);
    inputIds.set(ids);
    return {
      inputIds,
      positionIds: placesOf(config, place, size),
      position: Int32Array.of(place),
      last: Int32Array.of(ids.length - 1),
      ...(wordEmbedding && { words: wordEmbedding.rows(inputIds) }),
    };
  }

  #trace(inputs: Readonly<Record<string, Tensor>>): Traced {
    const { inputIds, positionIds, position, last, words } = inputs as Record<string, Tensor> & { position: Tensor };
    const { mask, rotary } = this.#cache;
    const { cache, updates } = this.#cache.trace(position);
    const batch = {
      inputIds,
      positionIds,
      // Decoders have no segments.
      tokenTypeIds: inputIds,
      attentionMask: mask.tensor,
      rows: last,
      cache,
      ...(words && { words }),
      ...(rotary && { rotary: rotary.tensor }),
    } as BatchInputs;
    const scores = this.#model.logits(batch);
    return { outputs: { scores }, updates };
  }
}

interface Chunk {
  readonly start: number;
  /** Of `CHUNKS`; the last chunk may be filled up to it. */
  readonly size: number;
}

/** Chunks of a prompt: full ones, and a last one that is filled up where less than half of it would be filling. */
export function chunksOf(length: number): Chunk[] {
  const chunks: Chunk[] = [];
  for (let start = 0; start < length;) {
    const left = length - start;
    const above = CHUNKS.find((size) => size >= left && 2 * left > size);
    const size = above ?? CHUNKS.findLast((one) => one <= left) ?? SMALLEST_CHUNK;
    chunks.push({ start, size });
    start += size;
  }
  return chunks;
}

/** Position ids of tokens from a place on. */
function placesOf({ architecture: { positions } }: ModelConfig, place: number, count: number): Int32Array {
  return Int32Array.from({ length: count }, (_, i) => positions.first + place + i);
}
