/** Protects: figures are medians of interleaved runs without warm-up, fits and rooflines are what they say, creations are counted. */
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { assertClose, relativeError } from '../../bench/measure/closeness.ts';
import { countCreations } from '../../bench/measure/creations.ts';
import { fitPower } from '../../bench/measure/fit.ts';
import { rooflineSeconds } from '../../bench/measure/roofline.ts';
import * as reference from '../../bench/measure/reference.ts';
import { interleave, CandidateError, rate, summarise } from '../../bench/measure/sample.ts';

describe('samples', () => {
  it('are a median and half the interquartile range', () => {
    expect(summarise([5, 1, 2, 4, 3])).toEqual({ median: 3, spread: 1 / 3, repeats: 5 });
    expect(summarise([7])).toEqual({ median: 7, spread: 0, repeats: 1 });
    expect(rate(12, summarise([2, 3, 4])).median).toBe(4);
  });

  it('come from candidates that are interleaved, the first changing, warm-up left out', async () => {
    const calls: string[] = [];
    const candidate = (name: string, seconds: number) => ({
      name,
      time: (runs: number) => {
        calls.push(`${name}${runs}`);
        // The first run is slow, as one that compiles is.
        return Promise.resolve(calls.filter((c) => c.startsWith(name)).length === 1 ? 100 : seconds * runs);
      },
    });
    const timing = { repeats: 3, minSeconds: 0.25, maxSeconds: 60 };
    const samples = await interleave([candidate('a', 0.5), candidate('b', 0.1)], timing);
    expect(calls).toEqual(['a1', 'a1', 'b1', 'b1', 'a1', 'b3', 'b3', 'a1', 'a1', 'b3']);
    expect(samples.get('a')).toEqual({ median: 0.5, spread: 0, repeats: 3 });
    expect(samples.get('b')?.median).toBeCloseTo(0.1);
  });

  it('are fewer where all together take long, but enough for quartiles', async () => {
    const slow = { name: 'slow', time: (runs: number) => Promise.resolve(runs * 2) };
    const repeatsIn = async (maxSeconds: number) =>
      (await interleave([slow], { repeats: 9, minSeconds: 1, maxSeconds })).get('slow')!.repeats;
    expect([await repeatsIn(100), await repeatsIn(14), await repeatsIn(2)]).toEqual([9, 7, 5]);
  });

  it('leave out a candidate that cannot go on, and no other', async () => {
    let left = 4;
    const failing = {
      name: 'failing',
      time: () => (left-- > 0 ? Promise.resolve(1) : Promise.reject(new CandidateError('gone'))),
    };
    const steady = { name: 'steady', time: () => Promise.resolve(1) };
    const timing = { repeats: 5, minSeconds: 1, maxSeconds: 60 };
    const samples = await interleave([failing, steady], timing);
    expect([...samples.keys()]).toEqual(['steady']);
    expect(samples.get('steady')!.repeats).toBe(5);
    const broken = { name: 'broken', time: () => Promise.reject(new Error('a mistake')) };
    await expect(interleave([broken, steady], timing)).rejects.toThrow('a mistake');
  });
});

describe('power fits', () => {
  it('find the exponent of a power law', () => {
    const exponent = fc.double({ min: -2, max: 3, noNaN: true });
    fc.assert(
      fc.property(exponent, fc.double({ min: 0.01, max: 100, noNaN: true }), (e, a) => {
        const fit = fitPower([1, 2, 4, 8].map((n) => [n, a * n ** e] as const));
        expect(fit.exponent).toBeCloseTo(e, 6);
        expect(fit.factor / a).toBeCloseTo(1, 6);
      }),
    );
  });

  it('say how well the points lie on a line', () => {
    const { exponent, rSquared } = fitPower(
      [1, 2, 4, 8].map((n, i) => [n, n * (i % 2 === 0 ? 1.1 : 1 / 1.1)] as const),
    );
    expect(exponent).toBeGreaterThan(0.9);
    expect(rSquared).toBeGreaterThan(0.95);
    expect(rSquared).toBeLessThan(1);
  });

  it('refuse what has no logarithm, and a single size', () => {
    expect(() =>
      fitPower([
        [1, 0],
        [2, 1],
      ]),
    ).toThrow('above 0');
    expect(() =>
      fitPower([
        [2, 1],
        [2, 3],
      ]),
    ).toThrow('two sizes');
  });
});

it('rooflines take the larger of arithmetic and traffic, kernel by kernel', () => {
  const rates = { flops: 100, bytes: 10 };
  expect(rooflineSeconds([{ flops: 200, bytes: 10 }], rates)).toBe(2);
  expect(rooflineSeconds([{ flops: 0, bytes: 30 }], rates)).toBe(3);
  // Not the larger of the sums: kernels run one after the other.
  expect(
    rooflineSeconds(
      [
        { flops: 200, bytes: 0 },
        { flops: 0, bytes: 30 },
      ],
      rates,
    ),
  ).toBe(5);
});

describe('equality before timing', () => {
  it('is relative to the largest magnitude', () => {
    expect(relativeError([1, 2], [1, 2])).toBe(0);
    expect(relativeError([0.1, 10], [0, 10])).toBeCloseTo(0.01);
  });

  it('fails for wrong, missing and broken results, naming them', () => {
    expect(() => assertClose('peer, op', [1, 2.1], [1, 2], 1e-3)).toThrow(/peer, op.*it was not timed/);
    expect(() => assertClose('peer', [], [1], 1e-3)).toThrow('another length');
    expect(() => assertClose('peer', [NaN], [1], 1e-3)).toThrow('no numbers');
    expect(() => assertClose('peer', [], [], 1e-3)).toThrow('another length');
  });
});

describe('references', () => {
  it('normalise and attend', () => {
    expect([...reference.layerNorm([1, 3], [1, 1], [0, 1], 2, 0)]).toEqual([-1, 2]);
    const attended = reference.attention([0, 0], [5, 6], [1, 3], { seq: 2, heads: 1, headDim: 1 });
    expect([...attended]).toEqual([2, 2]);
  });

  it('differentiate along a direction', () => {
    const square = (x: Float64Array): Float64Array => x.map((v) => v * v);
    expect(reference.directional(square, [3, 4], [1, 2], [1, 10])).toBeCloseTo(2 * 3 * 1 + 10 * 2 * 4 * 2, 6);
  });
});

it('creations are counted by whoever makes them, and the device is left as it was', () => {
  class Device {
    label = 'made';
    createBuffer(): string {
      return this.label;
    }
    createBindGroup(): void {}
    createComputePipeline(): void {}
    createComputePipelineAsync(): void {}
    createShaderModule(): void {}
  }
  const device = new Device() as unknown as GPUDevice;
  const { created, stop } = countCreations(device);
  expect(device.createBuffer({ size: 4, usage: 0 })).toBe('made');
  device.createShaderModule({ code: '' });
  void device.createComputePipelineAsync({ layout: 'auto', compute: {} as GPUProgrammableStage });
  expect(created).toEqual({ buffers: 1, 'bind groups': 0, pipelines: 2 });
  stop();
  device.createBuffer({ size: 4, usage: 0 });
  expect(created.buffers).toBe(1);
});
