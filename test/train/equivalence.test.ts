/** Protects: the equalities of the method — masks at 1 change nothing, surgery equals masks at 0, saving loses nothing. */
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { gradients } from '../../engine/autograd/gradients.ts';
import { sizeOf } from '../../engine/graph/shape.ts';
import { crossEntropy } from '../../engine/ops/cross-entropy.ts';
import { padded, unpadded } from '../../engine/padding.ts';
import { DataLoader, type Batch } from '../../data/data-loader.ts';
import { objectiveOf } from '../../data/objective.ts';
import { estimateOptionsOf, type RunOptions } from '../../experiments/options.ts';
import { decisionOf, type MethodName } from '../../experiments/runner.ts';
import { loadModel } from '../../models/checkpoint.ts';
import { headShapes } from '../../models/heads.ts';
import { exportDense, mergeAdapter } from '../../peft-model/convert.ts';
import { PeftModel, type ForwardOptions } from '../../peft-model/peft-model.ts';
import { factorCount } from '../../peft-model/state.ts';
import type { Decision } from '../../pruning/decide.ts';
import { MaskedPlan } from '../../pruning/masked-plan.ts';
import { maskHooks, maskSpecs } from '../../pruning/masks.ts';
import { readPlan, writePlan } from '../../pruning/plan.ts';
import { scoresOf } from '../../pruning/scores-file.ts';
import { estimate, estimateResult } from '../../train/estimate.ts';
import { infer } from '../../train/evaluate.ts';
import { optimizationOf, trainingLoss } from '../../train/model-loss.ts';
import { runTraining } from '../../train/trainer.ts';
import { openTestEngine } from '../engine.ts';
import { MODEL, MODELS, tinyExamples, tinyModel, tinyOptions, type Changes, type Family } from './tiny.ts';

const engine = await openTestEngine();

async function batches({ base: { config } }: PeftModel): Promise<DataLoader> {
  const examples = await tinyExamples(config.family as Family);
  const maxLength = Math.max(...examples.map(({ ids }) => ids.length));
  const padding = { padId: config.padTokenId, maxLength, fixedLength: true };
  return new DataLoader(examples, { batchSize: 8, order: 'file', seed: 0, ...padding });
}

async function logits(model: PeftModel, masked?: ForwardOptions): Promise<Float32Array> {
  const examples = await tinyExamples(model.base.config.family as Family);
  return (await infer(model, examples, masked)).logits;
}

/** Scores of the model that a plan leaves, by masks at 0. */
async function maskedLogits(model: PeftModel, decision: Decision): Promise<Float32Array> {
  const masked = new MaskedPlan(engine, model.base.layers, decision, model.method!.modules);
  const found = await logits(model, masked.options());
  masked.free();
  return found;
}

function prune(model: PeftModel, decision: Decision, { slice, train }: RunOptions): Promise<PeftModel> {
  return model.prune(decision, { ...slice, seed: train.seed });
}

async function load(model: string, adapter: string | undefined, options: RunOptions): Promise<PeftModel> {
  return PeftModel.fromPretrained(engine, await loadModel(model), adapter, options.load);
}

/** Changes on top of others, by room. */
function tiny(...all: readonly Changes[]): RunOptions {
  const rooms = ['peft', 'data', 'train', 'load', 'engine', 'estimate', 'decide', 'slice'] as const;
  const merged = rooms.map((room) => [room, Object.assign({}, ...all.map((changes) => changes[room]))] as const);
  return tinyOptions(Object.fromEntries(merged));
}

function expectClose(actual: Float32Array, expected: Float32Array, relative: number): void {
  const scale = Math.max(...expected.map(Math.abs));
  expect(scale).toBeGreaterThan(0);
  const difference = Math.max(...actual.map((a, i) => Math.abs(a - (expected[i] as number))));
  expect(difference / scale).toBeLessThan(relative);
}

