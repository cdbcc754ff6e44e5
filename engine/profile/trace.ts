/**
 * Room: engine/profile. A profile in Chrome's trace-event format (JSON object form), which chrome://tracing and Perfetto
 * open: a process per program, an event per dispatch, the intermediates in use as a counter.
 */
import type { AdapterDescription } from '../device/device.ts';
import type { ProgramProfile } from './profiler.ts';

interface TraceEvent {
  readonly name: string;
  /** X: an event with a duration; C: a counter; M: metadata. */
  readonly ph: 'X' | 'C' | 'M';
  readonly pid: number;
  readonly tid: number;
  /** Microseconds. */
  readonly ts?: number;
  readonly dur?: number;
  readonly args: Readonly<Record<string, string | number>>;
}

export interface Trace {
  readonly displayTimeUnit: 'ms';
  readonly otherData: Readonly<Record<string, string>>;
  readonly traceEvents: readonly TraceEvent[];
}

/** Dispatches lie end to end: the times between them, which timing itself lengthens, are left out. */
export function traceOf(profiles: readonly ProgramProfile[], adapter: AdapterDescription): Trace {
  return {
    displayTimeUnit: 'ms',
    otherData: {
      adapter: adapter.device,
      driver: adapter.description,
      time: 'medians of a few runs of each kernel, end to end',
    },
    traceEvents: profiles.flatMap((profile, i) => eventsOf(profile, i + 1)),
  };
}

function eventsOf({ name, runs, dispatches }: ProgramProfile, pid: number): TraceEvent[] {
  const events: TraceEvent[] = [
    { name: 'process_name', ph: 'M', pid, tid: 1, args: { name: `${name} (${runs} runs)` } },
    { name: 'thread_name', ph: 'M', pid, tid: 1, args: { name: 'kernels' } },
  ];
  let ts = 0;
  for (const { name, shape, scopes, workgroups, flops, bytes, nanoseconds, memory } of dispatches) {
    const at = { pid, tid: 1, ts };
    const args = { scope: scopes.join(', '), shape, workgroups: workgroups.join('×'), flops, bytes };
    events.push({ name: 'intermediates', ph: 'C', ...at, args: { bytes: memory } });
    events.push({ name, ph: 'X', ...at, dur: nanoseconds / 1e3, args });
    ts += nanoseconds / 1e3;
  }
  events.push({ name: 'intermediates', ph: 'C', pid, tid: 1, ts, args: { bytes: 0 } });
  return events;
}
