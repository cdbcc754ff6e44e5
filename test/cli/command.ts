/** Tests only: a command run in this process. */
import { expect, vi } from 'vitest';
import { runCommand } from '../../cli/program.ts';

/** Runs a command that must end with `code`. @returns what it prints, on either stream */
export async function run(code: number, ...args: string[]): Promise<string> {
  const written: string[] = [];
  const spies = [process.stdout, process.stderr].map((stream) =>
    vi.spyOn(stream, 'write').mockImplementation((text) => {
      written.push(String(text));
      return true;
    }),
  );
  try {
    expect(await runCommand(args), written.join('')).toBe(code);
    return written.join('');
  } finally {
    for (const spy of spies) spy.mockRestore();
  }
}
