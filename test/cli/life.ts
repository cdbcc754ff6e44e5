/** Tests only: a command run in a process of its own, which signals can reach. */
import { spawn, type ChildProcessWithoutNullStreams } from 'node:child_process';
import { join } from 'node:path';
import { setTimeout } from 'node:timers/promises';
import { exists } from '../../engine/io/files.ts';

const COMMAND = join(import.meta.dirname, '..', '..', 'bin', 'light-peft.js');

export interface Life {
  readonly child: ChildProcessWithoutNullStreams;
  readonly ended: Promise<{ code: number | null; out: string; said: string }>;
}

/** @param shell a line for bash, with `"$@"` in place of the command */
export function begin(dir: string, argv: readonly string[], shell?: string): Life {
  const command = [process.execPath, COMMAND, ...argv];
  const [program = '', ...args] = shell === undefined ? command : ['bash', '-c', shell, 'bash', ...command];
  const child = spawn(program, args, { cwd: dir });
  let [out, said] = ['', ''];
  child.stdout.on('data', (text: Buffer) => (out += text.toString()));
  child.stderr.on('data', (text: Buffer) => (said += text.toString()));
  const ended = new Promise<{ code: number | null; out: string; said: string }>((resolve) =>
    child.on('close', (code) => resolve({ code, out, said })),
  );
  return { child, ended };
}

/** Waits until a file is there, or the process is not. */
export async function untilThere(path: string, { child }: Life): Promise<void> {
  while (!(await exists(path)) && child.exitCode === null) await setTimeout(10);
}
