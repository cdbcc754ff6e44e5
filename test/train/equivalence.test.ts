/** Protects: the equalities of the method — masks at 1 change nothing, surgery equals masks at 0, saving loses nothing. */
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { Engine } from '../../engine/engine.ts';
import { gradients } from '../../engine/autograd/gradients.ts';
import { sizeOf } from '../../engine/graph/shape.ts';
import { crossEntropy } from '../../engine/ops/cross-entropy.ts';
import { padded, unpadded } from '../../engine/padding.ts';
import { fingerprintCheckpoint } from '../../engine/io/fingerprint.ts';
import { maskHooks, maskSpecs } from '../../pruning/masks.ts';
import { scoresOf } from '../../pruning/scores-file.ts';
import { MaskedPlan } from '../../pruning/masked-plan.ts';
import { loadState, saveState } from '../../peft-model/pretrained.ts';
import { exportDense, mergeAdapter } from '../../peft-model/convert.ts';
import { factorCount, headCount, toPeftModel, type PeftModelState } from '../../peft-model/assembly.ts';
import type { PeftModel, ForwardOptions } from '../../peft-model/peft-model.ts';
import { estimateResult } from '../../experiments/runner.ts';
import { DataLoader, type Batch } from '../../data/data-loader.ts';
import { infer } from '../../train/evaluate.ts';
import { estimate, keptLayers, makePlan, maskOptions, prune, trainOptions, type Method } from '../../train/stages.ts';
import { train } from '../../train/trainer.ts';
import type { Plan } from '../../pruning/plan.ts';
import type { Settings } from '../../train/settings.ts';
import { MODEL, MODELS, tinyAssembly, type Family, tinyExamples, tinySettings } from './tiny.ts';

let engine: Engine;
const fingerprints = new Map<string, string>();
let fingerprint: string;
beforeAll(async () => {
  engine = await Engine.open();
  for (const [family, model] of Object.entries(MODELS)) fingerprints.set(family, await fingerprintCheckpoint(model));
  fingerprint = fingerprints.get('roberta')!;
});
afterAll(() => engine.close());

async function batches({ base: { config } }: PeftModelState): Promise<DataLoader> {
  const examples = await tinyExamples(config.family as Family);
  const maxLength = Math.max(...examples.map(({ ids }) => ids.length));
  const padding = { padId: config.padTokenId, maxLength, fixedLength: true };
  return new DataLoader(examples, { batchSize: 8, order: 'file', seed: 0, ...padding });
}

async function logits(assembly: PeftModelState, soft?: ForwardOptions): Promise<Float32Array> {
  const classifier = toPeftModel(engine, assembly);
  const result = await infer(classifier, await batches(assembly), 32, soft);
  classifier.parameters.free();
  return result.logits;
}

function expectClose(actual: Float32Array, expected: Float32Array, relative: number): void {
  const scale = Math.max(...expected.map(Math.abs));
  expect(scale).toBeGreaterThan(0);
  const difference = Math.max(...actual.map((a, i) => Math.abs(a - (expected[i] as number))));
  expect(difference / scale).toBeLessThan(relative);
}

/** Scores with no ties, so that every plan is a proper choice. */
function planFor(assembly: PeftModelState, settings: Settings, method: Method = 'light-peft'): Plan {
  const spread = (n: number, seed: number): number[] =>
    Array.from({ length: n }, (_, i) => ((i * 37 + seed * 11) % 101) / 101);
  const modules = assembly.method!.modules;
  return makePlan(
    assembly.base.config,
    fingerprints.get(assembly.base.config.family)!,
    {
      heads: assembly.base.layers.map((l, i) => spread(l.heads, i)),
      neurons: assembly.base.layers.map((l, i) => spread(l.neurons, i + 5)),
      modules: Object.fromEntries(modules.map((m, i) => [m.name, (i * 7) % 12])),
      ranks: Object.fromEntries(modules.map((m, i) => [m.name, spread(m.ranks, i)])),
    },
    settings,
    method,
  );
}

/** Kinds of PEFT modules that hold on every family; a new one is a row. */
const KINDS: Readonly<Record<string, Partial<Settings>>> = {
  LoRA: {},
  DoRA: { peft: 'dora' },
  'Houlsby adapters': { peft: 'houlsby' },
  'Pfeiffer adapters': { peft: 'pfeiffer' },
  'parallel adapters': { peft: 'parallel' },
};

