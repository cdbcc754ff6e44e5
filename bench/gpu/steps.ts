/** Room: bench/gpu. LoRA training steps and inference of transformers of random weights, whole and pruned at random. */
import { median } from 'simple-statistics';
import type { Engine } from '../../engine/engine.ts';
import { UserError } from '../../engine/errors.ts';
import { toPeftModel, type PeftModelState } from '../../peft-model/assembly.ts';
import type { BatchInputs } from '../../peft-model/peft-model.ts';
import type { Settings } from '../../train/settings.ts';
import { prune } from '../../train/stages.ts';
import { TrainingSteps } from '../../train/trainer.ts';
import { benchSettings, randomBatch, randomModel, withPeft } from '../encoder/model.ts';
import { randomPlan } from '../encoder/plan.ts';
import type { Published } from '../encoder/published.ts';

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

/** Halves the batch until the step's intermediates fit into the adapter's largest buffer. */
export async function timeSteps(engine: Engine, shape: Published, options: StepOptions): Promise<StepResult> {
  const settings = benchSettings();
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
  shape: Published,
  { seq, ratio }: StepOptions,
  settings: Settings,
): Promise<PeftModelState> {
  const base = randomModel(engine, { ...shape, positions: seq }, shape.family);
  const whole = await withPeft(engine, base, settings);
  return ratio === 0 ? whole : prune(engine, whole, randomPlan(whole, settings, ratio), settings);
}

async function timeBatch(
  engine: Engine,
  assembly: PeftModelState,
  { batch, seq, runs }: StepOptions,
  { lr, weightDecay, clip, seed, schedule, warmupRatio }: Settings,
): Promise<StepResult> {
  engine.arena.release();
  engine.memory.resetPeak();
  const classifier = toPeftModel(engine, assembly);
  const steps = new TrainingSteps(classifier, {
    ...{ steps: 1 << 30, lr, schedule, warmupRatio, weightDecay, clip, seed, dropout: false },
  });
  try {
    const data = randomBatch(assembly.base.config, batch, seq);
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
