/** Protects: what is left of methods × seeds is counted, and its time foretold once, from the first steps. */
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, it } from 'vitest';
import { readSettings } from '../../cli/options.ts';
import { Forecast, workLeft } from '../../experiments/forecast.ts';
import { METHODS } from '../../experiments/runner.ts';

const report = (step: number, total: number) => ({ from: 0, step, total, loss: 1, tokensPerSecond: 1 });

it('counts the runs that are not there yet, and the estimations that they need', async () => {
  const out = await mkdtemp(join(tmpdir(), 'light-peft-'));
  const options = await readSettings({ steps: 10, estimateSteps: 4 });
  expect(await workLeft(out, METHODS, [0, 1], options, [99])).toEqual({ pieces: 14, steps: 2 * (2 * 14 + 4 * 10 + 4) });
  for (const folder of ['lora/seed-0', 'light-peft/seed-0']) {
    await mkdir(join(out, folder), { recursive: true });
    await writeFile(join(out, folder, 'run.json'), '{}');
  }
  expect(await workLeft(out, ['reference', 'light-peft'], [0], options, [99])).toEqual({ pieces: 0, steps: 0 });
  expect(await workLeft(out, ['reference', 'light-peft'], [0, 1], options, [99])).toEqual({ pieces: 3, steps: 28 });
  await rm(out, { recursive: true });
});

it('counts the reference too where it is the teacher of a run that is left', async () => {
  const out = await mkdtemp(join(tmpdir(), 'light-peft-'));
  const options = await readSettings({ steps: 10, estimateSteps: 4, distill: 'reference' });
  expect(await workLeft(out, ['light-peft'], [0], options, [99])).toEqual({ pieces: 3, steps: 28 });
  expect(await workLeft(out, ['light-peft', 'reference'], [0], options, [99])).toEqual({ pieces: 3, steps: 28 });
  expect(await workLeft(out, ['random-init'], [0], options, [99])).toEqual({ pieces: 1, steps: 14 });
  await rm(out, { recursive: true });
});

it('foretells from the time of a step and what comes before the steps, once', () => {
  const said: number[] = [];
  const forecast = new Forecast({ pieces: 3, steps: 200 }, (seconds) => said.push(seconds));
  forecast.begin(1000);
  forecast.report(report(16, 100), 9600);
  expect(said).toEqual([]);
  // 0.1 s a step, so 7 s before them: 3 · 7 s + 200 · 0.1 s.
  forecast.report(report(32, 100), 11_200);
  forecast.report(report(48, 100), 12_800);
  forecast.begin(20_000);
  forecast.report(report(16, 16), 30_000);
  expect(said).toHaveLength(1);
  expect(said[0]).toBeCloseTo(41, 6);
});

it('foretells from a piece of few steps when it ends', () => {
  const said: number[] = [];
  const forecast = new Forecast({ pieces: 3, steps: 20 }, (seconds) => said.push(seconds));
  forecast.begin(0);
  forecast.report(report(5, 5), 5000);
  expect(said).toEqual([20]);
});
