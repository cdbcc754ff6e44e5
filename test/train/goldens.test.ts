/** Protects: Light-PEFT's estimation stage, number for number, against PyTorch + transformers + PEFT on CPU. */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { Engine } from '../../engine/engine.ts';
import { openSafetensors } from '../../engine/io/safetensors.ts';
import { Parameters, type ParameterSpec } from '../../engine/nn/parameters.ts';
import { gradients } from '../../engine/autograd/gradients.ts';
import { crossEntropy } from '../../engine/ops/cross-entropy.ts';
import { linearLayers } from '../../models/architecture.ts';
import { loadBaseModel, type BaseModel } from '../../models/base-model.ts';
import { headShapes } from '../../models/heads.ts';
import { loadConfig } from '../../models/config.ts';
import { parsePeftConfig } from '../../peft/config.ts';
import type { LoraConfig } from '../../peft/lora/config.ts';
import { Lora } from '../../peft/lora/lora.ts';
import { factorSpecs } from '../../peft/module.ts';
import { maskHooks, maskSpecs } from '../../pruning/masks.ts';
import { PeftModel, type BatchInputs, type ForwardOptions } from '../../peft-model/peft-model.ts';
import type { Batch } from '../../data/data-loader.ts';
import { Estimation } from '../../train/estimate.ts';
import { train } from '../../train/trainer.ts';

const GOLDENS = join(import.meta.dirname, '..', 'goldens');
const STEPS = 8;
const BATCH = 4;
const SEQ = 24;
const MASKS = { headsL1: 1e-3, ffnL1: 1e-3, headsLr: 1, ffnLr: 1 };

interface Expected {
  readonly lr: number;
  readonly loss: number[];
  readonly task_loss: number[];
  readonly module_importance: Record<string, number>;
  readonly rank_importance: Record<string, number[]>;
}

let engine: Engine;
beforeAll(async () => {
  engine = await Engine.open();
});
afterAll(() => engine.close());

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

/** Parameters from a folder written by PEFT, read key by key. */
async function adapterSpecs(base: BaseModel, method: Lora, folder: string): Promise<ParameterSpec[]> {
  const file = await openSafetensors(join(folder, 'adapter_model.safetensors'));
  const read = (name: string): Promise<Float32Array> => file.readFloat32(`base_model.model.${name}`);
  const values = new Map<string, Float32Array>();
  for (const { name } of method.modules.flatMap((m) => method.factors(m))) values.set(name, await read(name));
  const head = await headSpecs(base, read);
  await file.close();
  return [...factorSpecs(method, values), ...head];
}

function headSpecs(base: BaseModel, read: (name: string) => Promise<Float32Array>): Promise<ParameterSpec[]> {
  const shapes = [...headShapes(base.config, 'classification', 3)];
  return Promise.all(
    shapes.map(async ([name, shape]) => ({ name, shape, data: await read(name), decay: shape.length === 2 })),
  );
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
  const assemble = async (adapter: string): Promise<PeftModel> => {
    const specs = [...(await adapterSpecs(base, method, join(folder, adapter))), ...maskSpecs(base.layers, MASKS)];
    return new PeftModel(engine, base, method, new Parameters(engine, specs));
  };
  const logitsOf = async (classifier: PeftModel, options: ForwardOptions): Promise<Float32Array> => {
    const program = await engine.compile('logits', classifier.inputSpecs(BATCH, SEQ), (inputs) => ({
      outputs: { logits: classifier.logits(inputs as BatchInputs, options) },
    }));
    const all = new Float32Array(STEPS * BATCH * 3);
    for (const [step, batch] of batches.entries()) {
      program.run(classifier.inputValues(batch));
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
    const head = await headSpecs(base, (name) => file.readFloat32(name));
    await file.close();
    const classifier = new PeftModel(engine, base, undefined, new Parameters(engine, head));
    expect(relative(await logitsOf(classifier, {}), await golden('base_logits'))).toBeLessThan(1e-5);
    classifier.parameters.free();
  });

  it('first logits and gradients equal PEFT', async () => {
    const classifier = await assemble('adapter-init');
    const first = batches[0] as Batch;
    const names = classifier.parameters.all.map((p) => p.name).filter((name) => !name.startsWith('masks.'));
    const specs = { ...classifier.inputSpecs(BATCH, SEQ), labels: { shape: [BATCH], dtype: 'i32' } } as const;
    const masks = maskHooks((name) => classifier.parameters.get(name).tensor);
    const program = await engine.compile('gradients', specs, (inputs) => {
      const logits = classifier.logits(inputs, { hooks: [masks] });
      const grads = gradients(
        crossEntropy(logits, inputs.labels),
        names.map((n) => classifier.parameters.get(n).tensor),
      );
      return { outputs: { logits, ...Object.fromEntries(names.map((n, i) => [n, grads[i]!])) } };
    });
    program.run({ ...classifier.inputValues(first), labels: first.labels });
    expect(relative(await program.read('logits'), await golden('logits0'))).toBeLessThan(1e-5);
    for (const name of names) {
      expect(relative(await program.read(name), await golden(`grad0.base_model.model.${name}`)), name).toBeLessThan(
        1e-4,
      );
    }
    program.dispose();
    classifier.parameters.free();
  });

  it('eight steps of estimation follow PyTorch', async () => {
    const classifier = await assemble('adapter-init');
    const estimation = new Estimation(classifier, method, MASKS, STEPS);
    const source = { perEpoch: STEPS, at: (_: number, index: number) => batches[index] as Batch };
    const options = {
      steps: STEPS,
      lr: expected.lr,
      schedule: 'constant',
      warmupRatio: 0,
      weightDecay: 0,
      clip: 0,
    } as const;
    const result = await train(classifier, source, { ...options, seed: 0, dropout: false }, estimation);
    expect(relative(result.loss, expected.loss)).toBeLessThan(1e-4);
    expect(relative(result.taskLoss, expected.task_loss)).toBeLessThan(1e-4);
    const estimates = await estimation.read();
    expect(estimates.nonFinite).toBe(0);
    for (const [name, importance] of Object.entries(expected.module_importance)) {
      expect(estimates.modules[name], name).toBeCloseTo(importance, 4);
      expect(relative(estimates.ranks[name]!, expected.rank_importance[name]!), name).toBeLessThan(1e-3);
    }
    for (const layer of [0, 1]) {
      expect(relative(estimates.headMasks[layer]!, await golden(`final.head_mask.${layer}`))).toBeLessThan(1e-3);
      expect(relative(estimates.ffnMasks[layer]!, await golden(`final.ffn_mask.${layer}`))).toBeLessThan(1e-3);
    }
    const masks = maskHooks((name) => classifier.parameters.get(name).tensor);
    const final = await logitsOf(classifier, { hooks: [masks] });
    expect(relative(final, await golden('final_logits_masked'))).toBeLessThan(1e-3);
    estimation.free();
    classifier.parameters.free();
  });
});