const CASES: readonly (readonly [Family, string, Partial<Settings>])[] = [
  ...(Object.keys(MODELS) as Family[]).flatMap((family) =>
    Object.entries(KINDS).map(([kind, changes]) => [family, kind, changes] as const),
  ),
  ['roberta', 'LoRA on f16 weights', { weights: 'f16' }],
  ['llama', 'LoRA, whole key/value groups', { headUnit: 'group' }],
  ['llama', 'LoRA, keys read by unequally many queries', { headsRatio: 0.25 }],
  ['roberta', 'LoRA with biases and modules', { bias: 'all', modulesToSave: 'intermediate.dense,LayerNorm' }],
  ['roberta', 'LoRA on embeddings', { targetModules: 'query,output.dense,word_embeddings,position_embeddings' }],
  ['bert', 'DoRA with masks folded', { peft: 'dora', foldMasks: true }],
  ['bert', '(IA)³', { peft: 'ia3' }],
  ['gpt2', '(IA)³', { peft: 'ia3' }],
  ['roberta', 'adapters without biases', { peft: 'adapter', adapterParallel: true, adapterActivation: 'gelu' }],
  ['bert', 'Houlsby adapters scaled by channel', { peft: 'houlsby', adapterScale: 'channel' }],
  ['roberta', 'Pfeiffer adapters with learned scale', { peft: 'pfeiffer', adapterScale: 'learned' }],
];

const RATIOS = { headsRatio: 0.5, ffnRatio: 0.4, moduleRatio: 0.5, rankRatio: 0.4 };

// Masks and families meet where masks are applied, not in the modules: one kind a family, and every kind on one.
const MASKED = CASES.filter(([family, kind]) => family === 'roberta' || kind === 'LoRA');

it.each(MASKED)('%s, %s: masks of ones change neither logits nor gradients', async (family, _, changes) => {
  const settings = tinySettings({ ...RATIOS, ...changes });
  const assembly = await tinyAssembly(engine, settings, family);
  const classifier = toPeftModel(engine, assembly, maskSpecs(assembly.base.layers, maskOptions(settings)));
  const masks = maskHooks((name) => classifier.parameters.get(name).tensor);
  const batch = (await batches(assembly)).at(0, 0);
  const plain = await logitsAndGradients(classifier, batch, {});
  const masked = await logitsAndGradients(classifier, batch, { hooks: [masks] });
  for (const [name, values] of plain) expectClose(masked.get(name)!, values, 1e-5);
  classifier.parameters.free();
  assembly.base.free();
});

describe.each(CASES)('%s, %s', (family, _, changes) => {
  const settings = tinySettings({ ...RATIOS, ...changes });

  it('the pruned model equals the whole one with masks at 0; saved, exported or merged, it stays that', async () => {
    const assembly = await tinyAssembly(engine, settings, family);
    const whole = assembly.base.parameterCount;
    const plan = planFor(assembly, settings);
    const keep = keptLayers(plan);
    const kept = new Map(Object.entries(plan.modules).map(([name, m]) => [name, m.kept]));
    const soft = new MaskedPlan(engine, assembly.base.layers, keep, assembly.method!.modules, kept);
    const expected = await logits(assembly, soft.options());
    soft.free();
    const pruned = await prune(engine, assembly, plan, settings);
    expect(pruned.base.layers).toMatchObject(
      keep.map(({ heads, neurons }) => ({ heads: heads.length, neurons: neurons.length })),
    );
    expect(pruned.base.parameterCount).toBeLessThan(0.9 * whole);
    const found = await logits(pruned);
    expectClose(found, expected, settings.weights === 'f16' ? 1e-4 : 1e-5);
    const dir = await mkdtemp(join(tmpdir(), 'light-peft-'));
    await saveState(dir, pruned, { plan });
    pruned.base.free();
    const loaded = await loadState(engine, MODELS[family], dir, settings);
    expect(await logits(loaded)).toEqual(found);
    loaded.base.free();
    await exportDense(MODELS[family], dir, join(dir, 'dense'));
    const dense = await loadState(engine, join(dir, 'dense', 'base'), join(dir, 'dense', 'adapter'), settings);
    expectClose(await logits(dense), found, settings.weights === 'f16' ? 1e-4 : 1e-5);
    dense.base.free();
    if (dense.method?.merge && settings.weights === 'f32') {
      await mergeAdapter(MODELS[family], dir, join(dir, 'merged'));
      const merged = await loadState(engine, join(dir, 'merged'), undefined, settings);
      expectClose(await logits(merged), found, 1e-5);
      merged.base.free();
    }
    await rm(dir, { recursive: true });
  });
});

