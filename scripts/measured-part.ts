/** Room: scripts. A document of which one part is measured: a new run replaces that part, what stands around it is written by hand. */
import { UserError } from '../engine/errors.ts';

const BEGIN = '<!-- Measured: a new run replaces the text from here … -->';
const END = '<!-- … to here. What stands below is written by hand and stays. -->';

/** The markers of a further part, by its name. */
const namedMarkers = (name: string): [begin: string, end: string] => [
  `<!-- Measured, ${name}: a new run replaces the text from here … -->`,
  `<!-- … to here: ${name}. What stands below is written by hand and stays. -->`,
];

/**
 * A document with another measured part.
 * @param document undefined where there is none yet
 * @param file names the document in errors
 * @param name of a further part; absent: the first
 * @throws UserError where a document does not have the two markers, each once and in order: nothing would be safe to replace
 */
export function withMeasured(document: string | undefined, measured: string, file: string, name?: string): string {
  const [begin, end] = name === undefined ? [BEGIN, END] : namedMarkers(name);
  const part = `${begin}\n\n${measured.trim()}\n\n${end}\n`;
  if (document === undefined) return part;
  const [before, inside, ...more] = document.split(begin);
  const [, after, ...rest] = inside?.split(end) ?? [];
  if (before === undefined || after === undefined || more.length > 0 || rest.length > 0)
    throw new UserError(`${file}: expected the lines "${begin}" and "${end}" around what is measured, once each`);
  return before + part + after.replace(/^\n/, '');
}
