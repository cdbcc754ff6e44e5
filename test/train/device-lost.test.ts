/** Protects: a lost device ends training with its step named and the checkpoint kept, from which a new device goes on to the same bits. */
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { Engine } from '../../engine/engine.ts';
import { UserError } from '../../engine/errors.ts';
import { openSafetensors } from '../../engine/io/safetensors.ts';
import { hostRandom } from '../../engine/random.ts';
import { DataLoader, type Batch } from '../../data/data-loader.ts';
import { objectiveOf } from '../../data/objective.ts';
import type { StateDict } from '../../peft/module.ts';
import { optimizationOf, trainingLoss } from '../../train/model-loss.ts';
import { runTraining, type BatchSource } from '../../train/trainer.ts';
import { tinyExamples, tinyModel, tinyOptions } from './tiny.ts';

const STEPS = 30;
const SAVE_EVERY = 4;
const options = tinyOptions({ peft: { dropout: 0.1 }, train: { saveEvery: SAVE_EVERY } });

let dir: string;
beforeAll(async () => {
  dir = await mkdtemp(join(tmpdir(), 'light-peft-lost-'));
});
afterAll(() => rm(dir, { recursive: true }));

/** Trains on a device of its own, which is lost while the batch of step `losesAt` is made. */
async function run(path: string, losesAt?: number): Promise<{ loss: readonly number[]; values: StateDict }> {
  const engine = await Engine.open();
  try {
    const model = await tinyModel(engine, options);
    const order = { batchSize: 4, order: 'shuffle', seed: 0, padId: 1, maxLength: 24, fixedLength: true } as const;
    const batches = new DataLoader(await tinyExamples(), order);
    const source: BatchSource<Batch> = {
      perEpoch: batches.perEpoch,
      at: (epoch, index) => {
        if (epoch * batches.perEpoch + index === losesAt) engine.device.destroy();
        return batches.at(epoch, index);
      },
    };
    const checkpoint = { path, resume: true, identity: {} };
    const training = trainingLoss(model, objectiveOf(model));
    const { loss } = await runTraining(training, source, optimizationOf(model, options.train, STEPS), { checkpoint });
    return { loss, values: await model.stateDict() };
  } finally {
    engine.close();
  }
}

it('at random steps', { timeout: 120_000 }, async () => {
  const whole = await run(join(dir, 'whole.safetensors'));
  const random = hostRandom(11, 1);
  for (let round = 0; round < 2; round++) {
    const step = SAVE_EVERY + 1 + random.below(STEPS - SAVE_EVERY - 1);
    const path = join(dir, `${round}.safetensors`);
    const error: unknown = await run(path, step).catch((e: unknown) => e);
    expect(error).toBeInstanceOf(UserError);
    const { message } = error as UserError;
    const said =
      /device was lost.* at step (\d+) of 30\. The checkpoint of step (\d+) is kept; go on with `resume`/.exec(message);
    expect(said, message).not.toBeNull();
    const [named, kept] = [Number(said![1]), Number(said![2])];
    // Noticed at the step that was being made, or at one of the few after it.
    expect(named - 1).toBeGreaterThanOrEqual(step);
    expect(named - 1).toBeLessThanOrEqual(step + 4);
    expect(kept).toBe(Math.floor(step / SAVE_EVERY) * SAVE_EVERY);
    const file = await openSafetensors(path);
    expect(file.metadata.step).toBe(String(kept));
    await file.close();
    const resumed = await run(path);
    expect(resumed.loss).toEqual(whole.loss);
    expect(resumed.values).toEqual(whole.values);
  }
});
