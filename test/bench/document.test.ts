/** Protects: figures of two adapters are never compared, a missed target is shown as missed, all three outputs show the same. */
import { expect, it } from 'vitest';
import {
  assertComparable,
  compareTables,
  makeDocument,
  reached,
  type BenchDocument,
  type Target,
} from '../../bench/report/document.ts';
import { formatCell } from '../../bench/report/format.ts';
import { benchPage } from '../../bench/report/page.ts';
import { parseRemarks } from '../../bench/report/remarks.ts';
import { markdownText, terminalText } from '../../bench/report/text.ts';

const TARGET: Target = { what: 'speed over tfjs', unit: 'ratio', relation: '≥', goal: 7, measured: 6.5 };

function sample(time: number): BenchDocument {
  return makeDocument({
    suite: 'kernels',
    title: 'kernels: <every> kernel',
    meta: {
      date: '2026-01-02T03:04:05Z',
      command: 'npm run bench -- kernels',
      adapter: 'GPU one',
      software: false,
      versions: { webgpu: '1' },
      quick: false,
      seconds: 12,
      load: [0, 1],
      peers: [{ label: 'PyTorch', version: null, note: 'no module' }],
    },
    tables: [
      {
        title: 'Products',
        caption: 'Alone.',
        columns: [
          { key: 'name', title: 'kernel', unit: 'text' },
          { key: 'time', title: 'time', unit: 'time' },
          { key: 'peer', title: 'peer', unit: 'time' },
        ],
        rows: [{ name: 'A·B | 4×4', time: { median: time, spread: 0.031, repeats: 9 }, peer: null }],
      },
    ],
    figures: [
      {
        kind: 'bars',
        title: 'Time',
        unit: 'time',
        bars: [{ label: 'ours', parts: { time }, own: true }],
      },
      {
        kind: 'lines',
        title: 'Growth',
        x: 'size',
        unit: 'time',
        log: true,
        series: [
          {
            label: 'measured',
            points: [
              [1, 1],
              [2, 3],
            ],
            dashed: false,
          },
          {
            label: 'expected',
            points: [
              [1, 1],
              [2, 2],
            ],
            dashed: true,
          },
        ],
      },
    ],
    targets: [TARGET],
    notes: ['A note.'],
  });
}

it.each([
  ['adapter', { adapter: 'GPU two' }],
  ['quick', { quick: true }],
] as const)('refuses to compare across another %s', (key, change) => {
  const now = sample(1);
  const before = { ...now, meta: { ...now.meta, ...change } };
  expect(() => assertComparable(now, before, 'old.json')).toThrow(new RegExp(`^old\\.json: ${key}: found`));
  expect(() => assertComparable(now, now, 'old.json')).not.toThrow();
});

it('refuses to compare another suite', () => {
  expect(() => assertComparable(sample(1), { ...sample(1), suite: 'step' }, 'old.json')).toThrow('same suite');
});

it('compares medians row by row', () => {
  const { rows } = compareTables(sample(1), sample(2));
  expect(rows).toEqual([{ what: 'Products: A·B | 4×4, time', before: 2, now: 1, ratio: 0.5 }]);
});

it('knows whether a target was reached', () => {
  const of = (relation: Target['relation'], measured: number | null) => reached({ ...TARGET, relation, measured });
  expect([of('≥', 7), of('≥', 6.9), of('≤', 7), of('<', 7), of('=', 7), of('≥', null)]).toEqual([
    true,
    false,
    true,
    false,
    true,
    undefined,
  ]);
});

it('shows figure and spread, a dash for what was not measured, and a missed target in every output', async () => {
  const document = sample(0.0123);
  expect(formatCell(document.tables[0]!.rows[0]!.time, 'time')).toBe('12.3 ms ±3%');
  const page = await benchPage(document);
  for (const text of [terminalText(document), markdownText([document]), page]) {
    expect(text).toContain('12.3 ms ±3%');
    expect(text).toMatch(/6\.50×[\s\S]*≥ 7\.00×[\s\S]*NO/);
    expect(text).toContain('GPU one');
    expect(text).toMatch(/PyTorch missing/);
  }
  for (const text of [markdownText([document]), page]) expect(text).toContain('npm run bench -- kernels');
  expect(page).toContain('&#60;every&#62;');
  expect(page.match(/<svg/g)!.length).toBeGreaterThanOrEqual(2);
  expect(page).not.toMatch(/<script|https?:\/\/(?!www\.w3\.org)/);
  expect(markdownText([document])).toContain('A·B \\| 4×4');
});

it('sums the targets up, and keeps hand-written remarks in their suite’s section', () => {
  const open: Target = { ...TARGET, what: 'speed over torch', measured: null };
  const document = { ...sample(1), targets: [TARGET, { ...TARGET, measured: 9 }, open] };
  const remarks = parseRemarks('For writers.\n\n## kernels\n\nThe *store* bounds it.\n\n## step\n', 'r.md', [
    'kernels',
    'step',
  ]);
  const text = markdownText([document], remarks);
  expect(text).toContain('1 of 3 targets are reached, 1 are missed, 1 could not be measured here.');
  expect(text).toMatch(/Missed:\n\n- kernels: speed over tfjs: 6\.50×, aimed at ≥ 7\.00×/);
  expect(text).toMatch(/Not measured:\n\n- kernels: speed over torch/);
  expect(text).toMatch(/## kernels: [\s\S]*### Remarks\n\nThe \*store\* bounds it\.\n\n### Products/);
  expect(text).not.toContain('For writers');
  expect(markdownText([document])).not.toContain('Remarks');
  expect(() => parseRemarks('## speed\n', 'r.md', ['kernels'])).toThrow(
    'r.md: found "## speed", expected one of kernels',
  );
});
