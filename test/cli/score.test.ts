/** Protects: `score` gives a benchmark's average from what `eval --json` printed, names what is missing, and refuses other files. */
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { run } from './command.ts';

let dir: string;
beforeAll(async () => {
  dir = await mkdtemp(join(tmpdir(), 'score-'));
});
afterAll(() => rm(dir, { recursive: true }));

/** As `eval --json` prints them. */
async function results(all: Readonly<Record<string, object>>): Promise<string[]> {
  const files = Object.keys(all).map((task) => join(dir, `${task.replace('/', '-')}.json`));
  await Promise.all(
    Object.entries(all).map(([task, figures], i) =>
      writeFile(files[i]!, JSON.stringify({ task, ...figures, loss: 0.5, examples: 4, warnings: [] })),
    ),
  );
  return files;
}

const SUPERGLUE = {
  'superglue/boolq': { accuracy: 0.774, f1: 0.1 },
  'superglue/cb': { accuracy: 0.836, f1Macro: 0.757 },
  'superglue/copa': { accuracy: 0.706 },
  'superglue/multirc': { f1a: 0.7, exactMatch: 0.241, accuracy: 0.9 },
  'superglue/record': { f1: 0.72, exactMatch: 0.713 },
  'superglue/rte': { accuracy: 0.717 },
  'superglue/wic': { accuracy: 0.696 },
  'superglue/wsc': { accuracy: 0.644 },
  'superglue/axb': { matthews: 0.23 },
};

it('is the mean over the tasks, each of its own figures', async () => {
  const text = await run(0, 'score', ...(await results(SUPERGLUE)));
  expect(text).toContain('SuperGLUE: 69.01, the mean over 8 tasks');
  expect(text).toMatch(/cb +Accuracy 83\.60 %, Macro F1 75\.70 % +79\.65/);
  expect(text).toMatch(/axb +Matthews 0\.2300 +–/);
  expect(text).not.toContain('F1 10.00');
});

it('says what is missing, and leaves out what is asked for', async () => {
  const { 'superglue/wsc': _, ...some } = SUPERGLUE;
  const files = await results({ ...some, 'glue/cola': { matthews: 0.6 } });
  const text = await run(0, 'score', ...files);
  expect(text).toContain('SuperGLUE: no average, missing wsc');
  expect(text).toContain('GLUE: no average, missing sst2, mrpc, ');
  expect(await run(0, 'score', ...files, '--without', 'WSC')).toContain(', the mean over 7 tasks');
  const json = JSON.parse(await run(0, 'score', ...files, '--json')) as Record<string, { readonly missing: string[] }>;
  expect(json.superglue).toMatchObject({ missing: ['wsc'], tasks: { copa: 0.706 } });
});

it('refuses files of other tasks, of a task twice, and without its figures', async () => {
  const [cb] = await results({ 'superglue/cb': SUPERGLUE['superglue/cb'] });
  expect(await run(2, 'score', cb!, cb!)).toContain('is of superglue/cb, as ');
  const [spam, rte] = await results({ spam: { accuracy: 1 }, 'superglue/rte': { f1: 1 } });
  expect(await run(2, 'score', spam!)).toContain('is of spam, expected a task of GLUE or SuperGLUE');
  expect(await run(2, 'score', rte!)).toContain('no figure "accuracy", expected what eval --json prints for this task');
  await writeFile(join(dir, 'other.json'), '{"accuracy":1}');
  expect(await run(2, 'score', join(dir, 'other.json'))).toContain('expected a task, as eval --json names it');
  expect(await run(2, 'score', cb!, '--without', 'wnil')).toContain(
    '--without: found "wnil", expected some of superglue/',
  );
});
