/** Room: cli. The configuration of a trial as this machine reads it: its options, and what base and data are here. */
import { readdir, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { stringify } from 'yaml';
import { UserError } from '../engine/errors.ts';
import { exists } from '../engine/io/files.ts';
import { fingerprintAdapter, fingerprintFiles } from '../engine/io/fingerprint.ts';
import type { RunOptions } from '../experiments/options.ts';
import { SETTINGS } from '../experiments/settings.ts';
import { teacherContent } from '../experiments/teacher.ts';
import { taskFacts } from '../experiments/task-data.ts';
import { inspectCheckpoint } from '../models/base-model.ts';
import { resolveModel } from '../models/hub/resolve.ts';
import type { TrialConfig } from '../report/sweep/schema.ts';
import type { Command, Resolved } from '../sweep/identity.ts';
import type { Facts } from '../sweep/job.ts';
import { pathsOf } from '../sweep/options.ts';
import type { Resolve } from '../sweep/plan.ts';
import { plainText } from '../sweep/spec.ts';
import { sourcesHash } from '../sweep/sources.ts';
import { contentKey } from '../train/identity.ts';
import { parseConfig, textsOf } from './config-file.ts';
import { readSettings } from './options.ts';
import { withTasks, type NamedFiles, type TaskFlags } from './task-flags.ts';

/** Keys of flags that several tasks repeat. */
const REPEATED = ['task', 'dataDir', 'train', 'eval'];

type Content = Readonly<Record<string, unknown>>;

/**
 * Reads configurations. What base and data are is found out once for each, and again when their files change.
 * @param where named in errors
 * @param sourcesOf the hash of the sources: once for a plan, anew for each job, whose process starts from what is on the disk then
 */
export function configurationReader(
  where: string,
  sourcesOf: (command: Command) => Promise<string> = sourcesHash,
): Resolve {
  const known = new Map<string, Promise<Omit<Facts, 'sources'>>>();
  return async (command, config): Promise<Resolved> => {
    const { content } = parseConfig(where, stringify(config));
    const settings = Object.fromEntries(Object.entries(content).filter(([key]) => SETTINGS.has(key)));
    const stage = command === 'estimate' ? command : undefined;
    const options = await readSettings({ config: { path: where, content: settings } }, stage);
    const flags = Object.fromEntries(Object.entries(content).filter(([key]) => !SETTINGS.has(key)));
    const key = JSON.stringify([command, flags, options.data, await stampOf(config)]);
    const facts = known.get(key) ?? factsOf(command, flags, options, where);
    known.set(key, facts);
    // A failure is told again, not kept.
    facts.catch(() => known.delete(key));
    return { options, facts: { ...(await facts), sources: await sourcesOf(command) } };
  };
}

/** Sizes and times of the files that a configuration names. */
async function stampOf(config: TrialConfig): Promise<string> {
  const stamps = await Promise.all(pathsOf(config).map(stampOfPath));
  return stamps.join(' ');
}

async function stampOfPath(path: string): Promise<string> {
  const found = await stat(path).catch(() => undefined);
  if (!found) return '';
  if (!found.isDirectory()) return `${found.size} ${found.mtimeMs}`;
  const names = await readdir(path);
  const files = await Promise.all(names.map((name) => stat(join(path, name)).catch(() => undefined)));
  return files.map((file) => `${file?.size} ${file?.mtimeMs}`).join(' ');
}

async function factsOf(
  command: Command,
  flags: Content,
  options: RunOptions,
  where: string,
): Promise<Omit<Facts, 'sources'>> {
  if (typeof flags.model !== 'string') throw new UserError(`${where}: option "model": missing, the base of the trials`);
  const revision = flags.revision === undefined ? undefined : plainText(flags.revision);
  const modelDir = await resolveModel(flags.model, { revision });
  const { fingerprint: base } = await inspectCheckpoint(modelDir);
  if (command === 'prune') return { base, data: await estimateFacts(plainText(flags.estimate)) };
  if (command === 'audit') return { base, data: await fileFacts(flags) };
  const { train, eval: test, ...named } = taskFlags(flags, where);
  const data = await withTasks(named, { train, eval: test }, options.data, (requests) =>
    taskFacts(requests, options.data, modelDir),
  );
  const { initAdapter } = flags;
  const start = initAdapter === undefined ? {} : { [contentKey('initAdapter')]: await fingerprintAdapter(plainText(initAdapter)) }; // prettier-ignore
  return { base, data: { ...data, ...start, ...(await teacherContent(options)) } };
}

/** Flags of data as a command line has them. */
function taskFlags(flags: Content, where: string): TaskFlags & NamedFiles {
  const entries = Object.entries(flags).map(([key, value]) => {
    const texts = textsOf(value, where);
    return [key, REPEATED.includes(key) ? texts : texts[0]] as const;
  });
  return Object.fromEntries(entries);
}

async function estimateFacts(folder: string): Promise<Facts['data']> {
  return { [contentKey('estimate')]: await fingerprintFiles([join(folder, 'records.json')]) };
}

/** Of the files that an audit is given. */
async function fileFacts(flags: Content): Promise<Facts['data']> {
  const files = Object.entries(flags).filter(
    ([key, path]) => /^(plant|user)(Train|Eval)$/.test(key) && typeof path === 'string',
  );
  const found: Record<string, string> = {};
  for (const [key, path] of files as [string, string][])
    if (await exists(path)) found[contentKey(key)] = await fingerprintFiles([path]);
  return found;
}
