/** Room: scripts. A document of which one part is measured: a new run replaces that part, what stands around it is written by hand. */
import { UserError } from '../engine/errors.ts';

const BEGIN = '<!-- Measured: a new run replaces the text from here … -->';
const END = '<!-- … to here. What stands below is written by hand and stays. -->';

/**
 * A document with another measured part.
 * @param document undefined where there is none yet
 * @param file names the document in errors
 * @throws UserError where a document does not have the two markers, each once and in order: nothing would be safe to replace
 */
export function withMeasured(document: string | undefined, measured: string, file: string): string {
  const part = `${BEGIN}\n\n${measured.trim()}\n\n${END}\n`;
  if (document === undefined) return part;
  const [before, inside, ...more] = document.split(BEGIN);
  const [, after, ...rest] = inside?.split(END) ?? [];
  if (before === undefined || after === undefined || more.length > 0 || rest.length > 0)
    throw new UserError(`${file}: expected the lines "${BEGIN}" and "${END}" around what is measured, once each`);
  return before + part + after.replace(/^\n/, '');
}
