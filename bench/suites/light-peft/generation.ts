/** Room: bench/suites. Text from a decoder with LoRA, whole and pruned: a prompt's tokens and new tokens a second, bytes of the cache. */
import { z } from 'zod';
import { KvCache } from '../../../models/kv-cache.ts';
import type { PeftModel } from '../../../peft-model/peft-model.ts';
import { Generator } from '../../../generate/generator.ts';
import { pruneAtRandom } from '../../encoder/decision.ts';
import { benchOptions, openPeft, randomBatch, writeRandomModel } from '../../encoder/model.ts';
import type { Published } from '../../encoder/published.ts';
import { interleave, type Candidate, type Sample } from '../../measure/sample.ts';
import { sampleSchema, type Table } from '../../report/document.ts';
import type { BenchContext } from '../../suite.ts';
import type { Fitted } from './shapes.ts';

export const DECODER: Published = {
  name: 'OPT-125m',
  family: 'opt',
  layers: 12,
  hidden: 768,
  heads: 12,
  neurons: 3072,
  vocab: 50272,
  positions: 2048,
};

const PROMPT = 128;
const NEW = 32;
export const LONGEST_TEXT = PROMPT + NEW;

const RATIOS = [1 / 3, 0.5];

export const generationSchema = z.object({
  title: z.string(),
  /** Without pruning first. */
  entries: z.array(
    z.object({
      name: z.string(),
      blocks: z.number(),
      /** A prompt, and one new token. */
      prefill: sampleSchema,
      token: sampleSchema,
      weightBytes: z.number(),
      cacheBytes: z.number(),
    }),
  ),
});

type Generation = z.infer<typeof generationSchema>;

/** A model that can generate. */
interface Speaker {
  readonly name: string;
  readonly blocks: number;
  readonly weightBytes: number;
  readonly memory: KvCache;
  readonly prefill: Candidate;
  readonly decode: Candidate;
  free(): void;
}

export async function compareGeneration(context: BenchContext, { shape, label }: Fitted): Promise<Generation> {
  const { engine, timing, quick } = context;
  const folder = await writeRandomModel(context.folder, 'generation', shape, DECODER.family);
  const options = benchOptions(context.changes);
  const open = (): Promise<PeftModel> => openPeft(engine, folder, options, 'causal-lm');
  const speakers = [speaker('LoRA', await open())];
  for (const ratio of quick ? RATIOS.slice(-1) : RATIOS) {
    const cut = await pruneAtRandom(await open(), options, ratio);
    speakers.push(speaker(`Light-PEFT ${Math.round(ratio * 100)}%`, cut));
  }
  const prefill = await interleave(
    speakers.map((one) => one.prefill),
    timing,
  );
  const decode = await interleave(
    speakers.map((one) => one.decode),
    timing,
  );
  const entries = speakers.map(({ name, blocks, weightBytes, memory }) => ({
    name,
    blocks: blocks / speakers[0]!.blocks,
    prefill: prefill.get(name)!,
    token: perToken(decode.get(name)!),
    weightBytes,
    cacheBytes: memory.bytes,
  }));
  for (const one of speakers) one.free();
  engine.arena.release();
  return { title: `${DECODER.name}, ${label}`, entries };
}

/** The first of the new tokens comes of the prompt. */
function perToken({ median, ...rest }: Sample): Sample {
  return { ...rest, median: median / (NEW - 1) };
}

function speaker(name: string, model: PeftModel): Speaker {
  const { base } = model;
  const memory = new KvCache(model.engine, base, LONGEST_TEXT);
  const generator = new Generator(model, memory);
  const { inputIds } = randomBatch(base.config, 1, PROMPT);
  const options = { maxNewTokens: NEW, endIds: new Set<number>() };
  /** The generator's own clock: each part is timed alone, reading the scores back included. */
  const timed = (pick: 'prefill' | 'decode'): Candidate => ({
    name,
    async time(runs) {
      let seconds = 0;
      for (let i = 0; i < runs; i++) {
        const maxNewTokens = pick === 'prefill' ? 1 : NEW;
        const generated = await generator.generate(inputIds, { ...options, maxNewTokens });
        seconds += generated[`${pick}Seconds`];
      }
      return seconds;
    },
  });
  return {
    name,
    blocks: base.blockParameterCount,
    weightBytes: [...new Set(base.weights.values())].reduce((sum, { storage }) => sum + storage.bytes, 0),
    memory,
    prefill: timed('prefill'),
    decode: timed('decode'),
    free: () => {
      generator.dispose();
      memory.free();
      model.dispose();
    },
  };
}

export function generationTable({ title, entries }: Generation): Table {
  const lora = entries[0]!;
  return {
    title: `Generation, ${title}`,
    caption: `Greedy, one text at a time: a prompt of ${PROMPT} tokens, then ${NEW} new ones over the cache. Scores are read back for every token.`,
    columns: [
      { key: 'name', title: 'method', unit: 'text' },
      { key: 'blocks', title: 'blocks left', unit: 'share' },
      { key: 'prefill', title: 'prompt, tokens/s', unit: 'number' },
      { key: 'prefillRatio', title: 'speed-up', unit: 'ratio' },
      { key: 'token', title: 'one token', unit: 'time' },
      { key: 'decode', title: 'new tokens/s', unit: 'number' },
      { key: 'decodeRatio', title: 'speed-up', unit: 'ratio' },
      { key: 'weights', title: 'weights', unit: 'bytes' },
      { key: 'cache', title: 'cache', unit: 'bytes' },
    ],
    rows: entries.map(({ name, blocks, prefill, token, weightBytes, cacheBytes }) => ({
      name,
      blocks,
      prefill: PROMPT / prefill.median,
      prefillRatio: lora.prefill.median / prefill.median,
      token,
      decode: 1 / token.median,
      decodeRatio: lora.token.median / token.median,
      weights: weightBytes,
      cache: cacheBytes,
    })),
  };
}
