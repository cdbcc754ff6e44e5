/** Protects: tuning inside a real training run — its numbers are those of an untuned run, and every config stands the check. */
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, it } from 'vitest';
import { Engine } from '../../engine/engine.ts';
import { TuningCache } from '../../engine/tune/tuning-cache.ts';
import { Tuner } from '../../engine/tune/tuner.ts';
import { train } from '../../train/train.ts';
import { tinyExamples, tinyModel, tinyOptions } from './tiny.ts';

it('a tuned run computes what an untuned one does', async () => {
  const engine = await Engine.open();
  const dir = await mkdtemp(join(tmpdir(), 'light-peft-'));
  try {
    const options = tinyOptions({
      peft: { dropout: 0.1, targetModules: ['query'] },
      train: { steps: 3, shuffle: false, batchSize: 3 },
    });
    using model = await tinyModel(engine, options);
    const start = await model.stateDict();
    const examples = (await tinyExamples()).slice(0, 3);
    const plain = await train(model, examples, options.train);
    model.loadStateDict(start);
    const log: string[] = [];
    const cache = await TuningCache.load(join(dir, 'tuning.json'), engine.adapter);
    engine.tuner = new Tuner(engine, cache, (text) => log.push(text));
    const tuned = await train(model, examples, options.train);
    expect(log.filter((line) => line.includes('wrong'))).toEqual([]);
    expect(log.some((line) => line.includes('attention_backward_kv'))).toBe(true);
    tuned.loss.forEach((loss, i) => expect(loss).toBeCloseTo(plain.loss[i]!, 4));
  } finally {
    engine.close();
    await rm(dir, { recursive: true });
  }
});