/** By scores with no ties, so that every decision is a proper choice. */
function decided({ base, method }: PeftModel, options: RunOptions, name: MethodName = 'light-peft'): Decision {
  const spread = (n: number, seed: number): number[] =>
    Array.from({ length: n }, (_, i) => ((i * 37 + seed * 11) % 101) / 101);
  const { modules } = method!;
  const scores = {
    heads: base.layers.map((l, i) => spread(l.heads, i)),
    neurons: base.layers.map((l, i) => spread(l.neurons, i + 5)),
    modules: Object.fromEntries(modules.map((m, i) => [m.name, (i * 7) % 12])),
    ranks: Object.fromEntries(modules.map((m, i) => [m.name, spread(m.ranks, i)])),
    headsPerGroup: base.config.numHeads / base.config.kvHeads,
  };
  return decisionOf(scores, options, name);
}

/** Kinds of PEFT modules that hold on every family; a new one is a row. */
const KINDS: Readonly<Record<string, Changes>> = {
  LoRA: {},
  DoRA: { peft: { method: 'dora' } },
  'Houlsby adapters': { peft: { method: 'houlsby' } },
  'Pfeiffer adapters': { peft: { method: 'pfeiffer' } },
  'parallel adapters': { peft: { method: 'parallel' } },
};

const EMBEDDED = ['query', 'output.dense', 'word_embeddings', 'position_embeddings'];

const CASES: readonly (readonly [Family, string, Changes])[] = [
  ...(Object.keys(MODELS) as Family[]).flatMap((family) =>
    Object.entries(KINDS).map(([kind, changes]) => [family, kind, changes] as const),
  ),
  ['roberta', 'LoRA on f16 weights', { load: { weights: 'f16' } }],
  ['llama', 'LoRA, whole key/value groups', { decide: { headUnit: 'group' } }],
  ['llama', 'LoRA, keys read by unequally many queries', { decide: { heads: 0.25 } }],
  [
    'roberta',
    'LoRA with biases and modules',
    { peft: { bias: 'all', modulesToSave: ['intermediate.dense', 'LayerNorm'] } },
  ],
  ['roberta', 'LoRA on embeddings', { peft: { targetModules: EMBEDDED } }],
  ['bert', 'DoRA with masks folded', { peft: { method: 'dora' }, decide: { foldMasks: true } }],
  ['bert', '(IA)³', { peft: { method: 'ia3' } }],
  ['gpt2', '(IA)³', { peft: { method: 'ia3' } }],
  [
    'roberta',
    'adapters without biases',
    { peft: { method: 'adapter', adapterParallel: true, adapterActivation: 'gelu' } },
  ],
  ['bert', 'Houlsby adapters scaled by channel', { peft: { method: 'houlsby', adapterScale: 'channel' } }],
  ['roberta', 'Pfeiffer adapters with learned scale', { peft: { method: 'pfeiffer', adapterScale: 'learned' } }],
];

const RATIOS: Changes = { decide: { heads: 0.5, neurons: 0.4, modules: 0.5, ranks: 0.4 } };

// Masks and families meet where masks are applied, not in the modules: one kind a family, and every kind on one.
const MASKED = CASES.filter(([family, kind]) => family === 'roberta' || kind === 'LoRA');

it.each(MASKED)('%s, %s: masks of ones change neither logits nor gradients', async (family, _, changes) => {
  using model = await tinyModel(engine, tiny(RATIOS, changes), family);
  const specs = maskSpecs(model.base.layers, { headsL1: 1e-4, ffnL1: 1e-4, headsLr: 1, ffnLr: 1 });
  await model.withParameters(specs, async () => {
    const masks = maskHooks((name) => model.parameters.get(name).tensor);
    const batch = (await batches(model)).at(0, 0);
    const plain = await logitsAndGradients(model, batch, {});
    const masked = await logitsAndGradients(model, batch, { hooks: [masks] });
    for (const [name, values] of plain) expectClose(masked.get(name)!, values, 1e-5);
  });
});

