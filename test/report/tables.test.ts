/** Protects: the terminal tables fit 80 columns with every figure in it; the Markdown table is well formed for any text. */
import { describe, expect, it } from 'vitest';
import { htmlPage } from '../../report/html/page.ts';
import { markdownTable } from '../../report/markdown.ts';
import { METRICS, type Comparison } from '../../report/schema.ts';
import { terminalTable } from '../../report/terminal.ts';
import { sampleComparison, sampleContext } from './sample.ts';

/** A comparison on a fast device with a large model: the widest figures to be expected. */
function large(): Comparison {
  const sample = sampleComparison();
  for (const run of sample.runs) {
    run.speed.trainTokensPerSecond *= 53_000;
    run.speed.inferExamplesPerSecond *= 870;
    run.memory.trainPeakBytes *= 990;
    run.foundation = { total: 6_658_473_984, left: 6_658_473_984, blockTotal: 6_444_163_072, blockLeft: 6_444_163_072 };
    run.label = `${run.label} with a name that is longer than usual`;
  }
  return sample;
}

describe('terminalTable', () => {
  it.each([
    ['the sample', sampleComparison()],
    ['large figures and labels', large()],
  ])('stays within 80 columns for %s', (_, comparison) => {
    const lines = terminalTable(comparison).split('\n');
    expect(Math.max(...lines.map((line) => line.length))).toBeLessThanOrEqual(80);
    expect(lines.length).toBeGreaterThan(30);
  });

  it('holds a row per method and task, the plain baseline, and no control characters', () => {
    const text = terminalTable(sampleComparison());
    expect(text.match(/Light-PEFT/g)).toHaveLength(4);
    expect(text.match(/TF-IDF \+ +84\.3 +84\.2/g)).toHaveLength(1);
    expect(text.match(/TF-IDF \+ +98\.3 +97\.1/g)).toHaveLength(1);
    expect(text).toContain('3 seeds');
    expect(text).not.toMatch(/[\u0000-\u0009\u000b-\u001f\u001b]/);
    expect(text).not.toMatch(/NaN|undefined|Infinity/);
  });

  it("has what the model's folder says of it below, within 80 columns", () => {
    const comparison = sampleComparison();
    expect(terminalTable(comparison)).not.toContain('pretrained model');
    comparison.meta.context = sampleContext();
    const text = terminalTable(comparison);
    expect(Math.max(...text.split('\n').map((line) => line.length))).toBeLessThanOrEqual(80);
    for (const part of ['synthetic-roberta is a small model', 'The same on a pretrained model', '85.8 ± 0.1 (5)'])
      expect(text).toContain(part);
  });

  it('fits every score that there is, correlations beside the reference', () => {
    const comparison = sampleComparison();
    const all = Object.fromEntries(METRICS.map((metric) => [metric, 0.125]));
    comparison.runs.forEach((run) => (run.metrics = { ...all, matthews: run.method === 'lora' ? 0.5 : 0.25, loss: 1 }));
    const text = terminalTable(comparison);
    expect(Math.max(...text.split('\n').map((line) => line.length))).toBeLessThanOrEqual(80);
    for (const title of ['accuracy', 'macro F1', 'F1a', 'matthews', 'HasAns exact', 'NoAns F1', 'mean squared error'])
      expect(text).toContain(title);
    expect(text).toContain('−0.250');
    expect(text).not.toMatch(/NaN|undefined/);
  });

  it('shows what the figures are relative to LoRA without pruning', () => {
    const comparison = sampleComparison();
    comparison.runs = comparison.runs.filter(
      (r) => r.task === 'spam' && r.seed === 1 && /^(lora|light-peft)$/.test(r.method),
    );
    const [lora, light] = comparison.runs;
    lora!.speed.trainTokensPerSecond = 4000;
    light!.speed.trainTokensPerSecond = 6000;
    lora!.memory.inferPeakBytes = 100e6;
    light!.memory.inferPeakBytes = 60e6;
    lora!.metrics.accuracy = 0.98;
    light!.metrics.accuracy = 0.975;
    light!.speed = { ...light!.speed, estimateSeconds: 20, pruneSeconds: 0.5, trainSeconds: 39.5 };
    lora!.speed.trainSeconds = 50;
    const lines = terminalTable(comparison).split('\n');
    const [first, second] = lines.flatMap((line, i) => (line.startsWith('Light-PEFT') ? [lines.slice(i, i + 2)] : []));
    expect(first![0]).toMatch(/97\.5 /);
    expect(first![1]).toMatch(/−0\.5 pt /);
    expect(second![0]).toMatch(/6,000 +1 min 00 s +\d+ .* 60\.0 MB/);
    expect(second![1]).toMatch(/1\.50× +1\.20× .* −40%/);
  });

  it.each([
    ['64 steps and 256 examples', 64, 256, 0],
    ['63 steps', 63, 256, 3],
    ['255 examples', 64, 255, 2],
  ])('marks ratios with a caution where they stand on too little: %s', (_, steps, examples, marks) => {
    const comparison = sampleComparison();
    comparison.runs = comparison.runs.filter((r) => r.task === 'spam' && /^(lora|light-peft)$/.test(r.method));
    comparison.tasks = [{ ...comparison.tasks[1]!, evalExamples: examples }];
    for (const curve of comparison.runs.flatMap((r) => r.curves).filter((c) => c.phase === 'train')) {
      curve.step.length = steps;
      curve.loss.length = steps;
    }
    for (const text of [terminalTable(comparison), markdownTable(comparison)]) {
      const cautions = text.split('†').length - 1;
      expect(cautions).toBe(marks && marks + 1);
      expect(text.includes('fewer than 64 timed steps or 256')).toBe(marks > 0);
    }
  });
});

describe('markdownTable', () => {
  const rows = (text: string): string[] => text.split('\n').filter((line) => line.startsWith('|'));
  const cells = (row: string): number => row.replace(/\\\|/g, '').split('|').length - 2;

  it('has one table per task, every row as long as its head', () => {
    const text = markdownTable(sampleComparison());
    expect(rows(text)).toHaveLength(2 * (1 + 1 + 6 + 1));
    expect(new Set(rows(text).map(cells))).toEqual(new Set([13]));
    expect(text).toContain('Date: 2025-01-31');
    expect(text).toContain('Adapter: llvmpipe (LLVM 19.1.7, 256 bits), Mesa 25.0.7 (software)');
    expect(text).toContain(
      '`npx light-peft run --model models/base --task sentiment --peft lora --seed 1 --out out/sentiment`',
    );
    expect(text.endsWith('.\n')).toBe(true);
  });

  it('survives text that means something in Markdown', () => {
    const comparison = sampleComparison();
    for (const run of comparison.runs) run.label += ' | *a*\n<b>';
    comparison.meta.command = 'run `a``b` | c';
    const text = markdownTable(comparison);
    expect(new Set(rows(text).map(cells))).toEqual(new Set([13]));
    expect(text).toContain('Light-PEFT \\| \\*a\\* &lt;b\\>');
    expect(text).toContain('``` run `a``b` | c ```');
  });
});

it('calls every method by its own name in every output', async () => {
  const comparison = sampleComparison();
  for (const run of comparison.runs) run.label = run.label.replace('LoRA', 'Houlsby adapters');
  comparison.meta.command = 'light-peft run --peft houlsby';
  for (const text of [terminalTable(comparison), markdownTable(comparison), await htmlPage(comparison)]) {
    expect(text).toMatch(/Houlsby\s+adapters\s+without\s+pruning/);
    expect(text).not.toMatch(/LoRA|houlsby adapters/);
  }
});
