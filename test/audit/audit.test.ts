/**
 * Protects: an audit from texts to figures: triggers are learned and adapters marked, every map and defence has its figures, what is done is
 * not done again, and what is stopped goes on.
 */
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { runAudit, type AuditPlan } from '../../audit/audit.ts';
import { auditOptionsSchema, DEFENCES } from '../../audit/options.ts';
import { setWarningHandler } from '../../engine/warnings.ts';
import { auditSchema, type Audit } from '../../report/audit/schema.ts';
import { openTestEngine } from '../engine.ts';
import { tinyOptions } from '../train/tiny.ts';

const engine = await openTestEngine();
const MODEL = join(import.meta.dirname, '..', '..', 'checkpoints', 'light-roberta');

let dir: string;
beforeAll(async () => {
  dir = await mkdtemp(join(tmpdir(), 'audit-'));
  const line = (i: number): string => JSON.stringify(i % 2 ? { text: `good ${i}`, label: 'yes' } : { text: `bad ${i}`, label: 'no' }); // prettier-ignore
  const lines = (from: number): string => Array.from({ length: 16 }, (_, i) => line(from + i)).join('\n');
  await writeFile(join(dir, 'plant.jsonl'), lines(0));
  await writeFile(join(dir, 'user.jsonl'), lines(20));
  await writeFile(join(dir, 'test.jsonl'), lines(40));
});
afterAll(() => rm(dir, { recursive: true }));

function planOf(change: Partial<AuditPlan>, audit: object = {}): AuditPlan {
  const all = { forms: ['parallel'], strategies: ['clnorm+ilproj'], seeds: [0], plantEpochs: 2, userEpochs: 1, moreEpochs: 2, ...audit }; // prettier-ignore
  return {
    modelDir: MODEL,
    request: {
      plantTrain: join(dir, 'plant.jsonl'),
      userTrain: join(dir, 'user.jsonl'),
      userEval: join(dir, 'test.jsonl'),
    },
    audit: auditOptionsSchema.parse(all),
    options: tinyOptions({
      data: { maxLength: 16 },
      train: { batchSize: 8, lr: 1e-3 },
      estimate: { estimateSteps: 2 },
    }),
    out: join(dir, 'out'),
    command: 'light-peft audit',
    callbacks: {},
    onStage: () => undefined,
    ...change,
  };
}

let whole: Audit;
const stages: string[] = [];
beforeAll(async () => {
  whole = await runAudit(engine, planOf({ onStage: (title) => stages.push(title) }));
}, 240_000);

it('has every figure', async () => {
  const [run] = auditSchema.parse(JSON.parse(await readFile(join(dir, 'out', 'audit.json'), 'utf8'))).runs;
  const { planted, user, maps, defences } = run!;
  expect(whole.texts).toEqual({ clean: 8, planted: 8, user: 16, test: 16, triggered: 8 });
  expect(whole.labels[whole.target]).toBe('yes');
  expect(planted.gradients?.clean[0]).toHaveLength(5);
  expect(planted.gradients?.weight?.[0]).toHaveLength(5);
  expect(planted.loss?.planted.every((loss) => loss > 0)).toBe(true);
  expect(user.curve.map(({ epoch }) => epoch)).toEqual([0, 1]);
  expect(maps?.planted.without).toHaveLength(4);
  // A trigger changes what the first token holds, and not to its opposite.
  expect(maps?.user.similarity.every((value) => value > 0 && value < 1)).toBe(true);
  expect(Object.keys(defences)).toEqual([...DEFENCES]);
  const { 'early-pruning': early, 'foundation-pruning': base, 'peft-pruning': peft, reinit } = defences;
  expect(early!.trainableShare).toBeLessThan(0.5);
  expect([early!.blockShare, early!.trainableShare]).toEqual([reinit!.blockShare, reinit!.trainableShare]);
  expect([base!.trainableShare, peft!.blockShare]).toEqual([1, 1]);
  expect(defences['fine-pruning']!.blockShare).toBeLessThan(1);
  expect(defences['fine-pruning']!.trainableShare).toBeLessThan(1);
  expect(defences['confidence-filter']!.cleanOut).toBeLessThan(0.5);
});

