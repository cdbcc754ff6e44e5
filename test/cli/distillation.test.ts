/**
 * Protects: `run` and `train` with a teacher, whichever it is — who is run first, what is recorded and charged, what tells runs apart and what
 * does not — and what is said of teachers that do not fit.
 */
import { cp, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { exists } from '../../engine/io/files.ts';
import { readRun, type Run } from '../../report/schema.ts';
import { readTrainRecord } from '../../train/result-file.ts';
import { MODEL, tinyExamples } from '../train/tiny.ts';
import { run } from './command.ts';

let dir: string;
let data: string;
let teacher: string;

const light = (...args: string[]): Promise<string> => run(0, ...args);
const fails = (...args: string[]): Promise<string> => run(2, ...args);

const SHORT = ['--batch-size', '8', '--max-length', '24', '--lora-r', '2', '--lr', '1e-2', '--dropout', '0'];
const RATIOS = ['--heads-ratio', '0.5', '--module-ratio', '0.5'];

const at = (name: string): string => join(dir, name);
const model = ['--model', MODEL];
const training = (): string[] => ['--train', data, ...SHORT, '--steps', '3'];
const comparison = (out: string, methods: string, ...more: string[]): string[] => {
  const own = ['run', ...model, '--methods', methods, '--out', at(out)];
  return [...own, ...training(), '--eval', data, ...RATIOS, '--estimate-steps', '2', ...more];
};

const runOf = (out: string, method: string): Promise<Run> => readRun(join(at(out), method, 'seed-0', 'run.json'));

async function identityOf(...path: string[]): Promise<Record<string, unknown>> {
  const text = await readFile(join(dir, ...path, 'identity.json'), 'utf8');
  return (JSON.parse(text) as { identity: Record<string, unknown> }).identity;
}

beforeAll(async () => {
  dir = await mkdtemp(join(tmpdir(), 'light-peft-'));
  data = at('data.jsonl');
  const rows = (await tinyExamples()).map(({ ids, label }) => JSON.stringify({ input_ids: [...ids], label }));
  await writeFile(data, rows.join('\n'));
  teacher = at('teacher');
  await light('train', ...model, ...training(), '--seed', '4', '--out', teacher);
});
afterAll(() => rm(dir, { recursive: true }));

describe('run', () => {
  it('by the reference: it is run first, and charged', async () => {
    const page = await light(...comparison('reference', 'light-peft', '--distill', 'reference'));
    expect(page).toMatch(/Light-PEFT learned from the scores of a teacher too.*nothing breaks even/s);
    const [reference, taught] = [await runOf('reference', 'lora'), await runOf('reference', 'light-peft')];
    expect(reference.distillation).toBeUndefined();
    expect(taught.distillation).toEqual({ teacher: 'reference', weight: 0.5, temperature: 2 });
    expect(taught.speed.teacherSeconds).toBe(reference.speed.trainSeconds);
    expect(taught.speed.distillSeconds).toBeGreaterThan(0);
    expect(taught.memory.trainPeakBytes).toBeGreaterThan(0);
    expect(await identityOf('reference', 'light-peft', 'seed-0')).toMatchObject({
      distill: 'reference',
      distillWeight: 0.5,
    });
    const plain = await identityOf('reference', 'lora', 'seed-0');
    for (const key of Object.keys(plain)) expect(key).not.toMatch(/distill/i);
  });

  it('goes on in the same folder, and not with another teacher', async () => {
    const finished = await runOf('reference', 'light-peft');
    await light(...comparison('reference', 'reference,light-peft', '--distill', 'reference'));
    expect(await runOf('reference', 'light-peft')).toEqual(finished);
    const other = ['--distill', 'reference', '--distill-weight', '0.9'];
    expect(await fails(...comparison('reference', 'light-peft', ...other))).toMatch(
      /--distill-weight was 0.5, now it is 0.9/,
    );
    expect(await fails(...comparison('reference', 'light-peft'))).toMatch(
      /--distill was reference, now it is undefined/,
    );
    expect(await light(...comparison('reference', 'reference'))).toMatch(/Comparison:/);
  });

  it('by the estimation, and by a folder: all pruned methods alike, those without pruning not at all', async () => {
    await light(
      ...comparison('estimate', 'reference,light-peft,random', '--distill', 'estimate', '--distill-weight', '1'),
    );
    for (const method of ['light-peft', 'random']) {
      const { distillation, speed } = await runOf('estimate', method);
      expect(distillation).toEqual({ teacher: 'estimate', weight: 1, temperature: 2 });
      expect(speed.distillSeconds).toBeGreaterThan(0);
      expect(speed.teacherSeconds).toBeUndefined();
    }
    expect((await runOf('estimate', 'lora')).distillation).toBeUndefined();
    await light(...comparison('folder', 'light-peft', '--distill', teacher, '--distill-temperature', '1'));
    const { distillation } = await runOf('folder', 'light-peft');
    expect(distillation).toEqual({ teacher: 'adapter', weight: 0.5, temperature: 1 });
    const identity = await identityOf('folder', 'light-peft', 'seed-0');
    expect(identity).toMatchObject({ distill: 'adapter', distillContent: expect.stringMatching(/^sha256:/) as string });
    // One estimation serves both, as none depends on the teacher.
    expect(await identityOf('folder', 'estimate', 'seed-0')).toEqual(
      await identityOf('estimate', 'estimate', 'seed-0'),
    );
    const curve = async (out: string): Promise<readonly number[]> =>
      (await runOf(out, 'light-peft')).curves.find(({ phase }) => phase === 'train')!.loss;
    expect(await curve('folder')).not.toEqual(await curve('estimate'));
  });
});

describe('a run that was stopped', () => {
  const evaluated = ['--eval-strategy', 'steps', '--eval-steps', '1', '--steps', '3'];
  const of = (out: string, folder: string, ...more: string[]): string[] =>
    comparison(out, 'light-peft', '--distill', folder, ...evaluated, ...more);

  it('goes on to the same losses, with no other teacher', async () => {
    const moved = at('moved');
    await cp(teacher, moved, { recursive: true });
    await run(75, ...of('stopped', moved, '--pause-after', '2'));
    const other = at('other');
    await light('train', ...model, ...training(), '--seed', '6', '--out', other);
    expect(await fails(...of('stopped', other))).toMatch(/the content of --distill is not what it was/);
    await light(...of('stopped', teacher));
    await light(...of('whole', teacher));
    const [stopped, whole] = [await runOf('stopped', 'light-peft'), await runOf('whole', 'light-peft')];
    expect(stopped.curves).toEqual(whole.curves);
    expect(stopped.metrics).toEqual(whole.metrics);
    expect(stopped.distillation).toEqual(whole.distillation);
  });
});

describe('train', () => {
  /** What is said to flags beside this teacher. */
  const refused = (...flags: string[]): Promise<string> =>
    fails('train', ...model, ...flags, '--distill', teacher, '--out', at('refused'));

  it('learns from an adapter, and is told from training without', async () => {
    await light('train', ...model, ...training(), '--out', at('plain'));
    await light('train', ...model, ...training(), '--distill', teacher, '--out', at('taught'));
    const [plain, taught] = await Promise.all(
      ['plain', 'taught'].map((name) => readTrainRecord(join(at(name), 'train.json'))),
    );
    expect(taught!.distillSeconds).toBeGreaterThan(0);
    expect(plain!.distillSeconds).toBeUndefined();
    expect(taught!.loss).not.toEqual(plain!.loss);
    const { distill, distillWeight, distillTemperature, distillContent, ...others } = await identityOf('taught');
    expect([distill, distillWeight, distillTemperature]).toEqual(['adapter', 0.5, 2]);
    expect(distillContent).toMatch(/^sha256:/);
    expect(others).toEqual(await identityOf('plain'));
  });

  it.each([
    [['--distill', 'reference'], /--distill: reference is a teacher of run, expected the folder of an adapter/],
    [
      ['--distill', 'no/such'],
      /--distill: found "no\/such", expected the folder of an adapter; run has reference and estimate too/,
    ],
    [['--distill-weight', '0.3'], /--distill-weight: found 0.3 without a teacher, expected --distill too/],
    [['--distill', 'x', '--distill-weight', '2'], /--distill-weight: found 2, expected a number above 0, at most 1/],
    [['--distill', 'x', '--distill-temperature', '0'], /--distill-temperature: found 0/],
  ])('refuses %j', async (flags, message) => {
    expect(await fails('train', ...model, ...training(), ...flags, '--out', at('refused'))).toMatch(message);
    expect(await exists(join(at('refused'), 'train.json'))).toBe(false);
  });

  it('refuses a teacher of other classes, and weights of classes beside one', async () => {
    const two = at('two.jsonl');
    const rows = (await tinyExamples()).map(({ ids, label }) =>
      JSON.stringify({ input_ids: [...ids], label: label % 2 }),
    );
    await writeFile(two, rows.join('\n'));
    expect(await refused('--train', two, ...SHORT, '--steps', '2')).toMatch(
      /--distill: found a teacher of the classes .*, expected /,
    );
    expect(await refused(...training(), '--class-weights', '1=2')).toMatch(
      /--distill and --class-weights: give one of them/,
    );
  });

  it('refuses other heads', async () => {
    const sets = at('sets.jsonl');
    const rows = (await tinyExamples()).map(({ ids }, i) => JSON.stringify({ input_ids: [...ids], label: [i % 2, 1] }));
    await writeFile(sets, rows.join('\n'));
    expect(await refused('--train', sets, ...SHORT, '--steps', '2')).toMatch(
      /--distill: found labels that are sets of classes, expected one class of several/,
    );
  });
});
