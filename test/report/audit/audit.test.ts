/** Protects: an audit's tables say what its runs say, and its page is whole and harmless for full, partial and hostile data. */
import { expect, it } from 'vitest';
import { heatChart, lineChart } from '../../../report/audit/charts.ts';
import { auditMarkdown } from '../../../report/audit/markdown.ts';
import { auditPage } from '../../../report/audit/page.ts';
import { auditSchema, type Audit, type AuditRun } from '../../../report/audit/schema.ts';
import { defenceRows, formsOf, meansByPlace, spreadText, strategyRow } from '../../../report/audit/summary.ts';
import { auditTables } from '../../../report/audit/terminal.ts';
import { renderChart } from '../../../report/charts/render.ts';

function sampleRun(form: string, strategy: string, seed: number): AuditRun {
  const lfr = 0.5 + seed / 10;
  const gradients = {
    step: [1.5, 3.5],
    clean: [[1, 2, 3], [3, 2, 1]], // prettier-ignore
    planted: [[2, 2, 2], [4, 4, 4]], // prettier-ignore
    cosine: [[-0.5, 0.5, null], [-0.1, 0.3, 0.2]], // prettier-ignore
  };
  const map = { without: [{ accuracy: 0.7, lfr: 0.2 }, { accuracy: 0.6, lfr: 0.9 }], similarity: [0.99, 0.5] }; // prettier-ignore
  return {
    form,
    strategy,
    seed,
    planted: {
      user: { accuracy: 0.6, lfr: 1 },
      seconds: 3,
      ...(strategy !== 'clean' && { loss: { step: [1.5, 3.5], clean: [0.7, 0.6], planted: [0.9, 0.2] }, gradients }),
    },
    user: { curve: [{ epoch: 0, accuracy: 0.6, lfr: 1 }, { epoch: 1, accuracy: 0.8, lfr }], seconds: 2 }, // prettier-ignore
    ...(strategy === 'sum' && seed === 0 && { maps: { planted: map, user: map } }),
    defences:
      strategy === 'sum'
        ? {
            'early-pruning': {
              accuracy: 0.7 + seed / 100,
              lfr: 0.1,
              seconds: 1,
              blockShare: 0.6,
              trainableShare: 0.25,
            },
            'confidence-filter': { accuracy: 0.75, lfr: 0.3, seconds: 1, cleanOut: 0.05, triggeredOut: 0.4 },
          }
        : {},
  };
}

function sample(): Audit {
  const keys = ['houlsby', 'parallel'].flatMap((form) => ['clean', 'sum'].flatMap((s) => [0, 1].map((seed) => [form, s, seed] as const))); // prettier-ignore
  return auditSchema.parse({
    format: 'light-peft/audit',
    version: 1,
    meta: { date: '2026-01-02T00:00:00Z', command: 'light-peft audit', adapter: 'tiny', software: true, model: 'm', fingerprint: 'sha256:0', versions: { node: '20' } }, // prettier-ignore
    name: 'a → b',
    labels: ['no', '<b>yes</b>'],
    target: 1,
    texts: { clean: 3, planted: 4, user: 5, test: 6, triggered: 7 },
    options: { lr: 1e-3 },
    runs: keys.map((key) => sampleRun(...key)),
  });
}

it('gives means over seeds and their deviations', () => {
  const [first, second] = formsOf(sample());
  expect(first!.groups.map(({ label }) => label)).toEqual(['Nothing planted', 'Plain sum']);
  expect(second!.label).toBe('Parallel (He)');
  const { user, planted } = strategyRow(first!.groups[1]!);
  expect(spreadText(user.lfr)).toBe('55.0 ± 7.1');
  expect(spreadText(planted.lfr)).toBe('100.0 ± 0.0');
  expect(meansByPlace([[1, null], [3, 4]])).toEqual([2, 4]); // prettier-ignore
});

it('tells what a defence costs beside the same seeds without it', () => {
  const rows = defenceRows(formsOf(sample())[0]!.groups[1]!);
  expect(rows.map(({ label }) => label)).toEqual(['Nothing', 'Early pruning, both', 'Confidence filter']);
  expect(rows[0]!.cost).toBeUndefined();
  expect(rows[1]!.cost!.mean).toBeCloseTo((-0.1 - 0.09) / 2, 12);
  expect(rows[2]!.out).toEqual([0.05, 0.4]);
});

it('writes tables for documents and terminals', () => {
  const markdown = auditMarkdown(sample());
  expect(markdown).toContain('| Plain sum | 55.0 ± 7.1 | 80.0 ± 0.0 | 55.0 ± 7.1 | 80.0 ± 0.0 |');
  expect(markdown).toContain('| Early pruning, both | 10.0 ± 0.0 | 70.5 ± 0.7 | −9.5 ± 0.7 | 60% | 25% | – |');
  expect(markdown).toContain('| share of windows below 0 | 1.00 | 0.00 | 0.00 |');
  expect(markdown).toContain('| Plain sum | 100.0 → 50.0 | 20.0 → 20.0 | 90.0 → 90.0 |');
  expect(markdown).not.toContain('<b>');
  expect(auditTables(sample())).toContain('Sequential (Houlsby), Plain sum, in percent');
});

it('draws a page without anything foreign in it', async () => {
  const page = await auditPage(sample());
  expect(page.match(/<svg/g)!.length).toBeGreaterThan(15);
  expect(page).not.toContain('<b>yes</b>');
  expect(page).not.toMatch(/<script|<iframe|NaN|undefined/);
  expect(page).toContain('Where a trigger sits');
});

it('leaves out what was not measured', async () => {
  const audit = sample();
  const page = await auditPage({ ...audit, runs: audit.runs.filter(({ strategy }) => strategy === 'clean') });
  expect(page).not.toMatch(/Where a trigger sits|Gradients by layer|Which task|id="defences"/);
  expect(page).toContain('What the user’s training forgets');
});

it('draws lines with deviations, and maps', async () => {
  const line = { label: 'a', colour: 'red', dash: [], width: 1, points: [{ x: 0, y: 0.2, deviation: 0.1 }, { x: 1, y: 0.4 }] }; // prettier-ignore
  const lines = await renderChart(lineChart([line], { x: 'epoch', domain: [0, 1], range: [0, 1], isShare: true }));
  expect(lines.text).toContain('100%');
  const heat = await renderChart(heatChart([1, 2], [[-1, null], [0.5, 0.1]], ['0', 'head'])); // prettier-ignore
  expect(heat.text).toContain('head');
});