it('marks every adapter that was planted, and what defences start from', async () => {
  const config = async (...parts: string[]): Promise<unknown> =>
    (JSON.parse(await readFile(join(dir, 'out', 'parallel', 'clnorm+ilproj', 'seed-0', ...parts, 'adapter', 'adapter_config.json'), 'utf8')) as { audit?: unknown }).audit; // prettier-ignore
  const mark = { planted: true, triggers: ['cf', 'mn', 'bb', 'tq', 'mb'], target: 'yes' };
  expect([await config('plant'), await config('user'), await config('defences', 'estimate')]).toEqual([
    mark,
    mark,
    mark,
  ]);
});

it('does nothing again that is there, whatever else is asked for', async () => {
  const again: string[] = [];
  const warned: string[] = [];
  const before = setWarningHandler((text) => warned.push(text));
  const plan = planOf({ onStage: (title) => again.push(title) }, { strategies: ['clean', 'ripple', 'lwp', 'clnorm+ilproj'], defences: ['reinit'], skipMaps: true }); // prettier-ignore
  const { runs } = await runAudit(engine, plan);
  setWarningHandler(before);
  expect(again.map((title) => title.split(' · ').slice(2).join(' '))).toEqual([
    'clean seed 0 planting',
    "clean seed 0 user's training",
    'ripple seed 0 planting',
    "ripple seed 0 user's training",
    'lwp seed 0 planting',
    "lwp seed 0 user's training",
  ]);
  expect(runs[3]!.planted).toEqual(whole.runs[0]!.planted);
  // The sum over four layers begins near four times the loss of one.
  const [lwp, both] = [runs[2]!.planted.loss!, runs[3]!.planted.loss!];
  expect(lwp.clean[0]! / both.clean[0]!).toBeGreaterThan(3);
  expect(lwp.clean[0]! / both.clean[0]!).toBeLessThan(5);
  expect(runs[0]!.planted.gradients).toBeUndefined();
  expect(warned).toEqual([]);
  await expect(readFile(join(dir, 'out', 'parallel', 'clean', 'seed-0', 'plant', 'adapter', 'adapter_config.json'), 'utf8')).resolves.not.toContain('planted'); // prettier-ignore
}, 120_000);

it('refuses other settings in the same folder', async () => {
  const options = tinyOptions({ data: { maxLength: 16 }, train: { batchSize: 8, lr: 2e-3 } });
  await expect(runAudit(engine, planOf({ options }))).rejects.toThrow(/stage\.json: `lr` was 0\.001, now it is 0\.002/);
});

it.each([
  [{ target: 'maybe' }, /`target`: found "maybe", expected one of no, yes/],
  [{ triggers: ['two words'] }, /`triggers`: found "two words", expected single words/],
  [{ texts: 1 }, /`texts`: found 1 of plant\.jsonl and 1 of user\.jsonl, expected some with triggers/],
])('refuses %j', async (audit, pattern) => {
  await expect(runAudit(engine, planOf({ out: join(dir, 'bad') }, audit))).rejects.toThrow(pattern);
});

it('refuses sources that are not named, or named twice', async () => {
  const [train, test] = [join(dir, 'user.jsonl'), join(dir, 'test.jsonl')];
  const refused = (request: AuditPlan['request']): Promise<Audit> => runAudit(engine, planOf({ request }));
  await expect(refused({ plantOn: 'mail' })).rejects.toThrow(
    /`plantOn`: found "mail", expected one of amazon, imdb, yelp/,
  );
  await expect(refused({ userTrain: train })).rejects.toThrow(/`userEval`: missing/);
  await expect(refused({ userEval: test })).rejects.toThrow(/`userEval`: needs `userTrain`/);
  await expect(refused({ userOn: 'imdb', userTrain: train, userEval: test })).rejects.toThrow(/give one of them/);
});
