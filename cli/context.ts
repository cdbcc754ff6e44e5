/** Room: cli. What commands share: an engine that is always closed and its flags, progress, and printing. */
import type { Writable } from 'node:stream';
import type { Command } from 'commander';
import { Engine } from '../engine/engine.ts';
import { assertWritable } from '../engine/io/files.ts';
import { isStandardOutput } from '../engine/io/output.ts';
import { MissingPackageError } from '../engine/io/packages.ts';
import { KernelDump } from '../engine/profile/kernel-dump.ts';
import { Profiler } from '../engine/profile/profiler.ts';
import { cacheFile, TuningCache } from '../engine/tune/tuning-cache.ts';
import { Tuner } from '../engine/tune/tuner.ts';
import type { RunOptions } from '../experiments/options.ts';
import { adapterName } from '../experiments/provenance.ts';
import { InterruptedError } from '../train/loop.ts';
import type { TrainerCallbacks } from '../train/options.ts';
import { PAUSED } from '../sweep/child.ts';
import { setWarningHandler } from '../engine/warnings.ts';
import { tellParent } from './parent.ts';
import { finishProfile } from './profile.ts';
import { Progress } from './progress.ts';
import { Interruption } from './signals.ts';
import { heardWarnings } from './warnings.ts';

export interface CommandContext {
  readonly engine: Engine;
  readonly progress: Progress;
  /** Reports steps, and stops at Ctrl-C and its like. */
  readonly callbacks: Omit<TrainerCallbacks, 'checkpoint'>;
  /** Stops as a signal does; the command is to go on later. */
  readonly pause: () => void;
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

/**
 * Runs `work` with an open engine; what a signal does to it, `signals.ts` says.
 * @param kept said where a signal ends the process at once
 */
export async function withEngine<T>(
  { profile, dumpKernels, tune }: EngineFlags,
  { compute }: RunOptions['engine'],
  work: (context: CommandContext) => Promise<T>,
  kept?: string,
): Promise<T> {
  if (profile !== undefined) await assertWritable(profile);
  using interruption = new Interruption(kept);
  const engine = await Engine.open({ allowF16Matmul: compute === 'f16' });
  const { adapter } = engine;
  tellParent({ adapter: adapterName(adapter), software: adapter.software });
  const progress = new Progress(engine);
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
      signal: interruption.signal,
      onReport: progress.report.bind(progress),
      onBytes: progress.bytes.bind(progress),
    };
    const result = await work({ engine, progress, callbacks, pause: () => interruption.stop(PAUSED) });
    progress.finish();
    if (profiler && profile !== undefined) say(await finishProfile(engine, profiler, profile));
    return result;
  } catch (error) {
    throw error instanceof InterruptedError ? new InterruptedError(error.message, interruption.exitCode) : error;
  } finally {
    progress.finish();
    setWarningHandler(handler);
    engine.close();
  }
}

/** A line about the work, for people. */
export function say(text: string): void {
  process.stderr.write(`${text}\n`);
}

/** Where words about a result go that is itself written to `out`. */
export async function besides(out: string): Promise<Writable> {
  return (await isStandardOutput(out)) ? process.stderr : process.stdout;
}

/**
 * Prints a result: JSON with the warnings until now for programs, or lines of text for people.
 * @param stream standard error where the result itself is on standard output
 */
export function print(
  json: boolean | undefined,
  value: object | undefined,
  text: string,
  stream: Writable = process.stdout,
): void {
  stream.write(json ? `${JSON.stringify({ ...value, warnings: heardWarnings() }, null, 2)}\n` : `${text}\n`);
}

/** What is said in place of a page's path: what was measured is kept without the packages that draw it. */
export function whyNoPage(error: unknown, out: string): string {
  if (!(error instanceof MissingPackageError)) throw error;
  return `not written. ${error.message}, then \`npx light-peft report ${out}\``;
}
