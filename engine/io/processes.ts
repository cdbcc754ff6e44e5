/** Room: engine/io. Other processes of this machine: whether one that left a file behind is still there. */
import { readFileSync } from 'node:fs';

/** Whether there is a process with this number. One that has ended but was not waited for is none. */
export function isRunning(pid: number): boolean {
  try {
    process.kill(pid, 0);
  } catch (error) {
    return (error as NodeJS.ErrnoException).code !== 'ESRCH';
  }
  return fieldsOf(pid)?.[0] !== 'Z';
}

/**
 * When a process began, in clock ticks since this machine did: with its number this tells it from all later ones.
 * @returns undefined where the system does not tell, as only Linux does
 */
export function startOf(pid: number): number | undefined {
  const ticks = fieldsOf(pid)?.[19];
  return ticks === undefined ? undefined : Number(ticks);
}

/** Of `/proc/PID/stat`, from the third on: the second, the command's name, may hold anything. */
function fieldsOf(pid: number): string[] | undefined {
  try {
    const line = readFileSync(`/proc/${pid}/stat`, 'latin1');
    return line.slice(line.lastIndexOf(')') + 2).split(' ');
  } catch {
    return undefined;
  }
}
