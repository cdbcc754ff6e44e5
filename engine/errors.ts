/** Room: engine. Errors meant for people: the command line prints their message in one line and exits with `exitCode`. */

/** Bad input: names the file or option, the key, what was found and what was expected. */
export class UserError extends Error {
  readonly exitCode: number = 2;
  override readonly name: string = 'UserError';
}

/** An option's name in an error. Commands show it as their flag, code as the field that it is. */
export function option(name: string): string {
  return `\`${name}\``;
}
