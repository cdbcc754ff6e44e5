/** Protects: every family and head, with every PEFT method, number for number against transformers and PEFT on CPU. */
import { cp, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest';
import { Engine } from '../../engine/engine.ts';
import { openSafetensors } from '../../engine/io/safetensors.ts';
import { loadState } from '../../peft-model/pretrained.ts';
import { toPeftModel } from '../../peft-model/assembly.ts';
import type { Batch } from '../../data/data-loader.ts';
import { InferenceSession } from '../../train/evaluate.ts';

const FAMILIES = join(import.meta.dirname, '..', 'goldens', 'families');

let engine: Engine;
beforeAll(async () => {
  engine = await Engine.open();
});
afterAll(() => engine.close());

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
    const options = { weights: 'f32', embeddings: 'device' } as const;
    const artefact = await loadState(engine, join(folder, 'model'), adapter, options);
    const classifier = toPeftModel(engine, artefact);
    const forward = new InferenceSession(classifier);
    await forward.prepare(batch);
    expect(difference(await forward.run(batch), logits.get(method)!, batch)).toBeLessThan(1e-5);
    forward.dispose();
    classifier.parameters.free();
    artefact.base.free();
  });
});

it('scores of every token come in runs of some where all are too many', async () => {
  const folder = join(FAMILIES, 'llama-lm');
  const { batch, logits } = await readGolden(folder);
  const options = { weights: 'f32', embeddings: 'device' } as const;
  const artefact = await loadState(engine, join(folder, 'model'), undefined, options);
  const forward = new InferenceSession(toPeftModel(engine, artefact), {}, 16);
  await forward.prepare(batch);
  const scores = await forward.run(batch);
  expect(scores.length).toBe(3 * 16 * 120);
  expect(difference(scores.subarray(0, 3 * 13 * 120), logits.get('base')!, batch)).toBeLessThan(1e-5);
  forward.dispose();
  artefact.base.free();
});

it('the head is that of the adapter’s weights where no task is named', async () => {
  const folder = await mkdtemp(join(tmpdir(), 'light-peft-'));
  const source = join(FAMILIES, '..', 'roberta', 'adapter-final');
  await cp(source, folder, { recursive: true });
  const config = JSON.parse(await readFile(join(source, 'adapter_config.json'), 'utf8')) as object;
  await writeFile(join(folder, 'adapter_config.json'), JSON.stringify({ ...config, task_type: null }));
  const model = join(FAMILIES, 'roberta-mlm', 'model');
  const options = { weights: 'f32', embeddings: 'device' } as const;
  const headWith = async (adapter: string): Promise<string> => {
    const { head, base } = await loadState(engine, model, adapter, options);
    base.free();
    return head;
  };
  expect(await headWith(folder)).toBe('classification');
  expect(await headWith(join(FAMILIES, 'roberta-mlm', 'adapters', 'lora'))).toBe('masked-lm');
  await rm(folder, { recursive: true });
});

it.each(['gpt2-lm', 'llama-lm', 'roberta-mlm'])('%s with tables over the binding limit', async (name) => {
  const folder = join(FAMILIES, name);
  const { batch, logits } = await readGolden(folder);
  const options = { weights: 'f32', embeddings: 'device' } as const;
  const artefact = await loadState(engine, join(folder, 'model'), undefined, options);
  const parts = vi.spyOn(artefact.base, 'table');
  parts.mockImplementation((table) => artefact.base.weights.get(table)!.rowParts(4096));
  const forward = new InferenceSession(toPeftModel(engine, artefact));
  await forward.prepare(batch);
  expect(difference(await forward.run(batch), logits.get('base')!, batch)).toBeLessThan(1e-5);
  expect(parts).toHaveBeenCalledTimes(2);
  expect(parts.mock.results[0]?.value).toHaveLength(4);
  forward.dispose();
  artefact.base.free();
});
