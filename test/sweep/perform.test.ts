/** Protects: a machine that has another base, other data or other code than the sweep does none of its trials, and says what differs. */
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { Facts, Job } from '../../sweep/job.ts';
import { perform, RefusedError, StoppedError, TrialError } from '../../sweep/perform.ts';
import { hashOf, sourcesHash } from '../../sweep/sources.ts';

let storage: string;
beforeAll(async () => {
  storage = await mkdtemp(join(tmpdir(), 'light-peft-perform-'));
});
afterAll(() => rm(storage, { recursive: true, force: true }));

const hash = (digit: string): string => `sha256:${digit.repeat(64)}`;
const facts: Facts = { base: hash('1'), data: { trainContent: hash('2') }, sources: hash('3') };
const job = (more: Partial<Job> = {}): Job => ({
  ...{ version: 1, sweep: '0'.repeat(12), folder: 'sweep', kind: 'trial', id: 'a'.repeat(12), retries: 0, facts },
  command: 'prune',
  config: { model: 'base', estimate: 'estimate' },
  ...more,
});
const signal = new AbortController().signal;

const performing = (own: Facts, more: Partial<Job> = {}) =>
  perform(job(more), { storage, factsOf: () => Promise.resolve(own) }, { signal });

describe('a machine that differs', () => {
  it.each<[string, Partial<Facts>, RegExp]>([
    ['base', { base: hash('9') }, /the base base of this machine is sha256:9{12}, that of the sweep sha256:1{12}/],
    [
      'data',
      { data: { trainContent: hash('9') } },
      /data \(trainContent\) of this machine is sha256:9{12}, .* sha256:2{12}/,
    ],
    ['data', { data: {} }, /data \(trainContent\) of this machine is missing/],
    ['code', { sources: hash('9') }, /hash of the sources of this machine is sha256:9{12}, .* sha256:3{12}/],
  ])('in its %s refuses', async (_, own, message) => {
    await expect(performing({ ...facts, ...own })).rejects.toThrow(RefusedError);
    await expect(performing({ ...facts, ...own })).rejects.toThrow(message);
  });
});

it('fails for good by options that are wrong, with the command’s own words', async () => {
  const failed = await performing(facts).catch((error: unknown) => error);
  expect(failed).toBeInstanceOf(TrialError);
  expect((failed as TrialError).isFinal).toBe(true);
  expect((failed as TrialError).message).toContain('base');
  expect(await readFile(join(storage, 'sweep', 'trials', 'a'.repeat(12), 'log.txt'), 'utf8')).toContain('light-peft: ');
});

it('does nothing of a trial that has ended', async () => {
  const outcome = { state: 'done', metrics: { accuracy: 1 }, seconds: 3, device: null } as const;
  const folder = join(storage, 'sweep', 'trials', 'a'.repeat(12));
  await writeFile(join(folder, 'trial.json'), JSON.stringify({ format: 'light-peft/trial', version: 1, ...outcome }));
  expect(await performing(facts)).toEqual(outcome);
});

it('is stopped before it begins where the signal came first', async () => {
  const stopped = perform(
    job({ id: 'b'.repeat(12) }),
    { storage, factsOf: () => Promise.resolve(facts) },
    { signal: AbortSignal.abort() },
  );
  await expect(stopped).rejects.toThrow(StoppedError);
});

describe('the hash of the sources', () => {
  it('is that of the checkout, another for audits', async () => {
    const root = join(import.meta.dirname, '..', '..');
    expect(await sourcesHash('train')).toBe(await hashOf(root, 'run'));
    expect(await sourcesHash('audit')).not.toBe(await sourcesHash('run'));
  });
});
