/** Protects: the page is whole and harmless, has all runs without a script, and its script filters by the same front. */
import { createHash } from 'node:crypto';
import { runInNewContext } from 'node:vm';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { sectionsOf } from '../../../report/compare/groups.ts';
import { comparePage } from '../../../report/compare/page.ts';
import { configurationText } from '../../../report/compare/plot.ts';
import { scaleOf } from '../../../report/compare/scale.ts';
import { FRONT_SCRIPT } from '../../../report/compare/script.ts';
import type { RowFacts } from '../../../report/compare/tables.ts';
import { paretoFront, type Point } from '../../../report/sweep/pareto.ts';
import { checkNesting } from '../nesting.ts';
import { sampleRow, sampleRows } from './sample.ts';

const pageOf = (rows: Parameters<typeof comparePage>[0]['rows'], leftOut: string[] = []): string =>
  comparePage({ rows, leftOut, command: 'light-peft compare out/run' });

interface PageData {
  readonly configurations: readonly RowFacts[];
  readonly runs: readonly RowFacts[];
}

function dataOf(page: string): PageData {
  return JSON.parse(/<script type="application\/json" id="data">([^<]*)<\/script>/.exec(page)![1]!) as PageData;
}

function countOf(page: string, pattern: RegExp): number {
  return page.match(pattern)?.length ?? 0;
}