describe.each(CASES)('%s, %s', (family, _, changes) => {
  const options = tiny(RATIOS, changes);
  const isHalf = options.load.weights === 'f16';

  it('the pruned model equals the whole one with masks at 0; saved, exported or merged, it stays that', async () => {
    using whole = await tinyModel(engine, options, family);
    const { parameterCount } = whole.base;
    const decision = decided(whole, options);
    const expected = await maskedLogits(whole, decision);
    using pruned = await prune(whole, decision, options);
    expect(pruned.base.layers).toMatchObject(
      decision.layers.map(({ heads, neurons }) => ({ heads: heads.length, neurons: neurons.length })),
    );
    expect(pruned.base.parameterCount).toBeLessThan(0.9 * parameterCount);
    const found = await logits(pruned);
    expectClose(found, expected, isHalf ? 1e-4 : 1e-5);
    const dir = await mkdtemp(join(tmpdir(), 'light-peft-'));
    await pruned.savePretrained(dir);
    pruned.dispose();
    using loaded = await load(MODELS[family], dir, options);
    expect(await logits(loaded)).toEqual(found);
    loaded.dispose();
    await exportDense(MODELS[family], dir, join(dir, 'dense'));
    using dense = await load(join(dir, 'dense', 'base'), join(dir, 'dense', 'adapter'), options);
    expectClose(await logits(dense), found, isHalf ? 1e-4 : 1e-5);
    if (dense.method?.merge && !isHalf) {
      await mergeAdapter(MODELS[family], dir, join(dir, 'merged'));
      using merged = await load(join(dir, 'merged'), undefined, options);
      expectClose(await logits(merged), found, 1e-5);
    }
    await rm(dir, { recursive: true });
  });
});

async function logitsAndGradients(
  model: PeftModel,
  batch: Batch,
  options: ForwardOptions,
): Promise<Map<string, Float32Array>> {
  const names = model.parameters.all.map((p) => p.name).filter((name) => !name.startsWith('masks.'));
  const specs = {
    ...model.inputSpecs(batch.batch, batch.seq),
    labels: { shape: [batch.batch], dtype: 'i32' },
  } as const;
  const program = await engine.compile('gradients', specs, (inputs) => {
    const scores = model.logits(inputs, options);
    const grads = gradients(
      crossEntropy(scores, inputs.labels),
      names.map((n) => model.parameters.get(n).tensor),
    );
    return { outputs: { scores, ...Object.fromEntries(names.map((n, i) => [n, grads[i]!])) } };
  });
  program.run({ ...model.inputValues(batch), labels: batch.labels });
  const values = new Map<string, Float32Array>();
  for (const name of ['scores', ...names]) values.set(name, await program.read(name));
  program.dispose();
  return values;
}

