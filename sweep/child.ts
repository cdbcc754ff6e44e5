/**
 * Room: sweep. The process of a trial: a command of its own, told to stop by a signal, that ends with the process that began it. What it says
 * goes to a file; its steps come by messages.
 */
import { spawn } from 'node:child_process';
import { createWriteStream } from 'node:fs';
import { hostname } from 'node:os';
import { fileURLToPath } from 'node:url';
import { z } from 'zod';
import type { Device } from '../report/sweep/schema.ts';

/** What such a process tells: the adapter when it has opened it, and how its training goes. */
const reportSchema = z.union([
  z.strictObject({ adapter: z.string(), software: z.boolean() }),
  z.strictObject({ title: z.string(), step: z.number(), total: z.number(), loss: z.number() }),
]);

export type ChildReport = z.infer<typeof reportSchema>;

export type StepReport = Extract<ChildReport, { step: number }>;

export interface ChildOptions {
  /** The folder that its paths are relative to. */
  readonly cwd: string;
  /** A file that gets everything it says, after what is there. */
  readonly log: string;
  readonly signal: AbortSignal;
  readonly onStep?: ((report: StepReport) => void) | undefined;
}

export interface ChildResult {
  /** The exit code; null where a signal ended it. */
  readonly code: number | null;
  readonly stdout: string;
  /** Its last line of standard error that is not progress. */
  readonly error: string;
  readonly seconds: number;
  readonly device: Device | null;
}

/** Characters of standard error that are looked through for the error. */
const TAIL = 8000;

/** Exit code of a command that has done its part and goes on when it is called again: EX_TEMPFAIL of sysexits.h. */
export const PAUSED = 75;

/** Set for the process of a trial: it then tells its parent how it goes, and ends with it. */
export const TRIAL_VARIABLE = 'LIGHT_PEFT_TRIAL';

/** Secrets of the queue are none of a trial's business. */
const SECRET = /^LIGHT_PEFT_(QUEUE|REDIS_)/;

/** Runs `light-peft ARGS`. The signal stops it as SIGTERM does: after the step under way, with a checkpoint. */
export async function runChild(args: readonly string[], options: ChildOptions): Promise<ChildResult> {
  const started = performance.now();
  const bin = fileURLToPath(new URL('../bin/light-peft.js', import.meta.url));
  const env = Object.fromEntries(Object.entries(process.env).filter(([name]) => !SECRET.test(name)));
  // A group of its own: Ctrl-C at the terminal is for the process that began it, which then tells it once.
  const child = spawn(process.execPath, [bin, ...args], {
    cwd: options.cwd,
    env: { ...env, [TRIAL_VARIABLE]: '1' },
    detached: true,
    stdio: ['ignore', 'pipe', 'pipe', 'ipc'],
  });
  const log = createWriteStream(options.log, { flags: 'a' });
  let stdout = '';
  let stderr = '';
  let device: Device | null = null;
  child.stdout!.setEncoding('utf8').on('data', (text: string) => {
    stdout += text;
    log.write(text);
  });
  child.stderr!.setEncoding('utf8').on('data', (text: string) => {
    stderr = (stderr + text).slice(-TAIL);
    log.write(text);
  });
  child.on('message', (message) => {
    const { data: report } = reportSchema.safeParse(message);
    if (!report) return;
    if ('adapter' in report) device = { ...report, host: hostname() };
    else options.onStep?.(report);
  });
  const stop = (): void => void child.kill('SIGTERM');
  options.signal.addEventListener('abort', stop);
  if (options.signal.aborted) stop();
  try {
    const code = await new Promise<number | null>((resolve, reject) => {
      child.once('error', reject);
      child.once('close', resolve);
    });
    return { code, stdout, error: errorIn(stderr), seconds: (performance.now() - started) / 1000, device };
  } finally {
    options.signal.removeEventListener('abort', stop);
    await new Promise<void>((resolve) => log.end(resolve));
  }
}

/** The command's own word, else the last line. */
function errorIn(stderr: string): string {
  const lines = stderr.split('\n').filter((line) => line.trim() !== '');
  const own = lines.findLastIndex((line) => line.startsWith('light-peft: '));
  return own === -1 ? (lines.at(-1) ?? '') : lines.slice(own).join('\n').replace('light-peft: ', '');
}
