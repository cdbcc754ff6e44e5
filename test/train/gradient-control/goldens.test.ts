/** Protects: eight steps of two tasks by every strategy are those of PyTorch, transformers and PEFT: losses, magnitudes, weights, factors. */
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import type { EncodedExample } from '../../../data/encoded-example.ts';
import { openSafetensors } from '../../../engine/io/safetensors.ts';
import { loadModel } from '../../../models/checkpoint.ts';
import { PeftModel } from '../../../peft-model/peft-model.ts';
import { train } from '../../../train/train.ts';
import type { StepRecord } from '../../../train/callbacks.ts';
import type { TrainOptions } from '../../../train/options.ts';
import { openTestEngine } from '../../engine.ts';

const GOLDEN = join(import.meta.dirname, '..', '..', 'goldens', 'gradient-control');
const [STEPS, BATCH, SEQ] = [8, 4, 20];

interface ExpectedStep {
  readonly loss: readonly [number, number];
  readonly magnitude_c: readonly number[];
  readonly magnitude_p: readonly number[];
  readonly cosine: readonly number[];
  readonly w?: readonly number[];
  readonly update_norm: readonly number[];
}

const expected = JSON.parse(await readFile(join(GOLDEN, 'expected.json'), 'utf8')) as {
  readonly runs: Readonly<Record<string, readonly ExpectedStep[]>>;
};

const STRATEGIES: Readonly<Record<string, TrainOptions>> = {
  sum: { gradientControl: 'sum' },
  pcgrad: { gradientControl: 'pcgrad' },
  clnorm: { gradientControl: 'clnorm', clnormTask: 'p', clnormAlpha: 1e-2 },
  ilproj: { gradientControl: 'ilproj', ilproj: 'always' },
  'ilproj-conflict': { gradientControl: 'ilproj' },
  'clnorm+ilproj': { gradientControl: 'clnorm+ilproj', clnormTask: 'p', clnormAlpha: 1e-2, ilproj: 'always' },
};

const engine = await openTestEngine();
const checkpoint = await loadModel(join(GOLDEN, 'model'));

/** Rows in the order of the golden's steps. */
async function examplesOf(task: 0 | 1): Promise<EncodedExample[]> {
  const file = await openSafetensors(join(GOLDEN, 'batches.safetensors'));
  const [ids, mask, labels] = await Promise.all(
    ['input_ids', 'attention_mask', 'labels'].map((name) => file.readInt32(name)),
  );
  await file.close();
  return Array.from({ length: STEPS * BATCH }, (_, i) => {
    const row = (Math.floor(i / BATCH) * 2 + task) * BATCH + (i % BATCH);
    const at = (values: Int32Array): Int32Array => values.slice(row * SEQ, (row + 1) * SEQ);
    const length = at(mask!).lastIndexOf(1) + 1;
    return {
      ids: at(ids!).slice(0, length),
      mask: at(mask!).slice(0, length),
      typeIds: new Int32Array(length),
      label: labels![row]!,
    };
  });
}

const tasks = new Map([
  ['c', await examplesOf(0)],
  ['p', await examplesOf(1)],
]);

function worst(found: readonly (number | null)[], wanted: readonly number[]): number {
  expect(found.length).toBe(wanted.length);
  return Math.max(...wanted.map((value, i) => Math.abs(value - found[i]!) / Math.max(1e-3, Math.abs(value))));
}

describe.each(Object.entries(STRATEGIES))('%s', (name, strategy) => {
  it('repeats losses, magnitudes, weights, and the factors after eight steps', async () => {
    using model = await PeftModel.fromPretrained(engine, checkpoint, join(GOLDEN, 'adapter-init'));
    const records: StepRecord[] = [];
    await train(model, tasks, {
      ...strategy,
      ...{ steps: STEPS, batchSize: BATCH, lr: 3e-3, schedule: 'constant', maxGradNorm: 0, shuffle: false },
      callbacks: [{ onStep: (record) => void records.push(record) }],
    });
    const run = expected.runs[name]!;
    for (const [i, wanted] of run.entries()) {
      const { loss, magnitude, cosine, weight } = records[i]!.tasks!;
      expect(worst([loss.c!, loss.p!], wanted.loss)).toBeLessThan(1e-5);
      expect(worst(magnitude.c!, wanted.magnitude_c)).toBeLessThan(1e-5);
      expect(worst(magnitude.p!, wanted.magnitude_p)).toBeLessThan(1e-5);
      expect(worst(cosine as number[], wanted.cosine)).toBeLessThan(1e-3);
      if (wanted.w) expect(worst(weight!, wanted.w)).toBeLessThan(1e-5);
      const norm = Math.hypot(...wanted.update_norm);
      expect(Math.abs(records[i]!.gradNorm / norm - 1)).toBeLessThan(1e-5);
    }
    const file = await openSafetensors(join(GOLDEN, 'expected.safetensors'));
    const values = await model.stateDict();
    for (const [parameter, found] of values) {
      const wanted = await file.readFloat32(`${name}:base_model.model.${parameter}`);
      const difference = Math.max(...wanted.map((value, i) => Math.abs(value - found[i]!)));
      expect(difference, parameter).toBeLessThan(1e-3);
    }
    await file.close();
  });
});
