/**
 * Room: sweep. What tells trials apart: everything that can change a number, and nothing else. Options that a trial does not read are left out
 * of it, so that PEFT without pruning is one trial, whatever the ratios of the others.
 */
import { createHash } from 'node:crypto';
import { estimationOptions, tellingOptions, type RunOptions } from '../experiments/options.ts';
import { needsEstimate, prunes, METHODS, type MethodName } from '../experiments/runner.ts';
import { camelCase, SETTINGS } from '../experiments/settings.ts';
import type { SweepFile, TrialConfig } from '../report/sweep/schema.ts';
import { factsOf } from '../train/identity.ts';
import type { Facts } from './job.ts';

export type Command = SweepFile['command'];

/** A configuration as a machine has read it. */
export interface Resolved {
  /** Of all commands but `prune` and `audit`, whose options are their configuration. */
  readonly options: RunOptions;
  readonly facts: Facts;
}

/** 12 hexadecimal digits of the hash of some facts, whatever their order. */
export function idOf(facts: Readonly<Record<string, unknown>>): string {
  return createHash('sha256').update(canonical(facts)).digest('hex').slice(0, 12);
}

function canonical(value: unknown): string {
  if (typeof value !== 'object' || value === null || Array.isArray(value)) return JSON.stringify(value);
  const entries = Object.entries(value as Record<string, unknown>).filter(([, found]) => found !== undefined);
  return `{${entries
    .sort(([a], [b]) => (a < b ? -1 : 1))
    .map(([key, found]) => `${JSON.stringify(key)}:${canonical(found)}`)
    .join(',')}}`;
}

/** The method of a trial of `run`. */
export function methodOf({ methods }: TrialConfig): MethodName | undefined {
  return METHODS.find((name) => name === methods);
}

/** Settings of a trial of `run` that its method does not read, by names of the rooms. */
function unread(method: MethodName, options: RunOptions): ReadonlySet<string> {
  const of = (room: 'decide' | 'slice' | 'estimate' | 'distill'): string[] =>
    [...SETTINGS.values()].flatMap((setting) => (setting.room === room ? [setting.name] : []));
  if (needsEstimate(method, options) && !prunes(method)) return new Set(of('distill'));
  const ofPruning = [...of('decide'), ...of('slice'), ...of('estimate'), ...of('distill')];
  if (!prunes(method)) return new Set(ofPruning.filter(isNotBudget));
  if (method === 'foundation-only') return new Set(['modules', 'ranks', 'ranksScope']);
  return new Set(method === 'peft-only' ? ['heads', 'neurons', 'neuronsScope'] : []);
}

/** Steps of the estimation are given to methods without one. */
function isNotBudget(name: string): boolean {
  return name !== 'estimateSteps' && name !== 'estimateUntil';
}

/** The configuration without options that its trial does not read. */
export function readOptions(command: Command, config: TrialConfig, options: RunOptions): TrialConfig {
  const method = methodOf(config);
  if (command !== 'run' || method === undefined) return config;
  const left = unread(method, options);
  const isRead = (flag: string): boolean => !left.has(SETTINGS.get(camelCase(flag))?.name ?? flag);
  return Object.fromEntries(Object.entries(config).filter(([flag]) => isRead(flag)));
}

/** @param config as `readOptions` leaves it */
export function trialId(command: Command, config: TrialConfig, { options, facts }: Resolved): string {
  if (command === 'prune' || command === 'audit') return idOf({ command, config, ...facts });
  const method = methodOf(config);
  const left = command === 'run' && method ? unread(method, options) : new Set<string>();
  const telling = Object.entries(tellingOptions(options)).filter(([name]) => !left.has(name));
  return idOf({ command, method, options: factsOf(Object.fromEntries(telling)), ...facts });
}

/** Settings that the estimation of a trial has although its numbers do not depend on them. */
const KEPT: readonly string[] = ['evalSplit', 'saveEvery', 'embeddings'];

/** Rooms whose settings an estimation has too. */
const OF_ALL: readonly (keyof RunOptions)[] = ['preset', 'engine'];

/** Of the estimation that a trial of `run` prunes by; undefined where it needs none. */
export function estimationOf(config: TrialConfig, resolved: Resolved): { id: string; config: TrialConfig } | undefined {
  const { options, facts } = resolved;
  const method = methodOf(config);
  if (method === undefined || !needsEstimate(method, options)) return undefined;
  const known = estimationOptions(options);
  const { evalContent: _, ...data } = facts.data;
  const id = idOf({ command: 'estimate', options: known, ...facts, data });
  const isOwn = (flag: string): boolean => {
    const setting = SETTINGS.get(camelCase(flag.replace(/^no-/, '')));
    if (!setting) return flag !== 'methods';
    return setting.name in known || OF_ALL.includes(setting.room) || KEPT.includes(setting.name);
  };
  return { id, config: Object.fromEntries(Object.entries(config).filter(([flag]) => isOwn(flag))) };
}
