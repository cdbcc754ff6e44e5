/** Runs for the tests of comparisons: rows, and parts of the paper's table. Every number is invented. */
import type { PaperPart } from '../../../report/paper/schema.ts';
import { rowOf, type RunRow } from '../../../report/compare/columns.ts';
import { methodLabel } from '../../../report/compare/methods.ts';

export function sampleRow(changes: Partial<RunRow> = {}): RunRow {
  const { peft = 'lora', method = 'light-peft' } = changes;
  return rowOf({
    source: 'out/run',
    task: 'glue/cola',
    split: 'evaluation',
    base: 'sha256:0123456789ab',
    peft,
    method,
    label: methodLabel(peft, method),
    metric: 'matthews',
    options: '{}',
    ...{ headsRatio: 0.5, neuronsRatio: 0.5, seed: 0, lr: 0.001, value: 0.5, trainPeakBytes: 1e8, trainSeconds: 60 },
    ...{ adapter: 'Radeon 780M', software: false, date: '2026-11-29T10:00:00Z' },
    ...changes,
  });
}

/** Two methods with three seeds on two tasks and two adapters; perplexity is better when it is less. */
export function sampleRows(): RunRow[] {
  const tasks = [
    { task: 'glue/cola', metric: 'matthews', top: 0.5, by: -0.05 },
    { task: 'wiki', metric: 'perplexity', top: 30, by: 2 },
  ];
  return tasks.flatMap(({ task, metric, top, by }) =>
    ['Radeon 780M', 'llvmpipe'].flatMap((adapter, machine) =>
      ['reference', 'light-peft'].flatMap((method, m) =>
        [0, 1, 2].map((seed) =>
          sampleRow({
            ...{ task, metric, method, seed, adapter, software: machine === 1 },
            label: methodLabel('lora', method),
            headsRatio: m / 2,
            value: top + m * by + seed * by * 0.1,
            trainPeakBytes: 2e8 - m * 1e8,
            totalSeconds: (100 - 40 * m + seed) * (1 + 9 * machine),
          }),
        ),
      ),
    ),
  );
}

export function samplePart(changes: Partial<PaperPart> = {}): PaperPart {
  const { method = 'light-peft', ratio = 0.5, seed = 0, lr = 0.003 } = changes;
  return {
    format: 'light-peft/paper-part',
    version: 1,
    name: `mrpc/lora/${method}/${ratio}/seed-${seed}`,
    ...{ task: 'mrpc', peft: 'lora', method, ratio, seed, lr },
    config: { task: 'glue/mrpc', steps: 400, 'module-ratio': 0.75, 'rank-ratio': 0.5, peft: 'lora', seed, lr },
    metrics: {
      ...{ accuracy: 0.8, f1: 0.87, loss: 0.4, blockShare: 0.5, trainableShare: 0.25, artefactBytes: 170_000 },
      ...{ estimateSeconds: 50, pruneSeconds: 0.5, trainSeconds: 80, trainPeakBytes: 5e9, inferPeakBytes: 7e7 },
    },
    predictions: [0, 1],
    device: { adapter: 'llvmpipe', software: true, host: 'a' },
    ...{ date: '2026-11-29T10:00:00Z', commit: 'abc', sources: 'sha256:1', fingerprint: 'sha256:2', command: 'x' },
    ...changes,
  };
}
