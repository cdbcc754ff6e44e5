/** Room: cli. What commands share: an engine that is always closed and its flags, progress, Ctrl-C, and printing. */
import type { Command } from 'commander';
import { Engine } from '../engine/engine.ts';
import { KernelDump } from '../engine/profile/kernel-dump.ts';
import { Profiler } from '../engine/profile/profiler.ts';
import { cacheFile, TuningCache } from '../engine/tune/tuning-cache.ts';
import { Tuner } from '../engine/tune/tuner.ts';
import type { RunOptions } from '../experiments/options.ts';
import type { TrainerCallbacks } from '../train/options.ts';
import { setWarningHandler } from '../engine/warnings.ts';
import { finishProfile } from './profile.ts';
import { Progress } from './progress.ts';
import { heardWarnings } from './warnings.ts';

export interface CommandContext {
  readonly engine: Engine;
  readonly progress: Progress;
  /** Reports steps and stops at Ctrl-C. */
  readonly callbacks: Omit<TrainerCallbacks, 'checkpoint'>;
}

/** Flags of every command that runs programs. */
export interface EngineFlags {
  readonly profile?: string;
  readonly dumpKernels?: string;
  readonly tune?: boolean;
}

export function addProfileFlags(command: Command): Command {
  return command
    .option(
      '--profile <file>',
      'time every kernel: a table on standard error, a trace for chrome://tracing or Perfetto in the file',
    )
    .option(
      '--dump-kernels <dir>',
      'write the WGSL of every kernel, and which ops of which layers it runs, to the folder',
    );
}

/** Of commands that train or evaluate a classifier. */
export function addEngineFlags(command: Command): Command {
  return addProfileFlags(command).option(
    '--tune',
    'choose kernel variants by timing them in the real programs; later runs use what was found',
  );
}

/** Runs `work` with an open engine; the first Ctrl-C asks it to stop and save, the second ends the process. */
export async function withEngine<T>(
  { profile, dumpKernels, tune }: EngineFlags,
  { compute }: RunOptions['engine'],
  work: (context: CommandContext) => Promise<T>,
): Promise<T> {
  const engine = await Engine.open({ allowF16Matmul: compute === 'f16' });
  const progress = new Progress(engine);
  const abort = new AbortController();
  const onInterrupt = (): void => {
    if (abort.signal.aborted) process.exit(130);
    process.stderr.write('\nStopping after this step; press Ctrl-C again to stop at once.\n');
    abort.abort();
  };
  process.on('SIGINT', onInterrupt);
  const handler = setWarningHandler((text) => {
    progress.finish();
    handler(text);
  });
  try {
    const cache = await TuningCache.load(cacheFile(), engine.adapter);
    engine.selectConfig = cache.selectConfig;
    if (tune) {
      // A cache that cannot be written is told before any work.
      await cache.save();
      engine.tuner = new Tuner(engine, cache, say);
    }
    if (dumpKernels !== undefined) engine.observer = new KernelDump(dumpKernels);
    const profiler = profile === undefined ? undefined : new Profiler(engine);
    engine.profiler = profiler;
    const callbacks = {
      signal: abort.signal,
      onReport: progress.report.bind(progress),
      onBytes: progress.bytes.bind(progress),
    };
    const result = await work({ engine, progress, callbacks });
    progress.finish();
    if (profiler && profile !== undefined) say(await finishProfile(engine, profiler, profile));
    return result;
  } finally {
    progress.finish();
    process.off('SIGINT', onInterrupt);
    setWarningHandler(handler);
    engine.close();
  }
}

function say(text: string): void {
  process.stderr.write(`${text}\n`);
}

/** Prints a result: JSON with the warnings until now for programs, or lines of text for people. */
export function print(json: boolean | undefined, value: object | undefined, text: string): void {
  process.stdout.write(json ? `${JSON.stringify({ ...value, warnings: heardWarnings() }, null, 2)}\n` : `${text}\n`);
}
