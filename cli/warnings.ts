/** Room: cli. Warnings of one command: a line each on standard error as they come, and a list for `--json`. */
import { setWarningHandler } from '../engine/warnings.ts';

let heard: string[] = [];

/** Begins a command. @param withFlags turns names of options into flags */
export function hearWarnings(withFlags: (text: string) => string): void {
  heard = [];
  setWarningHandler((text) => {
    const line = withFlags(text);
    if (heard.includes(line)) return;
    heard.push(line);
    process.stderr.write(`light-peft: warning: ${line}\n`);
  });
}

/** Each warning once, in order. */
export function heardWarnings(): readonly string[] {
  return heard;
}
