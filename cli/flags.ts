/** Room: cli. Names of flags: options in camel case, flags in kebab case, and errors that name options turned into ones that name flags. */
import { flagName } from '../experiments/settings.ts';

/**
 * An error's text with flags where it names options in backticks.
 * @param keyOf the flag's key of an option, in camel case
 * @param known keys of the flags there are
 */
export function withFlags(text: string, keyOf: (option: string) => string, known: ReadonlySet<string>): string {
  return text.replace(/`(\w+)`/g, (whole, name: string) => {
    const key = keyOf(name);
    return known.has(key) ? `--${flagName(key)}` : whole;
  });
}
