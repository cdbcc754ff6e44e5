/** Protects: cross-entropy with label smoothing and class weights — values and gradients of PyTorch's, and float64 at other shapes. */
import { readFileSync } from 'node:fs';
import fc from 'fast-check';
import { expect, it } from 'vitest';
import { gradients } from '../../../engine/autograd/gradients.ts';
import type { Tensor } from '../../../engine/graph/tensor.ts';
import { crossEntropy, type CrossEntropyOptions } from '../../../engine/ops/cross-entropy.ts';
import { openTestEngine } from '../../engine.ts';

interface Golden {
  readonly weight: readonly number[] | null;
  readonly labelSmoothing: number;
  readonly loss: number;
  readonly gradient: readonly number[];
}

const { crossEntropy: goldens } = JSON.parse(
  readFileSync(new URL('../../goldens/trainer/cases.json', import.meta.url), 'utf8'),
) as { crossEntropy: readonly Golden[] };

const engine = await openTestEngine();

async function found(logits: readonly number[], labels: readonly number[], options: CrossEntropyOptions) {
  const rows = labels.length;
  const specs = {
    logits: { shape: [rows, logits.length / rows], dtype: 'f32' },
    labels: { shape: [rows], dtype: 'i32' },
  } as const;
  const program = await engine.compile('loss', specs, (inputs) => {
    const loss = crossEntropy(inputs.logits, inputs.labels, options);
    return { outputs: { loss, gradient: gradients(loss, [inputs.logits])[0] as Tensor } };
  });
  program.run({ logits: Float32Array.from(logits), labels: Int32Array.from(labels) });
  const [loss] = await program.read('loss');
  const gradient = await program.read('gradient');
  program.dispose();
  return { loss: loss!, gradient };
}

const wave = (rows: number, classes: number): number[] =>
  Array.from({ length: rows * classes }, (_, i) => 2 * Math.sin(1.7 * i + 0.3));

it.each(goldens)(
  'PyTorch’s: weight $weight, smoothing $labelSmoothing',
  async ({ weight, labelSmoothing, ...golden }) => {
    const options = { labelSmoothing, ...(weight && { weight }) };
    const { loss, gradient } = await found(wave(6, 5), [4, -100, 0, 2, 2, -100], options);
    expect(loss).toBeCloseTo(golden.loss, 5);
    golden.gradient.forEach((value, i) => expect(gradient[i], `logit ${i}`).toBeCloseTo(value, 5));
  },
);

/** In float64: the sum over rows and classes of target · −log softmax, and its gradient. */
function reference(
  logits: readonly number[],
  labels: readonly number[],
  { labelSmoothing = 0, weight, reduction }: CrossEntropyOptions,
) {
  const classes = logits.length / labels.length;
  const counts = weight ?? Array<number>(classes).fill(1);
  const total = labels.reduce((sum, label) => sum + (label < 0 ? 0 : counts[label]!), 0);
  const scale = reduction === 'sum' ? 1 : 1 / Math.max(total, 1e-12);
  const gradient = logits.map(() => 0);
  let loss = 0;
  labels.forEach((label, r) => {
    if (label < 0) return;
    const row = logits.slice(r * classes, (r + 1) * classes);
    const lse = Math.log(row.reduce((sum, x) => sum + Math.exp(x), 0));
    const targets = counts.map((w, c) => w * ((c === label ? 1 - labelSmoothing : 0) + labelSmoothing / classes));
    const whole = targets.reduce((a, b) => a + b, 0);
    row.forEach((x, c) => {
      loss += scale * targets[c]! * (lse - x);
      gradient[r * classes + c] = scale * (whole * Math.exp(x - lse) - targets[c]!);
    });
  });
  return { loss, gradient };
}

it('equals float64 for any shape, weights, smoothing and rows left out', async () => {
  const cases = fc.record({
    rows: fc.constantFrom(1, 3, 7),
    classes: fc.constantFrom(2, 3, 5, 150),
    labelSmoothing: fc.constantFrom(0, 0.1, 0.9),
    weighted: fc.boolean(),
    every: fc.constantFrom(1, 2, 100),
    reduction: fc.constantFrom('mean', 'sum'),
  });
  const check = fc.asyncProperty(cases, async ({ rows, classes, weighted, every, labelSmoothing, reduction }) => {
    const logits = wave(rows, classes);
    const labels = Array.from({ length: rows }, (_, r) =>
      r % every === every - 1 && every > 1 ? -100 : (5 * r) % classes,
    );
    const weight = weighted ? Array.from({ length: classes }, (_, c) => 0.05 + ((3 * c) % 7)) : undefined;
    const options = { labelSmoothing, weight, reduction } as const;
    const actual = await found(logits, labels, options);
    const expected = reference(logits, labels, options);
    expect(Math.abs(actual.loss - expected.loss)).toBeLessThan(2e-6 * Math.max(1, expected.loss));
    expected.gradient.forEach((value, i) =>
      expect(Math.abs(actual.gradient[i]! - value)).toBeLessThan(2e-6 * Math.max(1, Math.abs(value))),
    );
  });
  await fc.assert(check, { numRuns: 12, seed: 3 });
});

it('is 0 with a gradient of 0 where no row is labelled', async () => {
  const { loss, gradient } = await found(wave(2, 3), [-100, -1], { labelSmoothing: 0.1, weight: [1, 2, 3] });
  expect([loss, ...gradient].every((value) => value === 0)).toBe(true);
});

it('refuses weights of another number of classes', async () => {
  await expect(found(wave(2, 3), [0, 1], { weight: [1, 2] })).rejects.toThrow(/2 weights for 3 classes/);
});
