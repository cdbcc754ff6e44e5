/** Protects: the real command on real data with the bundled model, from text to the comparison's page and predictions. */
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, it, vi } from 'vitest';
import { runCommand } from '../../cli/program.ts';
import { parseComparison } from '../../report/schema.ts';

const MODEL = join(import.meta.dirname, '..', '..', 'checkpoints', 'light-roberta');

let dir: string;
beforeAll(async () => {
  dir = await mkdtemp(join(tmpdir(), 'light-peft-'));
  vi.spyOn(process.stdout, 'write').mockImplementation(() => true);
  vi.spyOn(process.stderr, 'write').mockImplementation(() => true);
});
afterAll(() => rm(dir, { recursive: true }));

it(
  'runs the three stages on the sentiment task, compares, and predicts with what is left',
  { timeout: 240_000 },
  async () => {
    const out = join(dir, 'run');
    const small = ['--steps', '4', '--estimate-steps', '2', '--batch-size', '8', '--max-length', '16'];
    const ratios = ['--heads-ratio', '0.5', '--ffn-ratio', '0.4'];
    const run = [
      'run',
      '--model',
      MODEL,
      '--task',
      'sentiment',
      '--out',
      out,
      '--methods',
      'reference,light-peft',
      ...small,
      ...ratios,
      '--profile',
      join(dir, 'trace.json'),
    ];
    expect(await runCommand(run)).toBe(0);
    const path = join(out, 'comparison.json');
    const { runs, tasks, meta } = parseComparison(JSON.parse(await readFile(path, 'utf8')), path);
    const [reference, pruned] = runs;
    expect(runs.map((r) => r.method)).toEqual(['lora', 'light-peft']);
    expect(tasks[0]?.baseline?.accuracy).toBeGreaterThan(0.75);
    expect(meta.context?.note).toContain('small model');
    expect(pruned!.foundation.blockLeft / pruned!.foundation.blockTotal).toBeLessThan(0.6);
    expect(pruned!.trainable.left / pruned!.trainable.total).toBeLessThanOrEqual(0.25);
    expect(pruned!.memory.inferPeakBytes).toBeLessThan(reference!.memory.inferPeakBytes);
    expect(pruned!.artefactBytes).toBeLessThan(reference!.artefactBytes);
    expect(await readFile(join(out, 'report.html'), 'utf8')).toContain('<svg');
    const { modules } = pruned!.plan!;
    expect(modules.filter((m) => m.lostBy === 'importance')).toHaveLength(0.75 * modules.length);
    expect(modules.every((m) => m.kept === (m.lostBy === undefined) && m.kept === m.ranks.some((r) => r.kept))).toBe(
      true,
    );
    expect(pruned!.speed.secondsPerStep).toBeGreaterThan(0);

    const trace = JSON.parse(await readFile(join(dir, 'trace.json'), 'utf8')) as { traceEvents: { name: string }[] };
    expect(trace.traceEvents.map((event) => event.name)).toContain('attention_backward_q');

    const data = join(dir, 'texts.csv');
    await writeFile(data, 'text,label\n"a wonderful, moving film",positive\nterrible service,negative\n');
    const adapter = join(out, 'light-peft', 'seed-0', 'adapter');
    const predictions = join(dir, 'predictions.jsonl');
    expect(
      await runCommand(['predict', '--model', MODEL, '--adapter', adapter, '--data', data, '--out', predictions]),
    ).toBe(0);
    const lines = (await readFile(predictions, 'utf8'))
      .trim()
      .split('\n')
      .map((line) => JSON.parse(line) as { logits: number[] });
    expect(lines.map((line) => line.logits.length)).toEqual([2, 2]);
    expect(lines.flatMap((line) => line.logits).every(Number.isFinite)).toBe(true);
    expect(await runCommand(['eval', '--model', MODEL, '--adapter', adapter, '--data', data])).toBe(0);
  },
);
