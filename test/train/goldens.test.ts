/** Protects: Light-PEFT's estimation stage, number for number, against PyTorch + transformers + PEFT on CPU. */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { beforeAll, describe, expect, it } from 'vitest';
import { openSafetensors } from '../../engine/io/safetensors.ts';
import { gradients } from '../../engine/autograd/gradients.ts';
import { crossEntropy } from '../../engine/ops/cross-entropy.ts';
import { linearLayers } from '../../models/architecture.ts';
import { loadBaseModel, type BaseModel } from '../../models/base-model.ts';
import { headShapes } from '../../models/heads.ts';
import { loadConfig } from '../../models/config.ts';
import { parsePeftConfig } from '../../peft/config.ts';
import type { LoraConfig } from '../../peft/lora/config.ts';
import { Lora } from '../../peft/lora/lora.ts';
import type { StateDict } from '../../peft/module.ts';
import { ffnMaskName, headMaskName, maskHooks, maskSpecs } from '../../pruning/masks.ts';
import { PeftModel, type BatchInputs, type ForwardOptions } from '../../peft-model/peft-model.ts';
import type { Batch } from '../../data/data-loader.ts';
import type { EncodedExample } from '../../data/encoded-example.ts';
import { estimate } from '../../train/estimate.ts';
import { openTestEngine } from '../engine.ts';

const GOLDENS = join(import.meta.dirname, '..', 'goldens');
const STEPS = 8;
const BATCH = 4;
const SEQ = 24;
const LABELS = ['0', '1', '2'];
const MASKS = { headsL1: 1e-3, ffnL1: 1e-3, headsLr: 1, ffnLr: 1 };

interface Expected {
  readonly lr: number;
  readonly loss: number[];
  readonly task_loss: number[];
  readonly module_importance: Record<string, number>;
  readonly rank_importance: Record<string, number[]>;
}

const engine = await openTestEngine();

/** Largest |a − b| over the largest |b|. */
function relative(actual: ArrayLike<number>, expected: ArrayLike<number>): number {
  expect(actual.length).toBe(expected.length);
  let difference = 0;
  let scale = 1e-12;
  for (let i = 0; i < expected.length; i++) {
    difference = Math.max(difference, Math.abs((actual[i] as number) - (expected[i] as number)));
    scale = Math.max(scale, Math.abs(expected[i] as number));
  }
  return difference / scale;
}

async function readBatches(family: string): Promise<Batch[]> {
  const file = await openSafetensors(join(GOLDENS, family, 'batches.safetensors'));
  const [ids, mask, labels] = await Promise.all(
    ['input_ids', 'attention_mask', 'labels'].map((name) => file.readInt32(name)),
  );
  await file.close();
  return Array.from({ length: STEPS }, (_, step) => {
    const grid = [step * BATCH * SEQ, (step + 1) * BATCH * SEQ] as const;
    return {
      batch: BATCH,
      seq: SEQ,
      count: BATCH,
      indices: Int32Array.from({ length: BATCH }, (__, i) => i),
      inputIds: (ids as Int32Array).slice(...grid),
      attentionMask: (mask as Int32Array).slice(...grid),
      tokenTypeIds: new Int32Array(BATCH * SEQ),
      labels: (labels as Int32Array).slice(step * BATCH, (step + 1) * BATCH),
    };
  });
}

/** The batches one by one, as they come where nothing is shuffled. */
function examplesOf(batches: readonly Batch[]): EncodedExample[] {
  return batches.flatMap(({ inputIds, attentionMask, labels }) =>
    [...labels].map((label, row) => {
      const grid = [row * SEQ, (row + 1) * SEQ] as const;
      const [ids, mask] = [inputIds.slice(...grid), attentionMask.slice(...grid)];
      return { ids, mask, typeIds: new Int32Array(SEQ), label };
    }),
  );
}

/** Values from a folder written by PEFT, read key by key. */
async function adapterValues(base: BaseModel, method: Lora, folder: string): Promise<Map<string, Float32Array>> {
  const file = await openSafetensors(join(folder, 'adapter_model.safetensors'));
  const read = (name: string): Promise<Float32Array> => file.readFloat32(`base_model.model.${name}`);
  const values = new Map<string, Float32Array>();
  for (const { name } of method.modules.flatMap((m) => method.factors(m))) values.set(name, await read(name));
  const head = await headValues(base, read);
  await file.close();
  return new Map([...values, ...head]);
}

async function headValues(
  base: BaseModel,
  read: (name: string) => Promise<Float32Array>,
): Promise<Map<string, Float32Array>> {
  const names = [...headShapes(base.config, 'classification', LABELS.length).keys()];
  return new Map(await Promise.all(names.map(async (name) => [name, await read(name)] as const)));
}

