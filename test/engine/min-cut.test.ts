/** Protects: minimum cuts, against trying every set of vertices. */
import fc from 'fast-check';
import { expect, it } from 'vitest';
import { minCut, type FlowNetwork } from '../../engine/compile/min-cut.ts';

function separates({ edges, sources, sinks }: FlowNetwork, cut: ReadonlySet<number>): boolean {
  const seen = new Set(sources.filter((v) => !cut.has(v)));
  for (const v of seen) for (const [from, to] of edges) if (from === v && !cut.has(to)) seen.add(to);
  return sinks.every((v) => !seen.has(v));
}

it('is as cheap as the best of all separating sets', () => {
  const size = 7;
  const vertex = fc.nat(size - 1);
  const network = fc.record({
    costs: fc.array(fc.integer({ min: 1, max: 9 }), { minLength: size, maxLength: size }),
    // Upwards only: graphs of computations have no cycles.
    edges: fc.array(fc.tuple(vertex, vertex), { maxLength: 14 }).map((pairs) => pairs.filter(([a, b]) => a < b)),
    sources: fc.uniqueArray(vertex, { maxLength: 3 }),
    sinks: fc.uniqueArray(vertex, { maxLength: 3 }),
  });
  fc.assert(
    fc.property(network, (net) => {
      const price = (cut: readonly number[]): number => cut.reduce((sum, v) => sum + net.costs[v]!, 0);
      const subsets = Array.from({ length: 1 << size }, (_, bits) =>
        net.costs.flatMap((_c, v) => ((bits >> v) & 1 ? [v] : [])),
      );
      const best = Math.min(...subsets.filter((cut) => separates(net, new Set(cut))).map(price));
      const found = minCut(net);
      expect(separates(net, new Set(found))).toBe(true);
      expect(price(found)).toBe(best);
    }),
    { numRuns: 200 },
  );
});

it('of equally cheap cuts takes the one nearest the sinks', () => {
  const chain = {
    costs: [2, 1, 3, 1],
    edges: [
      [0, 1],
      [1, 2],
      [2, 3],
    ] as const,
    sources: [0],
    sinks: [3],
  };
  expect(minCut(chain)).toEqual([3]);
});

it('refuses what cannot be cut', () => {
  expect(() => minCut({ costs: [Infinity], edges: [], sources: [0], sinks: [0] })).toThrow('cannot be cut');
});
