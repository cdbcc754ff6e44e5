/** Protects: options that save memory change no number but as they say, and a step's peak stays near the least there can be. */
import { beforeAll, describe, expect, it } from 'vitest';
import { memoryLowerBound } from '../../engine/compile/memory-lower-bound.ts';
import type { CompileOptions, Program } from '../../engine/compile/program.ts';
import { Engine } from '../../engine/engine.ts';
import { loadBaseModel, randomBaseModel } from '../../models/base-model.ts';
import { parseConfig } from '../../models/config.ts';
import { hostRandom } from '../../engine/random.ts';
import { objectiveOf } from '../../data/objective.ts';
import { estimateOptionsOf } from '../../experiments/options.ts';
import { peftConfig } from '../../peft/create-config.ts';
import { getPeftModel } from '../../peft-model/create.ts';
import { sliceModel } from '../../pruning/slice.ts';
import { estimate, type Estimate } from '../../train/estimate.ts';
import { infer } from '../../train/evaluate.ts';
import { trainingLoss } from '../../train/model-loss.ts';
import { train } from '../../train/train.ts';
import { TrainingSteps } from '../../train/training-steps.ts';
import { openTestEngine } from '../engine.ts';
import { MODEL, tinyExamples, tinyModel, tinyOptions, type Changes } from './tiny.ts';

const engine = await openTestEngine();

interface Trained {
  readonly losses: readonly number[];
  readonly logits: Float32Array;
  readonly peak: number;
  readonly weights: number;
}

async function trained({ peft, train: steps, load }: Changes): Promise<Trained> {
  const options = tinyOptions({ peft: { dropout: 0.1, ...peft }, train: { steps: 8, ...steps }, load });
  using model = await tinyModel(engine, options);
  const examples = await tinyExamples();
  const { loss, timeline } = await train(model, examples, options.train);
  const { logits } = await infer(model, examples);
  const weights = engine.memory.byKind().weights ?? 0;
  return { losses: loss, logits, peak: Math.max(...timeline), weights };
}

describe('fine-tuning with', () => {
  let plain: Trained;
  beforeAll(async () => {
    plain = await trained({});
  });

  it.each<[string, Changes]>([
    ['LoRA', {}],
    ['adapters', { peft: { method: 'adapter' } }],
  ])(
    'gradient checkpointing gives the losses of the plain run, bit for bit, in less memory: %s',
    async (_, changes) => {
      const expected = changes.peft ? await trained(changes) : plain;
      const found = await trained({ ...changes, train: { gradientCheckpointing: true } });
      expect(found.losses).toEqual(expected.losses);
      expect(found.logits).toEqual(expected.logits);
      expect(found.peak).toBeLessThan(0.9 * expected.peak);
    },
  );

  it('activations in f16 stays within a thousandth of the plain losses, in less memory', async () => {
    const found = await trained({ train: { activations: 'f16' } });
    expect(found.losses[0]).toBe(plain.losses[0]);
    expect(found.losses).not.toEqual(plain.losses);
    found.losses.forEach((loss, i) => expect(Math.abs(loss / plain.losses[i]! - 1)).toBeLessThan(1e-3));
    expect(found.peak).toBeLessThan(0.85 * plain.peak);
  });

  it.each(['f32', 'f16'] as const)(
    'embeddings on the host gives the plain numbers bit for bit: %s',
    async (weights) => {
      const expected = weights === 'f32' ? plain : await trained({ load: { weights } });
      const found = await trained({ load: { embeddings: 'host', weights } });
      expect(found.losses).toEqual(expected.losses);
      expect(found.logits).toEqual(expected.logits);
      const { vocab_size: rows, hidden_size: cols } = TINY_SIZES;
      expect(expected.weights - found.weights).toBe(rows * cols * (weights === 'f32' ? 4 : 2));
    },
  );
});

const TINY_SIZES = { vocab_size: 200, hidden_size: 32 };

it('an estimation with gradient checkpointing finds the same masks and importance, but for rounding', async () => {
  const found: Estimate[] = [];
  for (const gradientCheckpointing of [false, true]) {
    const options = tinyOptions({ peft: { dropout: 0.1 }, train: { gradientCheckpointing } });
    using model = await tinyModel(engine, options);
    found.push(await estimate(model, await tinyExamples(), estimateOptionsOf(options)));
  }
  // The importance of modules keeps their Δ apart in the forward pass; computed again, it is added to the base within one product.
  const groups = ({ heads, neurons, modules, ranks }: Estimate): number[][] => [
    [...heads, ...neurons].flat(),
    Object.values(modules),
    Object.values(ranks).flat(),
  ];
  const [plain, checkpointed] = found.map(groups) as [number[][], number[][]];
  plain.forEach((values, g) => {
    const largest = Math.max(...values.map(Math.abs));
    values.forEach((value, i) => expect(Math.abs(checkpointed[g]![i]! - value) / largest).toBeLessThan(1e-5));
  });
});

it('a table over the binding limit stays on the host by itself', async () => {
  const limits = { maxStorageBufferBindingSize: 4 * TINY_SIZES.vocab_size * TINY_SIZES.hidden_size - 4 };
  using small = await Engine.open({ limits });
  const base = await loadBaseModel(small, MODEL);
  expect(base.wordEmbedding?.shape).toEqual([TINY_SIZES.vocab_size, TINY_SIZES.hidden_size]);
  expect([...base.weights.keys()].filter((name) => name.includes('word_embeddings'))).toEqual([]);
  base.free();
});

