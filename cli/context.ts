/** Room: cli. What commands share: an engine that is always closed and its flags, progress, Ctrl-C, and printing. */
import type { Command } from 'commander';
import { Engine } from '../engine/engine.ts';
import { Profiler } from '../engine/profile/profiler.ts';
import type { Watch } from '../train/stages.ts';
import { finishProfile } from './profile.ts';
import { Progress } from './progress.ts';

export interface CommandContext {
  readonly engine: Engine;
  readonly progress: Progress;
  /** Reports steps and stops at Ctrl-C. */
  readonly watch: Watch;
}

/** Flags of every command that runs programs. */
export interface EngineFlags {
  readonly profile?: string;
}

export function addEngineFlags(command: Command): Command {
  return command.option(
    '--profile <file>',
    'time every kernel: a table on standard error, a trace for chrome://tracing or Perfetto in the file',
  );
}

/** Runs `work` with an open engine; the first Ctrl-C asks it to stop and save, the second ends the process. */
export async function withEngine<T>(
  { profile }: EngineFlags,
  work: (context: CommandContext) => Promise<T>,
): Promise<T> {
  const engine = await Engine.open();
  const progress = new Progress(engine);
  const abort = new AbortController();
  const onInterrupt = (): void => {
    if (abort.signal.aborted) process.exit(130);
    process.stderr.write('\nStopping after this step; press Ctrl-C again to stop at once.\n');
    abort.abort();
  };
  process.on('SIGINT', onInterrupt);
  try {
    if (profile !== undefined) engine.profiler = new Profiler(engine);
    const watch = { signal: abort.signal, onReport: progress.report.bind(progress) };
    const result = await work({ engine, progress, watch });
    progress.finish();
    if (profile !== undefined) process.stderr.write(`${await finishProfile(engine, engine.profiler!, profile)}\n`);
    return result;
  } finally {
    progress.finish();
    process.off('SIGINT', onInterrupt);
    engine.close();
  }
}

/** Prints a result: JSON for programs, or lines of text for people. */
export function print(json: boolean | undefined, value: unknown, text: string): void {
  process.stdout.write(json ? `${JSON.stringify(value, null, 2)}\n` : `${text}\n`);
}
