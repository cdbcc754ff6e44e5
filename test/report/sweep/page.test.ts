/** Protects: a sweep's page says what its trials say, and is whole, harmless and small for full, empty, huge and hostile sweeps. */
import { beforeAll, describe, expect, it, vi } from 'vitest';
import type { SweepData } from '../../../report/sweep/schema.ts';
import { sweepPage } from '../../../report/sweep/page.ts';
import { checkNesting } from '../nesting.ts';
import { CPU, randomSweep, sampleFile, sampleSweep, trial } from './sample.ts';

const NO_LINKS = new Map<string, string>();
/** Nothing on the page makes a browser fetch or run anything; links lead only to where they were told to. */
function checkSelfContained(page: string, links: ReadonlyMap<string, string> = NO_LINKS): void {
  const addresses = [...page.matchAll(/\s(?:src|href|xlink:href|srcset|data|action)="([^"]*)"/g)].map((m) => m[1]!);
  const known = new Set(links.values());
  expect(addresses.filter((a) => !a.startsWith('#') && a !== 'data:,' && !known.has(a))).toEqual([]);
  const rest = page.replaceAll(/xmlns(:xlink)?="[^"]*"/g, '');
  expect(rest.match(/https?:|url\(|@import|<script|<iframe|\son\w+=/gi)).toBeNull();
}

function check(page: string, links: ReadonlyMap<string, string> = NO_LINKS): void {
  checkNesting(page);
  checkSelfContained(page, links);
  expect(page.match(/NaN|undefined|Infinity|\[object/g)).toBeNull();
}

/** The texts of a table's rows, by its caption's beginning; the first row are the heads. */
function rowsOf(page: string, caption: RegExp): string[][] {
  const tables = [...page.matchAll(/<table>([^]*?)<\/table>/g)].map(([, inside]) => inside!);
  const found = tables.find((inside) => caption.test(/<caption>([^]*?)<\/caption>/.exec(inside)![1]!));
  return [...found!.matchAll(/<tr>([^]*?)<\/tr>/g)].map(([, row]) =>
    [...row!.matchAll(/<t[hd][^>]*>([^]*?)<\/t[hd]>/g)].map(([, cell]) => cell!.replaceAll(/<[^>]*>/g, '').trim()),
  );
}

describe('sweepPage', () => {
  const links = new Map([['t0-1-0', 'trials/t0-1-0/report.html']]);
  let full: string;
  const warnings = vi.spyOn(console, 'warn');
  beforeAll(async () => {
    full = await sweepPage(sampleSweep(), links);
  });

  it('is well formed and fetches nothing', () => {
    check(full, links);
    expect(full.includes('<a href="trials/t0-1-0/report.html"')).toBe(true);
    expect(warnings).not.toHaveBeenCalled();
  });

  it('says how many trials came to what', () => {
    expect(full.includes('40 done, 1 stopped early, 1 failed, 1 not finished yet')).toBe(true);
  });

  it('keeps adapters apart', () => {
    const sections = [...full.matchAll(/<section id="adapter-\d+">([^]*?)<\/section>/g)].map(([, inside]) => inside!);
    expect(sections.map((inside) => /<h2>(.*?)<\/h2>/.exec(inside)![1])).toEqual([
      'Configurations on llvmpipe (software)',
      'Configurations on Radeon 780M',
    ]);
    const speeds = sections.map((inside) => Number(rowsOf(inside, /configurations/)[1]![6]!.replace(',', '')));
    expect(speeds[0]).toBeLessThan(10_000);
    expect(speeds[1]).toBeGreaterThan(25_000);
  });

  it('ranks configurations by their means, and counts the seeds that are missing', () => {
    const [head, ...rows] = rowsOf(full, /configurations/);
    expect(head!.slice(0, 6)).toEqual(['#', 'methods', 'heads-ratio', 'lr', 'accuracy%', 'seeds']);
    expect(rows.map(([place]) => place)).toEqual(['1', '2', '3', '4', '5', '6', '7']);
    expect(rows[0]!.slice(1, 4)).toEqual(['lora', '–', '0.001']);
    const means = rows.map((row) => Number(row[4]!.split(' ')[0]));
    expect(means).toEqual([...means].sort((a, b) => b - a));
    expect(rows.find((row) => row[1] === 'light-peft' && row[2] === '0.25')![5]).toBe('2, 1 failed');
  });

  it('draws every picture, with words for those who cannot see it', () => {
    const charts = [...full.matchAll(/role="img" aria-label="([^"]*)"/g)].map((m) => m[1]!);
    // Of each adapter: one option of numbers that differs, five costs; all trials once.
    expect(charts).toHaveLength(2 * (1 + 5) + 1);
    expect(charts.filter((label) => label.length > 20)).toHaveLength(charts.length);
    expect(charts[0]).toMatch(/^Accuracy by heads-ratio: light-peft 0.25: 8\d.\d%.*; lora 8\d.\d%$/);
    expect(charts[1]).toMatch(/^Accuracy against training speed, tokens.s; on the front: 1 \(85/);
  });

  it('shows chosen trials on the other split, seeds together', () => {
    const rows = rowsOf(full, /^\s*<span>Chosen trials/);
    expect(rows).toHaveLength(3);
    expect(rows[1]!.slice(0, 5)).toEqual(['t1-1-0 t1-1-1 t1-1-2', 'Radeon 780M', 'light-peft', '0.5', '0.001']);
    expect(rows[1]!.slice(6)).toEqual(['82.0 ± 1.0', '0.4000 ± 0.0000']);
  });

  it('shows failures with what they said, escaped', () => {
    expect(full.includes('no memory for &#60;b&#62;&#34;x&#34;&#60;/b&#62; &#38; more\n  at step 3')).toBe(true);
  });

  it('escapes names, values of options and ids', async () => {
    const bad = '<img src=x onerror="alert(1)">';
    const data: SweepData = {
      sweep: sampleFile({ name: bad, axes: ['methods', bad], model: bad }),
      trials: [1, 2].map((x) => trial(`${bad}${x}`, { methods: `${bad}${x}`, [bad]: x }, { metrics: { accuracy: x / 3, [bad]: 1 }, device: { ...CPU, adapter: bad } })), // prettier-ignore
      decisions: [],
    };
    const page = await sweepPage(data, NO_LINKS);
    checkNesting(page);
    expect(page).not.toContain('<img');
  });

  it('works before any trial has come to its end', async () => {
    const page = await sweepPage({ sweep: sampleFile(), trials: [], decisions: [] }, NO_LINKS);
    check(page);
    expect(page.includes('No trial has come to its end yet.')).toBe(true);
    expect(page.includes('0 done, 40 not finished yet')).toBe(true);
  });

  it('works where all trials failed', async () => {
    const trials = [trial('a', { lr: 1 }, { state: 'failed', device: null, error: null, metrics: {} })];
    const page = await sweepPage({ sweep: sampleFile({ axes: ['lr'], trials: 1 }), trials, decisions: [] }, NO_LINKS);
    check(page);
    expect(page.includes('nothing said')).toBe(true);
  });

  it('chooses nothing where no metric was named', async () => {
    const { metric: _, ...sweep } = sampleFile();
    const page = await sweepPage({ ...sampleSweep(), sweep }, NO_LINKS);
    check(page);
    expect(page.includes('nothing is chosen')).toBe(true);
    expect(page).not.toContain('class="headline"');
    expect(rowsOf(page, /configurations/).map((row) => row[1])).toEqual(
      ['methods', 'light-peft', 'light-peft', 'light-peft', 'random', 'random', 'random', 'lora'], // prettier-ignore
    );
  });

  it('ranks by speed on each adapter alone', async () => {
    const sweep = sampleFile({ metric: 'trainTokensPerSecond' });
    const page = await sweepPage({ ...sampleSweep(), sweep }, NO_LINKS);
    check(page);
    expect(page).not.toContain('class="headline"');
    expect(page).toMatch(/<h3>Options and training speed, llvmpipe/);
    expect(page).toMatch(/<h3>Options and training speed, Radeon/);
  });

  it('shows the lower the better where that is so', async () => {
    const sweep = sampleFile({ metric: 'loss', direction: 'minimize' });
    const page = await sweepPage({ ...sampleSweep(), sweep }, NO_LINKS);
    check(page);
    expect(page.includes('the lower the better')).toBe(true);
    const losses = rowsOf(page, /configurations/).slice(1).map((row) => Number(row[4]!.split(' ')[0])); // prettier-ignore
    expect(losses.filter((loss) => loss > 0)).toHaveLength(7);
    expect(losses).toEqual([...losses].sort((a, b) => a - b));
  });

  it('shows what the scheduler decided', async () => {
    const page = await sweepPage(randomSweep(60), NO_LINKS);
    check(page);
    expect(rowsOf(page, /By rung/).slice(1).map((row) => row.slice(0, 4))).toEqual([
      ['0', '20', '16', '4'],
      ['1', '80', '4', '1'],
      ['2', '320', '1', '0'],
    ]); // prettier-ignore
    expect(page.includes('1 of 16 go on from their last rung')).toBe(true);
    expect(page.includes('ASHA: from step 20 on')).toBe(true);
  });

  it('stays quick and small with 10,000 trials', async () => {
    const data = randomSweep(10_000);
    const begin = performance.now();
    const page = await sweepPage(data, NO_LINKS);
    expect(performance.now() - begin).toBeLessThan(10_000);
    expect(page.length).toBeLessThan(5_000_000);
    check(page);
    expect(page.includes('The first 500 of 10,000 trials')).toBe(true);
    expect(page.includes('Drawn: the best 300 of 9,985 trials')).toBe(true);
  });
});
