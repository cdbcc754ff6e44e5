/** Protects: tuning inside a real training run — its numbers are those of an untuned run, and every config stands the check. */
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, it } from 'vitest';
import { Engine } from '../../engine/engine.ts';
import { TuningCache } from '../../engine/tune/tuning-cache.ts';
import { Tuner } from '../../engine/tune/tuner.ts';
import { fineTune } from '../../train/stages.ts';
import { tinyAssembly, tinyExamples, tinySettings } from './tiny.ts';

it('a tuned run computes what an untuned one does', async () => {
  const engine = await Engine.open();
  const dir = await mkdtemp(join(tmpdir(), 'light-peft-'));
  try {
    const settings = tinySettings({ steps: 3, dropout: 0.1, shuffle: false, batchSize: 3, targetModules: 'query' });
    const assembly = await tinyAssembly(engine, settings);
    const examples = (await tinyExamples()).slice(0, 3);
    const plain = await fineTune(engine, assembly, examples, settings);
    const log: string[] = [];
    const cache = await TuningCache.load(join(dir, 'tuning.json'), engine.adapter, (text) => log.push(text));
    engine.tuner = new Tuner(engine, cache, (text) => log.push(text));
    const tuned = await fineTune(engine, assembly, examples, settings);
    expect(log.filter((line) => line.includes('wrong'))).toEqual([]);
    expect(log.some((line) => line.includes('attention_backward_kv'))).toBe(true);
    tuned.result.loss.forEach((loss, i) => expect(loss).toBeCloseTo(plain.result.loss[i]!, 4));
  } finally {
    engine.close();
    await rm(dir, { recursive: true });
  }
});
