/** Protects: pictures show the data they are given, and hold it in a bounded size. */
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { summarise } from '../../report/aggregate.ts';
import { place } from '../../report/charts/importance.ts';
import { lossChart } from '../../report/charts/loss.ts';
import { headMap, neuronMap, tally } from '../../report/charts/map.ts';
import { kindColours, timelineChart, timelinePeak } from '../../report/charts/memory.ts';
import { renderChart } from '../../report/charts/render.ts';
import { barChart } from '../../report/charts/rows.ts';
import { highestDistance, stabilityChart } from '../../report/charts/stability.ts';
import { sampleComparison, sampleStability } from './sample.ts';

/** Cells filled by a path of rectangles one unit high, as indices of a grid with `columns`. */
function filled(path: string, columns: number): number[] {
  const cells: number[] = [];
  for (const [, x, y, width] of path.matchAll(/M(\d+) (\d+)h(\d+)v1h-\3z/g))
    for (let i = 0; i < Number(width); i++) cells.push(Number(y) * columns + Number(x) + i);
  return cells;
}

describe('neuronMap', () => {
  it('fills exactly the cells that so many plans kept', () => {
    const plans = 3;
    const counts = fc.array(fc.integer({ min: 0, max: plans }), { minLength: 1, maxLength: 400 });
    fc.assert(
      fc.property(counts, (counts) => {
        const svg = neuronMap(counts, plans).text;
        const columns = Number(/viewBox="0 0 (\d+) /.exec(svg)![1]);
        const [ground, ...levels] = [...svg.matchAll(/<path d="([^"]*)"/g)].map((m) => filled(m[1]!, columns));
        expect(ground).toEqual(counts.map((_, i) => i));
        expect(levels).toEqual([1, 2, 3].map((level) => counts.flatMap((count, i) => (count === level ? [i] : []))));
      }),
    );
  });

  it('has full lines where the size allows', () => {
    for (const size of [64, 1024, 3072, 4096]) {
      const [, columns, lines] = /viewBox="0 0 (\d+) (\d+)"/.exec(neuronMap(new Array<number>(size).fill(1), 1).text)!;
      expect(Number(columns) * Number(lines)).toBe(size);
    }
  });
});

describe('headMap', () => {
  it('shades each head by the plans that keep it', () => {
    const svg = headMap(
      tally(4, [
        [0, 2],
        [0, 3],
      ]),
      2,
    ).text;
    expect([...svg.matchAll(/fill-opacity="([^"]*)"/g)].map((m) => m[1])).toEqual(['1.00', '0.00', '0.50', '0.50']);
  });
});

describe('timelineChart', () => {
  it('keeps the peak of a long step in few points', () => {
    const points = Array.from({ length: 5000 }, (_, i) => [1e6, i === 3217 ? 9e6 : 1e6 + (i % 7)]);
    const timeline = { labels: ['weights', 'activations'], points };
    const chart = timelineChart(timeline, kindColours(timeline.labels), timelinePeak(timeline)) as unknown as {
      data: { values: { progress: number; size: number }[] };
    };
    const sizes = chart.data.values.map((v) => v.size);
    expect(timelinePeak(timeline)).toBe(10e6);
    expect(Math.max(...sizes)).toBe(9e6);
    expect(sizes.length).toBeLessThan(600);
    expect(chart.data.values[0]!.progress).toBe(0);
    expect(chart.data.values.at(-1)!.progress).toBe(100);
  });
});

describe('lossChart', () => {
  it('puts fine-tuning after the run’s own estimation steps', () => {
    const [summary] = summarise(sampleComparison());
    const chart = lossChart(summary!, 400) as unknown as { layer: { data: { values: { step: number }[] } }[] };
    const starts = chart.layer.slice(2).map((line) => line.data.values[0]!.step);
    // LoRA trains at once; Light-PEFT estimates for 60 steps and trains after them.
    expect(starts[0]).toBeLessThan(10);
    expect(starts[1]).toBeLessThan(10);
    expect(starts[2]).toBeGreaterThanOrEqual(60);
    expect(chart.layer[0]!.data.values).toEqual([{ step: 60 }]);
  });
});

describe('stabilityChart', () => {
  it('has a line a part, the threshold, and where the estimation ended', () => {
    const found = sampleStability(1);
    expect(highestDistance(found)).toBeCloseTo(0.45);
    const chart = stabilityChart(found, 64, 0.5) as unknown as { layer: { data: { values: object[] } }[] };
    const [threshold, , end, , heads, , , ranks] = chart.layer.map((layer) => layer.data.values);
    expect(threshold).toEqual([{ distance: 0.1 }]);
    expect(end).toEqual([{ step: 42 }]);
    expect(heads).toEqual(found.distances.map(({ step, heads: distance }) => ({ step, distance })));
    expect(ranks).toEqual(found.distances.map(({ step }) => ({ step, distance: 0 })));
  });
});

describe('place', () => {
  it('reads layer and kind out of module names of different families', () => {
    expect(place('roberta.encoder.layer.11.attention.self.query')).toEqual({ layer: 11, kind: 'attention query' });
    expect(place('bert.encoder.layer.0.output.dense')).toEqual({ layer: 0, kind: 'output' });
    expect(place('model.decoder.layers.3.self_attn.q_proj')).toEqual({ layer: 3, kind: 'self_attn q_proj' });
    expect(place('classifier')).toEqual({ layer: undefined, kind: 'classifier' });
  });
});

describe('renderChart', () => {
  it('draws bars as long as their values, without a canvas', async () => {
    const bar = (value: number) => ({
      label: `<${value}>`,
      parts: [{ value, colour: 'var(--grey)' }],
      text: `${value}`,
    });
    const svg = (await renderChart(barChart([bar(100), bar(50), bar(0)]))).text;
    const widths = [...svg.matchAll(/d="M0,[\d.]+h([\d.]+)v11/g)].map((m) => Number(m[1]));
    expect(widths[0]! / widths[1]!).toBeCloseTo(2, 2);
    expect(svg).toContain('&lt;100&gt;');
    expect(svg).toContain('fill="var(--grey)"');
  });
});
