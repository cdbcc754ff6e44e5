/** Protects: losses that go astray are warned about once, and what is not finite is named. */
import { describe, expect, it } from 'vitest';
import { assertFinite, LossWatch, NonFiniteError } from '../../train/finite.ts';
import { heardWarnings } from '../warnings.ts';

const said = heardWarnings();

/** Warnings on losses that are read in pieces. */
function warnings(...pieces: readonly (readonly number[])[]): readonly string[] {
  const watch = new LossWatch();
  let step = 1;
  for (const piece of pieces) {
    watch.see(piece, step);
    step += piece.length;
  }
  return said;
}

describe('a loss', () => {
  it('that is large is warned about once', () => {
    expect(warnings([1, 2], [20_000, 30_000], [40_000])).toEqual([
      expect.stringMatching(/^the loss is 2\.000e\+4 at step 3, more than 10000; a lower `lr`/),
    ]);
  });
  it('that grows a hundredfold', () => {
    expect(warnings([0.7, 0.5], [30], [70])).toEqual([
      expect.stringMatching(/at step 4, over 100 times its least, 0\.500/),
    ]);
  });
  it('that jumps after it was nearly 0', () => {
    expect(warnings([0.7, 1e-4], [0.6], [0.8])).toEqual([expect.stringMatching(/at step 4/)]);
  });
  it.each([[[0.7, 0.1, 1e-5, 0.01, 0.5]], [[9000, 100, 9000]], [[0.001, 0.02, 0.05]]])('not %j', (losses) => {
    expect(warnings(losses)).toEqual([]);
  });
});

it.each([NaN, Infinity, -Infinity])('%d is named', (bad) => {
  expect(() => assertFinite([1, bad], 'example 3: a score')).toThrow(NonFiniteError);
  expect(() => assertFinite([1, bad], 'example 3: a score')).toThrow(`example 3: a score came out as ${bad}`);
  expect(() => assertFinite([1, 3e38], 'example 3: a score')).not.toThrow();
});
