/** Room: cli. How sweeps go, as text. */
import type { SweepData } from '../report/sweep/schema.ts';
import { sweepTable } from '../report/sweep/terminal.ts';
import type { QueueState } from '../sweep/redis/state.ts';
import type { TrialsUnderWay } from '../sweep/status.ts';
import { terminalWidth } from './help.ts';

export interface SweepStatus {
  readonly isOver: boolean;
  readonly data?: SweepData;
  /** On this machine. */
  readonly underWay?: TrialsUnderWay;
  /** On a server. */
  readonly queue?: QueueState;
}

export function statusText({ data, underWay = [], queue }: SweepStatus): string {
  return [
    ...(data ? [countsText(data), ...(data.trials.length > 0 ? [sweepTable(data, terminalWidth())] : [])] : []),
    ...underWay.map(({ id, step }) => `${id} is at work${step === undefined ? '' : `, step ${step}`}`),
    ...(queue ? queueText(queue) : []),
  ].join('\n');
}

function countsText({ sweep, trials }: SweepData): string {
  const of = (state: string): number => trials.filter((trial) => trial.state === state).length;
  const left = Math.max(0, sweep.trials - trials.length);
  return `${sweep.name}: ${sweep.trials} trials, ${of('done')} done, ${of('stopped')} stopped, ${of('failed')} failed, ${left} left`;
}

/** What states of jobs are called here. */
const NAMES: Readonly<Record<string, string>> = {
  wait: 'waiting',
  active: 'at work',
  delayed: 'waiting for another',
  completed: 'finished',
};

function queueText({ workers, sweeps, active, refusals }: QueueState): string[] {
  return [
    ...workers.map(({ host, pid, adapter }) => `worker ${pid} on ${host}: ${adapter}`),
    ...(workers.length === 0 ? ['no worker is there: light-peft worker --queue URL starts one'] : []),
    ...sweeps.map(({ sweep, counts }) => `sweep ${sweep}: ${countedText(counts)}`),
    ...active.map(({ key, progress }) => {
      const { host, step, total } = progress ?? {};
      const how = step === undefined ? '' : `, step ${step} of ${total}`;
      return `${key} is at work${host === undefined ? '' : ` on ${host}`}${how}`;
    }),
    ...refusals.map((refusal) => `refused by ${refusal}`),
  ];
}

function countedText(counts: Readonly<Record<string, number>>): string {
  return Object.entries(counts)
    .map(([state, count]) => `${count} ${NAMES[state] ?? state}`)
    .join(', ');
}
