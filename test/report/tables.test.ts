/** Protects: the terminal table fits 120 columns with every figure in it; the Markdown table is well formed for any text. */
import { describe, expect, it } from 'vitest';
import { htmlPage } from '../../report/html/page.ts';
import { markdownTable } from '../../report/markdown.ts';
import type { Comparison } from '../../report/schema.ts';
import { terminalTable } from '../../report/terminal.ts';
import { sampleComparison } from './sample.ts';

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
  ])('stays within 120 columns for %s', (_, comparison) => {
    const lines = terminalTable(comparison).split('\n');
    expect(Math.max(...lines.map((line) => line.length))).toBeLessThanOrEqual(120);
    expect(lines.length).toBeGreaterThan(30);
  });

  it('holds a row per method and task, the plain baseline, and no control characters', () => {
    const text = terminalTable(sampleComparison());
    expect(text.match(/Light-PEFT/g)).toHaveLength(2);
    expect(text.match(/TF-IDF \+ logistic +84\.3 +84\.2/g)).toHaveLength(1);
    expect(text.match(/TF-IDF \+ logistic +98\.3 +97\.1/g)).toHaveLength(1);
    expect(text).toContain('3 seeds');
    expect(text).not.toMatch(/[\u0000-\u0009\u000b-\u001f\u001b]/);
    expect(text).not.toMatch(/NaN|undefined|Infinity/);
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
    const row = terminalTable(comparison)
      .split('\n')
      .findIndex((line) => line.startsWith('Light-PEFT'));
    const [values, notes] = terminalTable(comparison)
      .split('\n')
      .slice(row, row + 2);
    expect(values).toMatch(/97\.5 .* 6,000 .* 60\.0 MB/);
    expect(notes).toMatch(/−0\.5 pt .* 1\.50× .* −40%/);
  });
});

describe('markdownTable', () => {
  const rows = (text: string): string[] => text.split('\n').filter((line) => line.startsWith('|'));
  const cells = (row: string): number => row.replace(/\\\|/g, '').split('|').length - 2;

  it('has one table per task, every row as long as its head', () => {
    const text = markdownTable(sampleComparison());
    expect(rows(text)).toHaveLength(2 * (1 + 1 + 6 + 1));
    expect(new Set(rows(text).map(cells))).toEqual(new Set([11]));
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
    expect(new Set(rows(text).map(cells))).toEqual(new Set([11]));
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