describe('plans and counts', () => {
  const options = tiny(RATIOS);

  it('folded masks: surgery equals masks at their learned values', async () => {
    const folding = tiny(RATIOS, { decide: { foldMasks: true } });
    using whole = await tinyModel(engine, folding);
    const decision = decided(whole, folding);
    const expected = await maskedLogits(whole, decision);
    using pruned = await prune(whole, decision, folding);
    expectClose(await logits(pruned), expected, 1e-5);
  });

  it.each(['dora', 'ia3', 'pfeiffer'] as const)(
    '%s: the estimation scores every module, and every rank there is',
    async (method) => {
      const own = tiny({ peft: { method, dropout: 0.1 } });
      using model = await tinyModel(engine, own);
      const { modules, ranks, nonFinite } = await estimate(model, await tinyExamples(), estimateOptionsOf(own));
      expect(nonFinite).toBe(0);
      for (const module of model.method!.modules) {
        expect(modules[module.name], module.name).toBeGreaterThan(0);
        expect(ranks[module.name], module.name).toHaveLength(method === 'ia3' ? 0 : 4);
        if (method !== 'ia3') expect(Math.max(...ranks[module.name]!)).toBeGreaterThan(0);
      }
    },
  );

  it.each(['dora', 'ia3', 'lora'] as const)('%s started afresh on what is left is the pruned base', async (method) => {
    const afresh = tiny(RATIOS, { peft: { method }, slice: { startFrom: 'reinit' } });
    using whole = await tinyModel(engine, afresh);
    using pruned = await prune(whole, decided(whole, afresh), afresh);
    expect(pruned.method!.modules.length).toBeGreaterThan(0);
    const { base, peft, head, labels } = pruned;
    const state = { method: undefined, peft, head, labels, values: await pruned.stateDict() };
    using plain = new PeftModel(engine, { base, shared: true }, state);
    expectClose(await logits(pruned), await logits(plain), 1e-6);
  });

  it('bytes fall as the counts say: surgery frees what it cuts', async () => {
    const before = engine.memory.byKind().weights ?? 0;
    using whole = await tinyModel(engine, options);
    const { parameterCount, blockParameterCount } = whole.base;
    expect((engine.memory.byKind().weights ?? 0) - before).toBe(4 * parameterCount);
    using pruned = await prune(whole, decided(whole, options), options);
    expect(pruned.base.blockParameterCount).toBeLessThan(0.7 * blockParameterCount);
    // Neurons are stored in whole fours: up to three of zeros a layer, with their bias.
    const { config, layers } = pruned.base;
    const zeros = layers.reduce((sum, { neurons }) => sum + (-neurons & 3) * (2 * config.hiddenSize + 1), 0);
    expect(zeros).toBeGreaterThan(0);
    expect((engine.memory.byKind().weights ?? 0) - before).toBe(4 * (pruned.base.parameterCount + zeros));
    const head = [...headShapes(config, 'classification', 3).values()].reduce((sum, shape) => sum + sizeOf(shape), 0);
    expect(pruned.parameters.count).toBe(factorCount(pruned.method) + head);
    pruned.dispose();
    expect(engine.memory.byKind().weights ?? 0).toBe(before);
  });

  it.each(['lora', 'dora', 'ia3'] as const)(
    '%s: zeros that fill up the neurons stay zeros in training',
    async (method) => {
      const bias = method === 'ia3' ? 'none' : 'all';
      const own = tiny(RATIOS, { peft: { method, bias }, train: { weightDecay: 0.1 } });
      using whole = await tinyModel(engine, own);
      using pruned = await prune(whole, decided(whole, own, 'foundation-only'), own);
      expect(pruned.base.layers.some(({ neurons }) => neurons % 4 !== 0)).toBe(true);
      const loss = trainingLoss(pruned, objectiveOf(pruned));
      await runTraining(loss, await batches(pruned), optimizationOf(pruned, own.train, 3));
      let filled = 0;
      for (const { name, shape, stored, storage } of pruned.parameters.all) {
        const values = await engine.readStorage(storage, 'f32');
        const kept = sizeOf(shape);
        const all = padded(unpadded(values, shape, stored), shape, stored);
        expect(values, name).toEqual(all);
        filled += values.length - kept;
      }
      expect(filled).toBeGreaterThan(0);
    },
  );

  it('the same seed gives the same plan twice, and the baselines prune as much as they should', async () => {
    const examples = await tinyExamples();
    const checkpoint = await loadModel(MODEL);
    const decisions: Decision[] = [];
    for (let i = 0; i < 2; i++) {
      using model = await tinyModel(engine, options);
      const found = await estimate(model, examples, estimateOptionsOf(options));
      const scores = scoresOf(estimateResult(found, await checkpoint.fingerprint()), checkpoint.config);
      const of = (method: MethodName): Decision => decisionOf(scores, options, method);
      decisions.push(of('light-peft'));
      if (i === 1) {
        const counts = ({ layers, modules }: Decision): number[] => [
          layers.reduce((n, l) => n + l.heads.length, 0),
          layers.reduce((n, l) => n + l.neurons.length, 0),
          Object.keys(modules).length,
        ];
        expect(counts(of('random')).slice(0, 2)).toEqual(counts(decisions[0]!).slice(0, 2));
        expect(of('random').layers).not.toEqual(decisions[0]!.layers);
        expect(counts(of('foundation-only'))[2]).toBe(model.method!.modules.length);
        expect(counts(of('peft-only')).slice(0, 2)).toEqual([8, 128]);
      }
    }
    expect(decisions[1]).toEqual(decisions[0]);
  });

  it('a plan for another base is refused with both fingerprints', async () => {
    const dir = await mkdtemp(join(tmpdir(), 'light-peft-'));
    using whole = await tinyModel(engine, options);
    using pruned = await prune(whole, decided(whole, options), options);
    await pruned.savePretrained(dir);
    const path = join(dir, 'plan.json');
    const plan = await readPlan(path);
    const other = 'f'.repeat(64);
    await writePlan(path, { ...plan, base: { ...plan.base, fingerprint: other } });
    const own = await (await loadModel(MODEL)).fingerprint();
    await expect(load(MODEL, dir, options)).rejects.toThrow(new RegExp(`${other}.*${own}`));
    await rm(dir, { recursive: true });
  });
});
