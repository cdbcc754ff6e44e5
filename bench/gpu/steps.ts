/** Room: bench/gpu. LoRA training steps and inference of encoders of random weights, whole and pruned at random. */
import { median } from 'simple-statistics';
import type { Engine } from '../../engine/engine.ts';
import { UserError } from '../../engine/errors.ts';
import { randomBaseModel } from '../../models/base-model.ts';
import { parseConfig } from '../../models/config.ts';
import { freshAssembly, toClassifier, type Assembly } from '../../train/assembly.ts';
import type { BatchInputs } from '../../train/classifier.ts';
import type { Batch } from '../../train/data/batches.ts';
import { hostRandom, STREAM } from '../../train/data/random.ts';
import { freshConfig } from '../../train/fresh-config.ts';
import { settingsSchema, type Settings } from '../../train/settings.ts';
import { makePlan, prune } from '../../train/stages.ts';
import { TrainingSteps } from '../../train/trainer.ts';

export interface EncoderShape {
  readonly name: string;
  readonly layers: number;
  readonly hidden: number;
  readonly heads: number;
  readonly neurons: number;
  readonly vocab: number;
}

export interface StepResult {
  readonly batch: number;
  readonly tokensPerSecond: number;
  readonly inferTokensPerSecond: number;
  readonly peakBytes: number;
  /** Parameters of the transformer layers. */
  readonly blockParameters: number;
}

export interface StepOptions {
  readonly batch: number;
  readonly seq: number;
  /** Heads and neurons to prune; above 0, PEFT modules and ranks are pruned too, as Light-PEFT does. */
  readonly ratio: number;
  readonly runs: number;
}

const LABELS = ['0', '1'];

/** Halves the batch until the step's intermediates fit into the adapter's largest buffer. */
export async function timeSteps(engine: Engine, shape: EncoderShape, options: StepOptions): Promise<StepResult> {
  const settings = settingsSchema.parse({
    ...{ dropout: 0, clip: 0, schedule: 'constant' },
    ...{ headsRatio: options.ratio, ffnRatio: options.ratio, ffnScope: 'layerwise' },
  });
  const assembly = await randomAssembly(engine, shape, options, settings);
  try {
    for (let { batch } = options; ; batch = Math.floor(batch / 2)) {
      try {
        return await timeBatch(engine, assembly, { ...options, batch }, settings);
      } catch (error) {
        if (!(error instanceof UserError) || batch < 2) throw error;
      }
    }
  } finally {
    assembly.base.free();
    engine.arena.release();
  }
}

async function randomAssembly(
  engine: Engine,
  { layers, hidden, heads, neurons, vocab }: EncoderShape,
  { seq, ratio }: StepOptions,
  settings: Settings,
): Promise<Assembly> {
  const raw = {
    ...{ model_type: 'roberta', vocab_size: vocab, hidden_size: hidden, num_hidden_layers: layers },
    ...{ num_attention_heads: heads, intermediate_size: neurons, max_position_embeddings: seq + 2 },
    ...{ type_vocab_size: 1, hidden_dropout_prob: 0, attention_probs_dropout_prob: 0 },
  };
  const config = parseConfig(raw, 'config.json');
  const random = hostRandom(1, STREAM.weights);
  const table = Float32Array.from({ length: 65_521 }, () => random.normal());
  let at = 0;
  const base = randomBaseModel(engine, config, () => table[at++ % table.length]!);
  const assembly = await freshAssembly(engine, base, freshConfig(settings, config), 'classification', LABELS, 0);
  const { method } = assembly;
  if (ratio === 0) return assembly;
  const drawn = (length: number): number[] => Array.from({ length }, () => random.uniform());
  const scores = {
    heads: base.layers.map((layer) => drawn(layer.heads)),
    neurons: base.layers.map((layer) => drawn(layer.neurons)),
    modules: Object.fromEntries(method.modules.map(({ name }) => [name, random.uniform()])),
    ranks: Object.fromEntries(method.modules.map(({ name, ranks }) => [name, drawn(ranks)])),
  };
  return prune(engine, assembly, makePlan(config, '', scores, settings), settings);
}

async function timeBatch(
  engine: Engine,
  assembly: Assembly,
  { batch, seq, runs }: StepOptions,
  { lr, weightDecay, clip, seed, schedule, warmupRatio }: Settings,
): Promise<StepResult> {
  engine.arena.release();
  engine.memory.resetPeak();
  const classifier = toClassifier(engine, assembly);
  const steps = new TrainingSteps(classifier, {
    ...{ steps: 1 << 30, lr, schedule, warmupRatio, weightDecay, clip, seed, dropout: false },
  });
  try {
    const data = randomBatch(assembly.base.config.vocabSize, batch, seq);
    const train = await steps.program(data, steps.inputs(0, data));
    const training = await secondsOf(engine, runs, (run) => train.run(steps.inputs(run, data)));
    const peakBytes = engine.memory.peak;
    if (!(await steps.history.read('loss', 0, 1)).every(Number.isFinite)) throw new Error('the loss is not finite');
    const infer = await engine.compile(`infer ${batch}x${seq}`, classifier.inputSpecs(batch, seq), (inputs) => ({
      outputs: { logits: classifier.logits(inputs as BatchInputs) },
    }));
    const values = classifier.inputValues(data);
    const inference = await secondsOf(engine, runs, () => infer.run(values));
    infer.dispose();
    return {
      batch,
      tokensPerSecond: (batch * seq) / training,
      inferTokensPerSecond: (batch * seq) / inference,
      peakBytes,
      blockParameters: assembly.base.blockParameterCount,
    };
  } finally {
    steps.dispose();
    classifier.parameters.free();
  }
}

/** Median seconds of a run, each waited for; the first warms up. */
async function secondsOf(engine: Engine, runs: number, run: (index: number) => void): Promise<number> {
  const seconds: number[] = [];
  for (let i = 0; i <= runs; i++) {
    const started = performance.now();
    run(i);
    await engine.finish();
    if (i > 0) seconds.push((performance.now() - started) / 1000);
  }
  return median(seconds);
}

/** Random tokens without padding. */
function randomBatch(vocab: number, batch: number, seq: number): Batch {
  const random = hostRandom(3, STREAM.shuffle);
  return {
    ...{ batch, seq, count: batch, indices: Int32Array.from({ length: batch }, (_, i) => i) },
    inputIds: Int32Array.from({ length: batch * seq }, () => 2 + random.below(vocab - 2)),
    attentionMask: new Int32Array(batch * seq).fill(1),
    tokenTypeIds: new Int32Array(batch * seq),
    labels: Int32Array.from({ length: batch }, () => random.below(2)),
  };
}