async function logitsAndGradients(
  classifier: PeftModel,
  batch: Batch,
  options: ForwardOptions,
): Promise<Map<string, Float32Array>> {
  const names = classifier.parameters.all.map((p) => p.name).filter((name) => !name.startsWith('masks.'));
  const specs = {
    ...classifier.inputSpecs(batch.batch, batch.seq),
    labels: { shape: [batch.batch], dtype: 'i32' },
  } as const;
  const program = await engine.compile('gradients', specs, (inputs) => {
    const scores = classifier.logits(inputs, options);
    const grads = gradients(
      crossEntropy(scores, inputs.labels),
      names.map((n) => classifier.parameters.get(n).tensor),
    );
    return { outputs: { scores, ...Object.fromEntries(names.map((n, i) => [n, grads[i]!])) } };
  });
  program.run({ ...classifier.inputValues(batch), labels: batch.labels });
  const values = new Map<string, Float32Array>();
  for (const name of ['scores', ...names]) values.set(name, await program.read(name));
  program.dispose();
  return values;
}

describe('plans and counts', () => {
  const settings = tinySettings({ headsRatio: 0.5, ffnRatio: 0.4, moduleRatio: 0.5, rankRatio: 0.4 });

  it('folded masks: surgery equals masks at their learned values', async () => {
    const folding = { ...settings, foldMasks: true };
    const assembly = await tinyAssembly(engine, folding);
    const plan = planFor(assembly, folding);
    const keep = keptLayers(plan);
    const kept = new Map(Object.entries(plan.modules).map(([name, m]) => [name, m.kept]));
    const soft = new MaskedPlan(engine, assembly.base.layers, keep, assembly.method!.modules, kept);
    const expected = await logits(assembly, soft.options());
    soft.free();
    const pruned = await prune(engine, assembly, plan, folding);
    expectClose(await logits(pruned), expected, 1e-5);
    pruned.base.free();
  });

  it.each(['dora', 'ia3', 'pfeiffer'] as const)(
    '%s: the estimation scores every module, and every rank there is',
    async (peft) => {
      const assembly = await tinyAssembly(engine, tinySettings({ peft, dropout: 0.1 }));
      const outcome = await estimate(engine, assembly, await tinyExamples(), tinySettings({ peft, dropout: 0.1 }));
      const { modules, ranks, nonFinite } = outcome.estimates;
      expect(nonFinite).toBe(0);
      for (const module of assembly.method!.modules) {
        expect(modules[module.name], module.name).toBeGreaterThan(0);
        expect(ranks[module.name], module.name).toHaveLength(peft === 'ia3' ? 0 : 4);
        if (peft !== 'ia3') expect(Math.max(...ranks[module.name]!)).toBeGreaterThan(0);
      }
      assembly.base.free();
    },
  );

  it.each(['dora', 'ia3', 'lora'] as const)('%s started afresh on what is left is the pruned base', async (peft) => {
    const afresh = { ...settings, peft, carry: 'reinit' } as const;
    const assembly = await tinyAssembly(engine, afresh);
    const pruned = await prune(engine, assembly, planFor(assembly, afresh), afresh);
    expect(pruned.method!.modules.length).toBeGreaterThan(0);
    expectClose(await logits(pruned), await logits({ ...pruned, method: undefined }), 1e-6);
    pruned.base.free();
  });

  it('bytes fall as the counts say: surgery frees what it cuts', async () => {
    const before = engine.memory.byKind().weights ?? 0;
    const assembly = await tinyAssembly(engine, settings);
    expect((engine.memory.byKind().weights ?? 0) - before).toBe(4 * assembly.base.parameterCount);
    const pruned = await prune(engine, assembly, planFor(assembly, settings), settings);
    expect(pruned.base.blockParameterCount).toBeLessThan(0.7 * assembly.base.blockParameterCount);
    // Neurons are stored in whole fours: up to three of zeros a layer, with their bias.
    const { hiddenSize } = pruned.base.config;
    const zeros = pruned.base.layers.reduce((sum, { neurons }) => sum + (-neurons & 3) * (2 * hiddenSize + 1), 0);
    expect(zeros).toBeGreaterThan(0);
    expect((engine.memory.byKind().weights ?? 0) - before).toBe(4 * (pruned.base.parameterCount + zeros));
    const classifier = toPeftModel(engine, pruned);
    const head = headCount(pruned.base.config, 'classification', 3);
    expect(classifier.parameters.count).toBe(factorCount(pruned.method) + head);
    classifier.parameters.free();
    pruned.base.free();
    expect(engine.memory.byKind().weights ?? 0).toBe(before);
  });

  it.each(['lora', 'dora', 'ia3'] as const)(
    '%s: zeros that fill up the neurons stay zeros in training',
    async (peft) => {
      const own = { ...settings, peft, bias: peft === 'ia3' ? 'none' : 'all', weightDecay: 0.1, steps: 3 } as const;
      const assembly = await tinyAssembly(engine, own);
      const pruned = await prune(engine, assembly, planFor(assembly, own, 'foundation-only'), own);
      expect(pruned.base.layers.some(({ neurons }) => neurons % 4 !== 0)).toBe(true);
      const classifier = toPeftModel(engine, pruned);
      await train(classifier, await batches(pruned), trainOptions(own, 3, {}));
      let filled = 0;
      for (const { name, shape, stored, storage } of classifier.parameters.all) {
        const values = await engine.readStorage(storage, 'f32');
        const kept = sizeOf(shape);
        const all = padded(unpadded(values, shape, stored), shape, stored);
        expect(values, name).toEqual(all);
        filled += values.length - kept;
      }
      expect(filled).toBeGreaterThan(0);
      classifier.parameters.free();
      pruned.base.free();
    },
  );

  it('the same seed gives the same plan twice, and the baselines prune as much as they should', async () => {
    const examples = await tinyExamples();
    const plans: Plan[] = [];
    for (let i = 0; i < 2; i++) {
      const assembly = await tinyAssembly(engine, settings);
      const outcome = await estimate(engine, assembly, examples, settings);
      const scores = scoresOf(estimateResult(outcome, fingerprint, settings));
      plans.push(makePlan(assembly.base.config, fingerprint, scores, settings));
      if (i === 1) {
        const counts = (plan: Plan): number[] => [
          plan.layers.reduce((n, l) => n + l.heads.length, 0),
          plan.layers.reduce((n, l) => n + l.neurons.length, 0),
          Object.keys(plan.modules).length,
        ];
        const of = (method: Method): Plan => makePlan(assembly.base.config, fingerprint, scores, settings, method);
        expect(counts(of('random')).slice(0, 2)).toEqual(counts(plans[0]!).slice(0, 2));
        expect(of('random').layers).not.toEqual(plans[0]!.layers);
        expect(counts(of('foundation-only'))[2]).toBe(assembly.method!.modules.length);
        expect(counts(of('peft-only')).slice(0, 2)).toEqual([8, 128]);
      }
      assembly.base.free();
    }
    expect(plans[1]).toEqual(plans[0]);
  });

  it('a plan for another base is refused with both fingerprints', async () => {
    const dir = await mkdtemp(join(tmpdir(), 'light-peft-'));
    const assembly = await tinyAssembly(engine, settings);
    const other = 'f'.repeat(64);
    const plan = { ...planFor(assembly, settings), base: { ...planFor(assembly, settings).base, fingerprint: other } };
    const pruned = await prune(engine, assembly, plan, settings);
    await saveState(dir, pruned, { plan });
    pruned.base.free();
    await expect(loadState(engine, MODEL, dir, settings)).rejects.toThrow(new RegExp(`${other}.*${fingerprint}`));
    await rm(dir, { recursive: true });
  });
});
