/** Protects: every family and head, with every PEFT method, number for number against transformers and PEFT on CPU. */
import { cp, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, expect, it, vi } from 'vitest';
import { openSafetensors } from '../../engine/io/safetensors.ts';
import type { Batch } from '../../data/data-loader.ts';
import { loadModel } from '../../models/checkpoint.ts';
import { logitsSession } from '../../peft-model/inference-session.ts';
import { PeftModel } from '../../peft-model/peft-model.ts';
import { openTestEngine } from '../engine.ts';

const FAMILIES = join(import.meta.dirname, '..', 'goldens', 'families');

const engine = await openTestEngine();

async function load(model: string, adapter?: string): Promise<PeftModel> {
  return PeftModel.fromPretrained(engine, await loadModel(model), adapter);
}

interface Golden {
  readonly batch: Batch;
  /** By `base` or method. */
  readonly logits: ReadonlyMap<string, Float32Array>;
}

/** The encodings of multiple choice are rows of their own. */
async function readGolden(folder: string): Promise<Golden> {
  const inputs = await openSafetensors(join(folder, 'batch.safetensors'));
  const shape = inputs.info('input_ids').shape;
  const seq = shape[shape.length - 1] as number;
  const inputIds = await inputs.readInt32('input_ids');
  const attentionMask = await inputs.readInt32('attention_mask');
  await inputs.close();
  const batch = inputIds.length / seq;
  const outputs = await openSafetensors(join(folder, 'logits.safetensors'));
  const logits = new Map<string, Float32Array>();
  for (const name of outputs.names) logits.set(name, await outputs.readFloat32(name));
  await outputs.close();
  const indices = Int32Array.from({ length: batch }, (_, i) => i);
  const none = { tokenTypeIds: new Int32Array(batch * seq), labels: new Int32Array(batch) };
  return { batch: { batch, seq, count: batch, indices, inputIds, attentionMask, ...none }, logits };
}

/** Largest difference over the largest expected value, at tokens alone where there are scores for every token. */
function difference(actual: Float32Array, expected: Float32Array, { batch, seq, attentionMask }: Batch): number {
  expect(actual.length).toBe(expected.length);
  const everyToken = expected.length % (batch * seq) === 0;
  const width = everyToken ? expected.length / (batch * seq) : expected.length;
  let [worst, scale] = [0, 0];
  expected.forEach((value, i) => {
    if (everyToken && attentionMask[Math.floor(i / width)] === 0) return;
    worst = Math.max(worst, Math.abs(value - (actual[i] as number)));
    scale = Math.max(scale, Math.abs(value));
  });
  return worst / scale;
}

describe.each([
  'distilbert-cls',
  'roberta-mlm',
  'bert-qa',
  'roberta-choice',
  'opt-lm',
  'gpt2-lm',
  'llama-lm',
  'llama-cls',
])('%s', (name) => {
  const folder = join(FAMILIES, name);
  it.each(['base', 'lora', 'lora-patterns', 'dora', 'ia3'])('%s', async (method) => {
    const { batch, logits } = await readGolden(folder);
    const adapter = method === 'base' ? undefined : join(folder, 'adapters', method);
    using model = await load(join(folder, 'model'), adapter);
    using session = logitsSession(model);
    expect(difference(await session.run(batch), logits.get(method)!, batch)).toBeLessThan(1e-5);
  });
});

it('scores of every token come in runs of some where all are too many', async () => {
  const folder = join(FAMILIES, 'llama-lm');
  const { batch, logits } = await readGolden(folder);
  using model = await load(join(folder, 'model'));
  using session = logitsSession(model, {}, 16);
  const scores = await session.run(batch);
  expect(scores.length).toBe(3 * 16 * 120);
  expect(difference(scores.subarray(0, 3 * 13 * 120), logits.get('base')!, batch)).toBeLessThan(1e-5);
});

it('the head is that of the adapter’s weights where no task is named', async () => {
  const folder = await mkdtemp(join(tmpdir(), 'light-peft-'));
  const source = join(FAMILIES, '..', 'roberta', 'adapter-final');
  await cp(source, folder, { recursive: true });
  const config = JSON.parse(await readFile(join(source, 'adapter_config.json'), 'utf8')) as object;
  await writeFile(join(folder, 'adapter_config.json'), JSON.stringify({ ...config, task_type: null }));
  const model = join(FAMILIES, 'roberta-mlm', 'model');
  const headWith = async (adapter: string): Promise<string> => {
    using found = await load(model, adapter);
    return found.head;
  };
  expect(await headWith(folder)).toBe('classification');
  expect(await headWith(join(FAMILIES, 'roberta-mlm', 'adapters', 'lora'))).toBe('masked-lm');
  await rm(folder, { recursive: true });
});

it.each(['gpt2-lm', 'llama-lm', 'roberta-mlm'])('%s with tables over the binding limit', async (name) => {
  const folder = join(FAMILIES, name);
  const { batch, logits } = await readGolden(folder);
  using model = await load(join(folder, 'model'));
  const parts = vi.spyOn(model.base, 'table');
  parts.mockImplementation((table) => model.base.weights.get(table)!.rowParts(4096));
  using session = logitsSession(model);
  expect(difference(await session.run(batch), logits.get('base')!, batch)).toBeLessThan(1e-5);
  const ofVocabulary = parts.mock.calls.flatMap(([table], i) =>
    /wte|embed_tokens|word_embeddings|lm_head(\.decoder)?\.weight/.test(table)
      ? [parts.mock.results[i]!.value as readonly unknown[]]
      : [],
  );
  expect(ofVocabulary).toHaveLength(2);
  expect(ofVocabulary[0]).toHaveLength(4);
});
