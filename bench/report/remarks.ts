/** Room: bench/report. Hand-written remarks that stand beside the measured figures and outlive a re-run. */
import { UserError } from '../../engine/errors.ts';

/** Markdown by suite. */
export type Remarks = ReadonlyMap<string, string>;

/**
 * @param text Markdown with a heading `## SUITE` before the remarks of each suite; what stands before the first is for its writers
 * @throws UserError for a heading that names no suite
 */
export function parseRemarks(text: string, file: string, suites: readonly string[]): Remarks {
  const [, ...sections] = text.split(/^## /m);
  const remarks = sections.map((section) => {
    const [name = '', ...lines] = section.split('\n');
    return [name.trim(), lines.join('\n').trim()] as const;
  });
  for (const [name] of remarks)
    if (!suites.includes(name))
      throw new UserError(`${file}: found "## ${name}", expected one of ${suites.join(', ')}`);
  return new Map(remarks.filter(([, body]) => body !== ''));
}
