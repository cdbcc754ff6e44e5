/** Room: sweep/redis. Names of queues and workers, and what they tell. */
import type { JobType } from 'bullmq';
import type { QueueAddress } from './connection.ts';

/** All states that a job may be in. */
export const STATES: JobType[] = ['wait', 'active', 'delayed', 'prioritized', 'completed', 'failed'];

/** An adapter's name as part of a queue's. */
export function adapterSlug(adapter: string): string {
  return adapter.toLowerCase().replace(/[^a-z0-9]+/g, '-').replace(/^-|-$/g, ''); // prettier-ignore
}

/** Of jobs for one kind of adapter, or for any. */
export function queueName({ queue }: QueueAddress, adapter: string | undefined): string {
  return adapter === undefined ? queue : `${queue}@${adapter}`;
}

/** Milliseconds until a held job would start by itself: years. Longer ones lose digits in Redis. */
export const HELD_FOR = 5 * 365 * 24 * 3600 * 1000;

/** A worker as its connection is called. */
export interface WorkerName {
  readonly host: string;
  readonly pid: number;
  readonly adapter: string;
}

export function workerName({ host, pid, adapter }: WorkerName): string {
  return [host.replace(/[^\w.-]/g, '-'), pid, adapterSlug(adapter)].join('/');
}

/** @returns undefined for a connection of something else */
export function parseWorkerName(text: string): WorkerName | undefined {
  const [, host, pid, adapter] = /([^/:]+)\/(\d+)\/([^/]*)$/.exec(text) ?? [];
  return host === undefined || adapter === undefined ? undefined : { host, pid: Number(pid), adapter };
}
