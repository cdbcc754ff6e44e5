/**
 * Room: sweep. Which options a trial may have: settings, and the flags that name a model and data. Those that write elsewhere, take the
 * place of a result or load what a person has not named are none: a job from a queue cannot carry them.
 */
import { isAbsolute, normalize } from 'node:path';
import { auditOptionsSchema } from '../audit/options.ts';
import { UserError } from '../engine/errors.ts';
import { preview } from '../engine/io/files.ts';
import { didYouMean } from '../engine/nearest.ts';
import { flagName, SETTINGS } from '../experiments/settings.ts';
import type { SweepFile, TrialConfig } from '../report/sweep/schema.ts';

type Command = SweepFile['command'];

const HUB = ['revision', 'dataset', 'dataset-config', 'dataset-split'];
const DATA = ['model', 'task', 'data-dir', 'train', 'eval', 'format', ...HUB];
const AUDIT_FILES = ['plant-train', 'plant-eval', 'user-train', 'user-eval'];

/** Flags of each command that are no settings. */
const OTHERS: Readonly<Record<Command, readonly string[]>> = {
  run: [...DATA, 'methods'],
  train: [...DATA, 'init-adapter'],
  estimate: [...DATA, 'init-adapter'],
  prune: ['model', 'revision', 'estimate', 'random'],
  audit: [
    'model',
    'revision',
    'plant-on',
    'user-on',
    ...AUDIT_FILES,
    ...Object.keys(auditOptionsSchema.shape).map(flagName),
  ],
};

/** Options whose values name files or folders, some as NAME=PATH. */
const PATHS = ['model', 'data-dir', 'train', 'eval', 'init-adapter', 'estimate', 'distill', ...AUDIT_FILES];

/** @param where named in the error @throws UserError for an option that a trial may not have, with the nearest that it may */
export function assertOptions(command: Command, config: TrialConfig, where: string): void {
  const settings = [...SETTINGS.keys()].map(flagName);
  const known = [...settings, ...settings.map((key) => `no-${key}`), ...OTHERS[command]];
  const unknown = Object.keys(config).find((key) => !known.includes(key));
  if (unknown === undefined) return;
  const near = didYouMean(unknown, known, (name) => `"${name}"`);
  throw new UserError(`${where}: option "${unknown}": not one that a trial of ${command} may have${near}`);
}

/** Files and folders that a configuration names. */
export function pathsOf(config: TrialConfig): string[] {
  return PATHS.flatMap((key) => [config[key]].flat()).flatMap((value) => {
    if (value === undefined || value === null) return [];
    if (typeof value === 'object' && !Array.isArray(value)) return Object.values(value).map(String);
    const text = typeof value === 'string' ? value : JSON.stringify(value);
    return text.replace(/^[\w.-]+=(?=.)/, '');
  });
}

/** @throws UserError for a path that leads out of the folder that all machines share, or is no file */
export function assertWithin(config: TrialConfig, where: string): void {
  for (const path of pathsOf(config)) assertInside(path, where);
}

/** @throws UserError unless the path, as it is written, stays below the folder that it is relative to */
export function assertInside(path: string, where: string): void {
  const isOut =
    path === '' ||
    path === '-' ||
    path.includes('\0') ||
    isAbsolute(path) ||
    /^[a-z]:/i.test(path) ||
    /^\.\.(\/|\\|$)/.test(normalize(path));
  if (isOut)
    throw new UserError(`${where}: found the path ${preview(path)}, expected one within the storage, relative to it`);
}
