/**
 * Protects: gradient accumulation, label smoothing, class weights and learning rates by group take the steps that PyTorch, transformers and
 * PEFT take: losses, and parameters after some steps. Labels are unequal in number between the parts of a step, and the last step is smaller.
 */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, it } from 'vitest';
import type { EncodedExample } from '../../data/encoded-example.ts';
import { openSafetensors } from '../../engine/io/safetensors.ts';
import { loadModel } from '../../models/checkpoint.ts';
import { PeftModel } from '../../peft-model/peft-model.ts';
import type { TrainOptions } from '../../train/options.ts';
import { train } from '../../train/train.ts';
import { openTestEngine } from '../engine.ts';

const GOLDENS = join(import.meta.dirname, '..', 'goldens');
const TRAINER = join(GOLDENS, 'trainer');

interface Case {
  readonly name: string;
  readonly model: string;
  readonly adapter: string;
  readonly examples: readonly { ids: number[]; label?: number; tokenLabels?: number[]; span?: [number, number] }[];
  readonly options: TrainOptions;
  readonly losses: readonly number[];
}

const { cases } = JSON.parse(readFileSync(join(TRAINER, 'cases.json'), 'utf8')) as { cases: readonly Case[] };

const engine = await openTestEngine();

const encoded = ({ ids, label = -100, tokenLabels, span }: Case['examples'][number]): EncodedExample => ({
  ids: Int32Array.from(ids),
  mask: new Int32Array(ids.length).fill(1),
  typeIds: new Int32Array(ids.length),
  label,
  ...(tokenLabels && { tokenLabels: Int32Array.from(tokenLabels) }),
  ...(span && { span }),
});

async function run({ model: folder, adapter, examples }: Case, options: TrainOptions) {
  const checkpoint = await loadModel(join(GOLDENS, folder));
  using model = await PeftModel.fromPretrained(engine, checkpoint, join(GOLDENS, adapter));
  const before = await model.stateDict();
  const { loss } = await train(model, examples.map(encoded), options);
  return { before, loss, after: await model.stateDict() };
}

/** Not what is added to all places alike: its gradient is 0, and Adam makes steps of its rounding. */
const isDetermined = (name: string): boolean => name !== 'qa_outputs.bias';

/** The largest difference of two lists of numbers. */
function difference(found: ArrayLike<number>, expected: ArrayLike<number>): number {
  expect(found.length).toBe(expected.length);
  return Math.max(...Array.from(expected, (value, i) => Math.abs(value - found[i]!)));
}

it.each(cases)('$name', async (one) => {
  const { before, loss, after } = await run(one, one.options);
  expect(difference(loss, one.losses)).toBeLessThan(1e-5);
  const file = await openSafetensors(join(TRAINER, `${one.name}.safetensors`));
  const names = [...after.keys()].filter((name) => file.has(name));
  expect(names.length).toBe(file.names.length);
  for (const name of names.filter(isDetermined))
    expect(difference(after.get(name)!, await file.readFloat32(name)), name).toBeLessThan(1e-4);
  await file.close();
  // What PyTorch does not train stays, bit for bit.
  for (const [name, values] of after) if (!names.includes(name)) expect(values, name).toEqual(before.get(name));
  expect(names.length < after.size).toBe(one.options.freezeHead === true);
});

it.each(cases.filter(({ options }) => options.gradientAccumulationSteps))(
  '$name: equals one large batch',
  async (one) => {
    const { gradientAccumulationSteps: parts, batchSize, ...options } = one.options;
    const found = await run(one, one.options);
    const whole = await run(one, { ...options, batchSize: batchSize! * parts! });
    expect(difference(found.loss, whole.loss)).toBeLessThan(1e-5);
    for (const [name, values] of [...whole.after].filter(([key]) => isDetermined(key)))
      expect(difference(found.after.get(name)!, values), name).toBeLessThan(1e-5);
  },
);
