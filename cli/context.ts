/** Room: cli. What commands share: an engine that is always closed, progress, Ctrl-C, and printing. */
import { Engine } from '../engine/engine.ts';
import type { Watch } from '../train/stages.ts';
import { Progress } from './progress.ts';

export interface CommandContext {
  readonly engine: Engine;
  readonly progress: Progress;
  /** Reports steps and stops at Ctrl-C. */
  readonly watch: Watch;
}

/** Runs `work` with an open engine; the first Ctrl-C asks it to stop and save, the second ends the process. */
export async function withEngine<T>(work: (context: CommandContext) => Promise<T>): Promise<T> {
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
    return await work({
      engine,
      progress,
      watch: { signal: abort.signal, onReport: (report) => progress.report(report) },
    });
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
