/** Room: bench/gpu. LoRA training steps and inference of transformers of random weights, whole and pruned at random. */
import { median } from 'simple-statistics';
import type { Engine } from '../../engine/engine.ts';
import { UserError } from '../../engine/errors.ts';
import type { RunOptions } from '../../experiments/options.ts';
import type { BatchInputs, PeftModel } from '../../peft-model/peft-model.ts';
import { pruneAtRandom } from '../encoder/decision.ts';
import { benchOptions, openPeft, randomBatch, randomModel } from '../encoder/model.ts';
import type { Published } from '../encoder/published.ts';
import { trainingSteps } from '../encoder/steps.ts';

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
  const run = benchOptions();
  using model = await openModel(engine, shape, options, run);
  for (let { batch } = options; ; batch = Math.floor(batch / 2)) {
    try {
      return await timeBatch(model, { ...options, batch }, run);
    } catch (error) {
      if (!(error instanceof UserError) || batch < 2) throw error;
    } finally {
      engine.arena.release();
    }
  }
}

async function openModel(
  engine: Engine,
  shape: Published,
  { seq, ratio }: StepOptions,
  run: RunOptions,
): Promise<PeftModel> {
  const whole = await openPeft(engine, randomModel(engine, { ...shape, positions: seq }, shape.family), run);
  return ratio === 0 ? whole : pruneAtRandom(whole, run, ratio);
}

async function timeBatch(model: PeftModel, { batch, seq, runs }: StepOptions, run: RunOptions): Promise<StepResult> {
  const { engine, base } = model;
  engine.arena.release();
  engine.memory.resetPeak();
  using steps = trainingSteps(model, run);
  const data = randomBatch(base.config, batch, seq);
  const train = await steps.program(data, steps.inputs(0, data));
  const training = await secondsOf(engine, runs, (step) => train.run(steps.inputs(step, data)));
  const peakBytes = engine.memory.peak;
  if (!(await steps.losses.read('loss', 0, 1)).every(Number.isFinite)) throw new Error('the loss is not finite');
  using infer = await engine.compile(`infer ${batch}x${seq}`, model.inputSpecs(batch, seq), (inputs) => ({
    outputs: { logits: model.logits(inputs as BatchInputs) },
  }));
  const values = model.inputValues(data);
  const inference = await secondsOf(engine, runs, () => infer.run(values));
  return {
    batch,
    tokensPerSecond: (batch * seq) / training,
    inferTokensPerSecond: (batch * seq) / inference,
    peakBytes,
    blockParameters: base.blockParameterCount,
  };
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