describe('a LoRA step of four layers, 256 wide, on 16 × 128 tokens', () => {
  const [batch, seq] = [16, 128];

  /**
   * Compiles it, without running it.
   * @param kept part of the heads and neurons
   * @param dropout rate on the inputs of LoRA modules
   * @returns the program, the most bytes allocated, and the least there can be
   */
  async function compiled(
    compile: CompileOptions,
    kept = 1,
    dropout = 0,
  ): Promise<{ program: Program; peak: number; bound: number }> {
    const sizes = { vocab_size: 1000, hidden_size: 256, num_hidden_layers: 4, num_attention_heads: 4 };
    const raw = { model_type: 'roberta', ...sizes, intermediate_size: 1024, max_position_embeddings: 130 };
    const config = parseConfig(raw, 'config.json');
    engine.arena.release();
    const before = engine.memory.current;
    const keep = { heads: [0, 1, 2, 3].slice(0, 4 * kept), neurons: Array.from({ length: 1024 * kept }, (_, i) => i) };
    const whole = randomBaseModel(engine, config, () => 0.01);
    const base = await sliceModel(engine, whole, [keep, keep, keep, keep]);
    engine.memory.resetPeak();
    const peft = peftConfig({ r: 8, dropout });
    const model = await getPeftModel(engine, base, peft, { head: 'classification', labels: ['0', '1'] });
    const options = {
      steps: 1,
      lr: 1e-3,
      schedule: 'constant',
      warmupRatio: 0,
      weightDecay: 0,
      maxGradNorm: 1,
      dropoutSeed: dropout > 0 ? 0 : undefined,
      compile,
    } as const;
    const steps = new TrainingSteps(trainingLoss(model, objectiveOf(model)), options);
    const program = await steps.program({ batch, seq });
    const kinds = engine.memory.byKind();
    const sum = Object.values(kinds).reduce((a, b) => a + b, 0);
    expect(sum).toBe(engine.memory.current);
    expect(engine.arena.bytes).toBe(program.memory.activations);
    const outcome = { program, peak: engine.memory.peak - before, bound: memoryLowerBound(kinds, program) };
    steps.dispose();
    model.dispose();
    return outcome;
  }

  it('peaks at no more than 1.10 of the lower bound, without a gap in the arena, in few dispatches', async () => {
    const { program, peak, bound } = await compiled({});
    expect(program.memory.activations).toBe(Math.max(...program.memory.timeline));
    expect(peak / bound).toBeLessThan(1.1);
    // 150, four for clipping, and two for the token types' embedding.
    expect(program.dispatches.length).toBeLessThanOrEqual(156);
    // q, k, v, context, two normalised sums and four times that before GELU, per layer; log-sum-exps and low-rank products beside.
    const units = program.memory.saved / (batch * seq * 256 * 4);
    expect(units).toBeGreaterThan(4 * 10);
    expect(units).toBeLessThan(4 * 10 + 1);
  });

  it('takes not a byte or dispatch more with dropout, but for its seed and step', async () => {
    const plain = await compiled({});
    const dropping = await compiled({}, 1, 0.05);
    expect(dropping.program.dispatches.length).toBe(plain.program.dispatches.length);
    expect(dropping.program.memory.activations).toBe(plain.program.memory.activations);
    expect(dropping.program.dispatches.some(({ kernel }) => kernel.wgsl.includes('philox'))).toBe(true);
    expect(dropping.peak / dropping.bound).toBeLessThan(1.1);
  });

  it('needs less by pruning, at least as fast as the lower bound falls', async () => {
    const whole = await compiled({});
    const half = await compiled({}, 0.5);
    expect(half.bound / whole.bound).toBeLessThan(0.65);
    expect(half.peak / whole.peak).toBeLessThanOrEqual(half.bound / whole.bound);
  });

  it('takes less than half of the arena with gradient checkpointing, and less than 0.6 of it in f16', async () => {
    const plain = await compiled({});
    const arena = async (options: CompileOptions): Promise<number> =>
      (await compiled(options)).program.memory.activations / plain.program.memory.activations;
    expect(await arena({ recompute: 'layers' })).toBeLessThan(0.5);
    expect(await arena({ activations: 'f16' })).toBeLessThan(0.6);
    expect(await arena({ recompute: 'nothing' })).toBeGreaterThan(1.4);
  });
});

it('a seeded base has the same values wherever its embedding lives', async () => {
  const config = parseConfig(
    {
      model_type: 'bert',
      ...TINY_SIZES,
      num_hidden_layers: 1,
      num_attention_heads: 2,
      intermediate_size: 8,
      max_position_embeddings: 9,
    },
    'config.json',
  );
  const make = (place: 'device' | 'host') => {
    const random = hostRandom(4, 1);
    return randomBaseModel(engine, config, () => random.normal(), { embeddings: place });
  };
  const [device, host] = [make('device'), make('host')];
  const words = 'bert.embeddings.word_embeddings.weight';
  const table = await engine.read(device.weights.get(words)!);
  expect(host.wordEmbedding!.rows(Int32Array.of(3, -1, 199, 200))).toEqual(
    Float32Array.of(
      ...table.slice(96, 128),
      ...new Float32Array(32),
      ...table.slice(199 * 32),
      ...new Float32Array(32),
    ),
  );
  device.free();
  host.free();
});