describe.each(['roberta', 'bert', 'opt'])('%s', (family) => {
  const folder = join(GOLDENS, family);
  const expected = JSON.parse(readFileSync(join(folder, 'expected.json'), 'utf8')) as Expected;
  let base: BaseModel;
  let method: Lora;
  let batches: Batch[];
  const golden = async (name: string): Promise<Float32Array> => {
    const file = await openSafetensors(join(folder, 'expected.safetensors'));
    const value = await file.readFloat32(name);
    await file.close();
    return value;
  };
  const modelOf = (own: Lora | undefined, values: StateDict): PeftModel => {
    const state = { method: own, peft: method.config, values, head: 'classification', labels: LABELS } as const;
    return new PeftModel(engine, { base, shared: true }, state);
  };
  const peftModel = async (): Promise<PeftModel> =>
    modelOf(method, await adapterValues(base, method, join(folder, 'adapter-init')));
  const logitsOf = async (model: PeftModel, options: ForwardOptions): Promise<Float32Array> => {
    const program = await engine.compile('logits', model.inputSpecs(BATCH, SEQ), (inputs) => ({
      outputs: { logits: model.logits(inputs as BatchInputs, options) },
    }));
    const all = new Float32Array(STEPS * BATCH * 3);
    for (const [step, batch] of batches.entries()) {
      program.run(model.inputValues(batch));
      all.set(await program.read('logits'), step * BATCH * 3);
    }
    program.dispose();
    return all;
  };

  beforeAll(async () => {
    const config = await loadConfig(join(folder, 'model'));
    base = await loadBaseModel(engine, join(folder, 'model'), { head: 'classification' });
    const peft = parsePeftConfig({ peft_type: 'LORA', r: 4, lora_alpha: 8, target_modules: 'all-linear' }, 'test');
    method = new Lora(
      peft as LoraConfig,
      linearLayers(config).map((l) => ({ ...l, ranks: 4, scaling: 2 })),
    );
    batches = await readBatches(family);
  });

  it('base logits equal transformers', async () => {
    const file = await openSafetensors(join(folder, 'model', 'model.safetensors'));
    const head = await headValues(base, (name) => file.readFloat32(name));
    await file.close();
    using model = modelOf(undefined, head);
    expect(relative(await logitsOf(model, {}), await golden('base_logits'))).toBeLessThan(1e-5);
  });

  it('first logits and gradients equal PEFT', async () => {
    using model = await peftModel();
    const first = batches[0]!;
    const names = model.parameters.all.map((p) => p.name);
    await model.withParameters(maskSpecs(base.layers, MASKS), async () => {
      const specs = { ...model.inputSpecs(BATCH, SEQ), labels: { shape: [BATCH], dtype: 'i32' } } as const;
      const masks = maskHooks((name) => model.parameters.get(name).tensor);
      const program = await engine.compile('gradients', specs, (inputs) => {
        const logits = model.logits(inputs, { hooks: [masks] });
        const grads = gradients(
          crossEntropy(logits, inputs.labels),
          names.map((n) => model.parameters.get(n).tensor),
        );
        return { outputs: { logits, ...Object.fromEntries(names.map((n, i) => [n, grads[i]!])) } };
      });
      program.run({ ...model.inputValues(first), labels: first.labels });
      expect(relative(await program.read('logits'), await golden('logits0'))).toBeLessThan(1e-5);
      for (const name of names) {
        const expectedGradient = await golden(`grad0.base_model.model.${name}`);
        expect(relative(await program.read(name), expectedGradient), name).toBeLessThan(1e-4);
      }
      program.dispose();
    });
  });

  it('eight steps of estimation follow PyTorch', async () => {
    using model = await peftModel();
    const found = await estimate(model, examplesOf(batches), {
      steps: STEPS,
      batchSize: BATCH,
      shuffle: false,
      lr: expected.lr,
      schedule: 'constant',
      maxGradNorm: 0,
      l1: 1e-3,
    });
    expect(relative(found.result.loss, expected.loss)).toBeLessThan(1e-4);
    expect(relative(found.result.taskLoss, expected.task_loss)).toBeLessThan(1e-4);
    expect(found.nonFinite).toBe(0);
    for (const [name, importance] of Object.entries(expected.module_importance)) {
      expect(found.modules[name], name).toBeCloseTo(importance, 4);
      expect(relative(found.ranks[name]!, expected.rank_importance[name]!), name).toBeLessThan(1e-3);
    }
    for (const layer of [0, 1]) {
      expect(relative(found.heads[layer]!, await golden(`final.head_mask.${layer}`))).toBeLessThan(1e-3);
      expect(relative(found.neurons[layer]!, await golden(`final.ffn_mask.${layer}`))).toBeLessThan(1e-3);
    }
    await model.withParameters(maskSpecs(base.layers, MASKS), async () => {
      base.layers.forEach((_, layer) => {
        engine.write(model.parameters.get(headMaskName(layer)), Float32Array.from(found.heads[layer]!));
        engine.write(model.parameters.get(ffnMaskName(layer)), Float32Array.from(found.neurons[layer]!));
      });
      const masks = maskHooks((name) => model.parameters.get(name).tensor);
      const final = await logitsOf(model, { hooks: [masks] });
      expect(relative(final, await golden('final_logits_masked'))).toBeLessThan(1e-3);
    });
  });
});
