/**
 * Room: engine. The one channel of warnings: what a person should know of, and which stops nothing. Any room below the commands says
 * `warn(text)`; who runs the work decides where it goes.
 */

export type WarningHandler = (text: string) => void;

let handler: WarningHandler = (text) => console.warn(`light-peft: warning: ${text}`);

/**
 * Tells of something that a person should know of. Nothing stops.
 * @param text one line: what was found, where, and what follows from it; options by `option(name)`
 */
export function warn(text: string): void {
  handler(text);
}

/**
 * Sends warnings elsewhere than to the console, in the whole process.
 * @returns the handler until now, to set again
 */
export function setWarningHandler(next: WarningHandler): WarningHandler {
  const before = handler;
  handler = next;
  return before;
}