describe('comparePage', () => {
  const rows = sampleRows();
  const page = pageOf(rows, ['3 trials that failed']);

  it('is well formed, and nothing runs or is fetched but its own script', () => {
    checkNesting(page);
    const [, script] = /<script>([^]*?)<\/script>/.exec(page)!;
    const hash = createHash('sha256').update(script!).digest('base64');
    expect(page).toContain(`img-src data:; script-src 'sha256-${hash}'"`);
    expect(countOf(page, /<script/g)).toBe(2);
    expect(page).not.toMatch(/https?:|url\(|@import|\son\w+=|NaN|undefined|Infinity|\[object/);
  });

  it('says what it is of', () => {
    expect(page.replaceAll(/\s+/g, ' ')).toContain('24 runs of 2 methods on 2 tasks: 8 configurations');
    expect(page).toContain('Radeon 780M, llvmpipe (software) · 2026-11-29');
    expect(page).toContain('3 trials that failed');
  });

  it('has every run and mean as a mark and as a row, without a script', () => {
    // Memory of both adapters on one picture, times and fine-tuning on one each.
    expect(countOf(page, /<figure data-axis="trainPeakBytes"/g)).toBe(2);
    expect(countOf(page, /<figure data-axis="totalSeconds"/g)).toBe(4);
    expect(countOf(page, /<path class="run"/g)).toBe(3 * 24);
    expect(countOf(page, /<g class="mean/g)).toBe(3 * 8);
    expect(countOf(page, /<tr>/g)).toBe(24 + 8 + 2);
    expect(page).toMatch(/<form id="controls" hidden>/);
  });

  it('has data for each row of its tables in the same order', () => {
    const { runs, configurations } = dataOf(page);
    expect(runs).toHaveLength(24);
    expect(configurations).toHaveLength(8);
    expect(runs[5]).toMatchObject({ kind: 'run', task: 'glue/cola', method: 'lora/light-peft' });
    const heads = /<section id="runs">[^]*?<thead>([^]*?)<\/thead>/.exec(page)![1]!;
    expect(new Set(runs.map(({ values }) => values.length))).toEqual(new Set([countOf(heads, /<th /g)]));
  });

  it('shows texts of others as texts', () => {
    const evil = `</script><script>alert(1)</script>"'&`;
    const hostile = pageOf([sampleRow({ task: evil, label: evil, method: evil, adapter: evil, model: evil })]);
    checkNesting(hostile);
    expect(countOf(hostile, /<script/g)).toBe(2);
    expect(dataOf(hostile).runs[0]!.task).toBe(evil);
  });

  it('is there for one run that has a score alone, and small for many', () => {
    const one = pageOf([sampleRow({ trainPeakBytes: null, trainSeconds: null, adapter: null, date: null })]);
    checkNesting(one);
    expect(one).toContain('date not known');
    const many = pageOf(Array.from({ length: 5000 }, (_, seed) => sampleRow({ seed, value: Math.sin(seed) })));
    expect(many.length).toBeLessThan(2_000_000);
    expect(many).toContain('The first 1,000 of 5,000 runs');
    expect(many).toContain('Of the runs 400 are drawn');
  });
});

describe('sectionsOf', () => {
  it('averages runs that differ in the seed alone', () => {
    const [section] = sectionsOf([
      sampleRow({ seed: 0, value: 0.4 }),
      sampleRow({ seed: 1, value: 0.6 }),
      sampleRow({ seed: 0, value: 0.9, options: '{"lora-r":16}' }),
      sampleRow({ seed: 0, value: 0.8, lr: 0.01 }),
      sampleRow({ seed: 0, value: 0.7, adapter: 'llvmpipe' }),
      sampleRow({ seed: 0, value: 0.3, steps: 1200 }),
    ]);
    expect(section!.configurations.map(({ score }) => score.mean)).toEqual([0.5, 0.9, 0.8, 0.7, 0.3]);
    expect(configurationText(section!.configurations[4]!.first)).toMatch(/, lr 0\.001, 1200 steps$/);
    expect(section!.configurations[0]!.score.deviation).toBeCloseTo(Math.SQRT2 / 10);
  });

  it('compares within a task, base, split and score, and times within an adapter', () => {
    const rows = [sampleRow(), sampleRow({ base: 'sha256:ff' }), sampleRow({ split: 'selection' }), sampleRow({ adapter: 'x' })]; // prettier-ignore
    const sections = sectionsOf([...rows, sampleRow({ task: 'spam' })]);
    expect(sections.map(({ title }) => title)).toEqual([
      'glue/cola, base 01234567, on the evaluation split',
      'glue/cola, base ff, on the evaluation split',
      'glue/cola, base 01234567, on the selection split',
      'spam',
    ]);
    expect(sections[0]!.panels.map(({ axis, adapter }) => [axis.key, adapter])).toEqual([
      ['trainPeakBytes', undefined],
      ['trainSeconds', 'Radeon 780M'],
      ['trainSeconds', 'x'],
    ]);
  });
});

/** Whether a point is at least as good on both figures and better on one; less x is better. */
function dominates(a: Point, b: Point, isUp: boolean): boolean {
  const [better, asGood] = isUp ? [a.y > b.y, a.y >= b.y] : [a.y < b.y, a.y <= b.y];
  return a.x <= b.x && asGood && (a.x < b.x || better);
}

const coordinate = fc.oneof(fc.integer({ min: 0, max: 5 }), fc.double({ noNaN: true, min: -1e6, max: 1e6 }));
const points = fc.array(fc.record({ x: coordinate, y: coordinate }), { maxLength: 30 });

describe('the Pareto front', () => {
  it('has all points that no other dominates, and no others', () => {
    fc.assert(
      fc.property(points, fc.boolean(), (all, isUp) => {
        const front = new Set(paretoFront(all, 'minimize', isUp ? 'maximize' : 'minimize'));
        for (const point of all) expect(front.has(point)).toBe(!all.some((other) => dominates(other, point, isUp)));
      }),
    );
  });

  it('is the same to the page’s script, whose y points down', () => {
    const frontOf = runInNewContext(`${FRONT_SCRIPT}; frontOf`) as (points: readonly Point[], isUp: boolean) => Point[];
    const places = (all: readonly Point[]): string[] => [...new Set(all.map(({ x, y }) => `${x} ${y + 0}`))];
    fc.assert(
      fc.property(points, fc.boolean(), (all, isUp) => {
        const expected = paretoFront(all, 'minimize', isUp ? 'maximize' : 'minimize');
        const found = frontOf(all.map(({ x, y }) => ({ x, y: -y })), isUp); // prettier-ignore
        expect(places(found.map(({ x, y }) => ({ x, y: -y })))).toEqual(places(expected));
      }),
    );
  });
});

it('scaleOf has all values and some round ticks within its pixels', () => {
  const value = fc.double({ noNaN: true, min: -1e12, max: 1e12 });
  fc.assert(
    fc.property(fc.array(value, { minLength: 1, maxLength: 20 }), (values) => {
      const { at, ticks } = scaleOf(values, [10, 400], 5);
      for (const one of [...values, ...ticks]) {
        expect(at(one)).toBeGreaterThanOrEqual(10 - 1e-6);
        expect(at(one)).toBeLessThanOrEqual(400 + 1e-6);
      }
      expect(ticks.length).toBeLessThanOrEqual(6);
    }),
  );
});
