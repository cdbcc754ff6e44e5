/**
 * Room: bench/children. A process that starts processes: it is forked before the engine lowers its thread's priority, which children
 * would inherit, so that what is started runs as a user's command does.
 */
import { spawn } from 'node:child_process';
import { createInterface } from 'node:readline';
import type { Launch, Outcome } from '../launcher.ts';

/** A line on stderr that tells that a training step is done. */
const STEP = /^\s*step \d+\/\d+/;

function launch({ args, cwd, env, patience }: Launch): Promise<Outcome> {
  const started = performance.now();
  const options = { cwd, env: { ...process.env, ...env }, timeout: patience * 1000 };
  const child = spawn(process.execPath, args, { ...options, stdio: ['ignore', 'pipe', 'pipe'] });
  let stdout = '';
  let last = '';
  let firstStep: number | null = null;
  child.stdout.on('data', (text: Buffer) => (stdout += text.toString()));
  createInterface({ input: child.stderr }).on('line', (line) => {
    last = line;
    if (STEP.test(line)) firstStep ??= (performance.now() - started) / 1000;
  });
  return new Promise((resolve) => {
    child.on('error', (error) => resolve({ failure: error.message }));
    child.on('close', (code) => {
      if (code === 0) resolve({ stdout, firstStep });
      else if (code === null) resolve({ failure: `ended after at most ${patience} s` });
      else resolve({ failure: `exit code ${code}: ${last}` });
    });
  });
}

process.on('message', (request) => void launch(request as Launch).then((outcome) => process.send!(outcome)));
