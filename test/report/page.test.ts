/** Protects: the page is one self-contained, well-formed, readable document for full, partial and hostile data. */
import { readFile, mkdtemp, readdir, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest';
import { UserError } from '../../engine/errors.ts';
import { htmlPage } from '../../report/html/page.ts';
import { STYLE } from '../../report/html/style.ts';
import { parseComparison, type Comparison } from '../../report/schema.ts';
import { writeReport } from '../../report/write.ts';
import { checkNesting } from './nesting.ts';
import { sampleComparison, sampleStability, sampleContext } from './sample.ts';

/** Nothing on the page makes a browser fetch or run anything. */
function checkSelfContained(page: string): void {
  const addresses = [...page.matchAll(/\s(?:src|href|xlink:href|srcset|data|action)="([^"]*)"/g)].map((m) => m[1]!);
  expect(addresses.filter((a) => !a.startsWith('#') && a !== 'data:,')).toEqual([]);
  expect(page.replaceAll(/xmlns(:xlink)?="[^"]*"/g, '')).not.toMatch(/https?:|url\(|@import|<script|<iframe|\son\w+=/i);
}

const only = (comparison: Comparison, keep: (run: Comparison['runs'][number]) => boolean): Comparison => ({
  ...comparison,
  runs: comparison.runs.filter(keep),
});

describe('htmlPage', () => {
  let full: string;
  const warnings = vi.spyOn(console, 'warn');
  beforeAll(async () => {
    full = await htmlPage(sampleComparison());
  });
  afterAll(() => warnings.mockRestore());

  it('is well formed and fetches nothing', () => {
    checkNesting(full);
    checkSelfContained(full);
    expect(full).not.toMatch(/NaN|undefined|Infinity|\[object/);
    expect(warnings).not.toHaveBeenCalled();
  });

  it('has every picture of both tasks, each with words for those who cannot see it', () => {
    const charts = [...full.matchAll(/role="img" aria-label="([^"]*)"/g)].map((m) => m[1]!);
    expect(charts.filter((label) => label.length > 20)).toHaveLength(charts.length);
    for (const title of [
      'Scores',
      'Speed and memory',
      'Memory by kind',
      'Loss',
      'What was kept: heads and neurons',
      'Module importance',
      'Rank importance',
    ])
      expect(full.split(`<h3>${title}</h3>`)).toHaveLength(3);
    expect(full.match(/<caption>/g)).toHaveLength(4);
    // Per task: 2 scores, 6 costs, 3 of memory, 2 of loss, 6 kinds of modules, and layers with kept modules.
    expect(charts.length).toBeGreaterThanOrEqual(2 * (2 + 6 + 3 + 2 + 6 + 1));
    expect(full.match(/5 of 8/g)!.length).toBeGreaterThanOrEqual(6);
  });

  it('shows how the kept sets of each seed settled, where that chose the end of the estimation', async () => {
    const sample = sampleComparison();
    for (const run of sample.runs.filter((r) => r.method === 'light-peft')) run.stability = sampleStability(run.seed);
    const page = await htmlPage(parseComparison(sample, 'comparison.json'));
    checkNesting(page);
    expect(page.split('<h3>When what stays was stable</h3>')).toHaveLength(3);
    expect(page.match(/Seed 2: stable after 44 steps; last distances: heads 5%, neurons 4(?:\.0)?%/g)).toHaveLength(2);
    expect(page).toMatch(/ends when the latest 4 distances of each lie below 0\.1, at the latest after 64 steps/);
    expect(full).not.toContain('was stable');
    const [run] = sample.runs.filter((r) => r.stability);
    run!.stability!.steps = 65;
    expect(() => parseComparison(sample, 'c.json')).toThrow(/stability\.steps.*more steps than "maxSteps"/);
  });

  it('has the wall time with its ratio, and from where it breaks even, among the big numbers', async () => {
    const sample = only(
      sampleComparison(),
      (r) => r.task === 'spam' && r.seed === 1 && /^(lora|light-peft)$/.test(r.method),
    );
    const [lora, light] = sample.runs;
    Object.assign(lora!.speed, { trainTokensPerSecond: 4000, trainSeconds: 84, secondsPerStep: 0.2 });
    Object.assign(light!.speed, { trainTokensPerSecond: 8000, estimateSeconds: 42, pruneSeconds: 0, trainSeconds: 45 });
    lora!.curves = [{ phase: 'train', step: [299], loss: [1] }];
    light!.curves = [
      { phase: 'estimate', step: [59], loss: [1] },
      { phase: 'train', step: [239], loss: [1] },
    ];
    const page = await htmlPage(parseComparison(sample, 'f'));
    const [headline] = /<dl class="headline">[^]*?<\/dl>/.exec(page)!;
    expect(headline).toMatch(/wall time, estimation included<\/dt>\s*<dd class="figure">1\.04×/);
    // 3 s behind after 300 steps, and 0.1 s won with every step more.
    expect(headline).toContain('1 min 24 s → 1 min 27 s; break-even at 330 steps');
    expect(page).toContain('1 min 27 s · 1.04×');
    light!.speed.trainTokensPerSecond = 3000;
    expect(await htmlPage(parseComparison(sample, 'f'))).toContain('1 min 27 s; break-even never');
  });

  it('tells modules that were dropped from those that lost all their ranks, and counts ranks among the others', async () => {
    const sample = only(
      sampleComparison(),
      (r) => r.task === 'spam' && r.seed === 1 && /^(lora|light-peft)$/.test(r.method),
    );
    const ranks = (...kept: boolean[]) => kept.map((k) => ({ importance: k ? 2 : 1, kept: k }));
    const name = (kind: string): string => `roberta.encoder.layer.0.attention.self.${kind}`;
    const { modules } = sample.runs[1]!.plan!;
    modules.splice(
      0,
      modules.length,
      { name: name('query'), importance: 0.4, kept: false, ranks: ranks(false, false) },
      { name: name('key'), importance: 0.3, kept: true, ranks: ranks(true, false) },
      { name: name('value'), importance: 0.1, kept: false, ranks: ranks(false, false) },
    );
    const told = await htmlPage(parseComparison(sample, 'f'));
    for (const word of ['all ranks cut', 'dropped', 'kept']) expect(told).toContain(`</svg>${word}</li>`);
    expect(told).toContain('Of 3 modules 1 kept, 1 lost to the cut of ranks, which left them none, 1 dropped');
    expect(told).toContain('layer 0 0.400 all ranks cut');
    expect(told).toContain('layer 0 0.100 dropped');
    expect(told).toContain('1 of these 4 ranks kept (25%)');
    expect(told).toContain('square-root scale');
    // What a run says itself goes before what follows from the importances.
    modules[2]!.lostBy = 'ranks';
    expect(await htmlPage(parseComparison(sample, 'f'))).toContain('1 of these 6 ranks kept (17%)');
  });

  it('gives every anchor one target and no id twice', () => {
    const ids = [...full.matchAll(/\sid="([^"]*)"/g)].map((m) => m[1]!);
    expect(new Set(ids).size).toBe(ids.length);
    for (const [, target] of full.matchAll(/href="#([^"]*)"/g)) expect(ids).toContain(target);
  });

  it('says how to make it again', () => {
    expect(full).toContain('npx light-peft run --model models/base --task sentiment');
    expect(full).toContain('llvmpipe (LLVM 19.1.7, 256 bits), Mesa 25.0.7 (software)');
    expect(full).toContain('sha256:5a3c9e0f7b21');
    expect(full).toContain('webgpu 0.6.2');
  });

  it('escapes text wherever it comes from', async () => {
    const evil = `"><script>alert(1)</script>'&amp;<b onload=x>`;
    const sample = sampleComparison();
    const { meta } = sample;
    Object.assign(meta, { command: evil, adapter: evil, model: evil, fingerprint: evil, versions: { [evil]: evil } });
    sample.tasks[0]!.name = evil;
    sample.tasks[0]!.baseline!.name = evil;
    for (const run of sample.runs) {
      if (run.task === 'sentiment') run.task = evil;
      run.label = evil;
      run.memory.byKind = { [evil]: 5 };
      run.timeline!.labels = run.timeline!.labels.map((label) => label + evil);
      for (const module of run.plan?.modules ?? []) module.name += evil;
    }
    const page = await htmlPage(parseComparison(sample, 'f'));
    checkNesting(page);
    expect(page).not.toContain('<script');
    expect(page).not.toContain('<b ');
  });

  it("shows what the model's folder says of it, as text", async () => {
    const sample = sampleComparison();
    sample.meta.context = { ...sampleContext(), note: 'small & <b>', title: 'On a pretrained model' };
    const page = await htmlPage(parseComparison(sample, 'f'));
    checkNesting(page);
    expect(page).not.toContain('<b>');
    expect(page.includes('<p>small &#38; &#60;b&#62;</p>')).toBe(true);
    expect(page).toContain('<td>85.8 ± 0.1 (5)</td>');
  });

  it('names the options that bear on speed and memory', async () => {
    const sample = sampleComparison();
    sample.tasks[0]!.options = { activations: 'f16', 'gradient-checkpointing': true };
    const page = await htmlPage(parseComparison(sample, 'f'));
    expect(page).toContain('sentiment: activations f16, gradient-checkpointing true');
  });

  it.each<[string, (c: Comparison) => Comparison]>([
    ['one run without pruning', (c) => only(c, (r) => r.task === 'spam' && r.method === 'lora' && r.seed === 1)],
    ['Light-PEFT alone', (c) => only(c, (r) => r.task === 'spam' && r.method === 'light-peft')],
    ['one seed of two methods', (c) => only(c, (r) => r.seed === 1 && /^(lora|light-peft)$/.test(r.method))],
    [
      'no curves, timelines, kinds, plans or baseline',
      (c) => {
        for (const task of c.tasks) delete task.baseline;
        for (const run of c.runs) {
          delete run.timeline;
          delete run.plan;
          run.curves = [];
          run.memory.byKind = {};
        }
        return c;
      },
    ],
    [
      'plans without modules or with all of them dropped',
      (c) => {
        for (const run of c.runs.filter((r) => r.plan)) {
          if (run.task === 'spam') run.plan!.modules = [];
          else for (const module of run.plan!.modules) Object.assign(module, { kept: false, importance: 0 });
        }
        return c;
      },
    ],
  ])('is sound with %s', async (_, reduce) => {
    const page = await htmlPage(parseComparison(reduce(sampleComparison()), 'f'));
    checkNesting(page);
    checkSelfContained(page);
    expect(page).not.toMatch(/NaN|undefined|Infinity|\[object/);
    expect(page).toContain('<table');
    expect(warnings).not.toHaveBeenCalled();
  });
});

describe('style', () => {
  /** WCAG contrast of two `#rrggbb` colours. */
  const contrast = (a: string, b: string): number => {
    const light = [a, b].map((hex) => {
      const [r, g, blue] = [1, 3, 5].map((i) => {
        const c = parseInt(hex.slice(i, i + 2), 16) / 255;
        return c <= 0.04045 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4;
      });
      return 0.2126 * r! + 0.7152 * g! + 0.0722 * blue! + 0.05;
    });
    return Math.max(...light) / Math.min(...light);
  };

  it('is readable in light and dark: text at 4.5, large shapes at 1.5 to 1', () => {
    const schemes = [...STYLE.matchAll(/:root \{([^}]*)\}/g)].map(
      (m) => new Map([...m[1]!.matchAll(/--([\w-]+): (#\w{6})/g)].map((v) => [v[1]!, v[2]!])),
    );
    expect(schemes).toHaveLength(2);
    for (const scheme of schemes) {
      const against = (name: string, ground: string): number => contrast(scheme.get(name)!, scheme.get(ground)!);
      for (const ground of ['paper', 'wash'])
        for (const text of ['ink', 'muted', 'accent']) expect(against(text, ground)).toBeGreaterThan(4.5);
      const kinds = [1, 2, 3, 4, 5, 6].map((i) => `kind-${i}`);
      for (const shape of ['grey', 'cut', 'accent-soft', ...kinds])
        expect(against(shape, 'paper')).toBeGreaterThan(1.5);
      for (const kind of kinds)
        for (const other of kinds.filter((k) => k !== kind)) expect(against(kind, other)).toBeGreaterThan(1.4);
      kinds.slice(1).forEach((kind, i) => expect(against(kind, kinds[i]!), 'neighbours').toBeGreaterThan(2));
      expect(against('cut', 'grey')).toBeGreaterThan(1.4);
    }
  });

  it('declares every colour that pictures use', async () => {
    const used = new Set([...(await htmlPage(sampleComparison())).matchAll(/var\(--([\w-]+)\)/g)].map((m) => m[1]!));
    expect(used.size).toBeGreaterThan(8);
    for (const name of used) expect(STYLE).toContain(`--${name}: `);
  });
});

describe('writeReport', () => {
  let dir: string;
  beforeAll(async () => {
    dir = await mkdtemp(join(tmpdir(), 'report-'));
  });
  afterAll(() => rm(dir, { recursive: true }));

  it('refuses a folder without a comparison, and a broken one, writing nothing', async () => {
    await expect(writeReport(dir)).rejects.toThrow(UserError);
    await writeFile(join(dir, 'comparison.json'), '{"format": "light-peft/comparison", "vers');
    await expect(writeReport(dir)).rejects.toThrow(/comparison\.json: not valid JSON/);
    expect(await readdir(dir)).toEqual(['comparison.json']);
  });

  it('writes the page beside its data', async () => {
    await writeFile(join(dir, 'comparison.json'), JSON.stringify(sampleComparison()));
    const path = await writeReport(dir);
    expect(path).toBe(join(dir, 'report.html'));
    expect(await readFile(path, 'utf8')).toBe(await htmlPage(sampleComparison()));
    expect((await readdir(dir)).sort()).toEqual(['comparison.json', 'report.html']);
  });
});
