/** Room: bench. Starts a Node process as a user would, and times it to its first training step. */
import { spawn } from 'node:child_process';
import { createInterface } from 'node:readline';
import { UserError } from '../engine/errors.ts';

/** What to start. */
export interface Launch {
  readonly args: readonly string[];
  readonly cwd: string;
  /** Added to the environment. */
  readonly env: Readonly<Record<string, string>>;
  /** Seconds until it is ended. */
  readonly patience: number;
}

interface Finished {
  readonly stdout: string;
  /** Seconds until it reported a training step. */
  readonly firstStep: number | undefined;
}

/** A line on stderr that tells that a training step is done. */
const STEP = /^\s*step \d+\/\d+/;

/** @throws UserError where the process fails or takes longer than it may */
export function launch({ args, cwd, env, patience }: Launch): Promise<Finished> {
  const started = performance.now();
  const options = { cwd, env: { ...process.env, ...env }, timeout: patience * 1000 };
  const child = spawn(process.execPath, args, { ...options, stdio: ['ignore', 'pipe', 'pipe'] });
  let stdout = '';
  let last = '';
  let firstStep: number | undefined;
  child.stdout.on('data', (text: Buffer) => (stdout += text.toString()));
  createInterface({ input: child.stderr }).on('line', (line) => {
    last = line;
    if (STEP.test(line)) firstStep ??= (performance.now() - started) / 1000;
  });
  return new Promise((resolve, reject) => {
    const fail = (why: string): void => reject(new UserError(`node ${args.join(' ')}: ${why}`));
    child.on('error', (error) => fail(error.message));
    child.on('close', (code) => {
      if (code === 0) resolve({ stdout, firstStep });
      else fail(code === null ? `ended after at most ${patience} s` : `exit code ${code}: ${last}`);
    });
  });
}
