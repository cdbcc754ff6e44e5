/** Protects: a new run replaces what was measured in RESULTS.md, and not a letter of what was written by hand. */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, it } from 'vitest';
import { withMeasured } from '../../scripts/measured-part.ts';

const FIRST = withMeasured(undefined, '# Results\n\n| 1 |\n', 'r.md');

it('replaces the measured part alone, any number of times', () => {
  const byHand = `Before.\n\n${FIRST}\n## What this says\n\n- It says 1.\n`;
  const again = withMeasured(byHand, '# Results\n\n| $& 2 |', 'r.md');
  expect(again).toBe(byHand.replace('| 1 |', () => '| $& 2 |'));
  expect(withMeasured(again, '# Results\n\n| 1 |', 'r.md')).toBe(byHand);
});

it('refuses a document in which it cannot tell what was measured', () => {
  const [begin, end] = FIRST.split('\n').filter((line) => line.startsWith('<!--')) as [string, string];
  for (const document of [
    '',
    '# Results\n',
    begin,
    end,
    `${end}\n${begin}`,
    `${begin}${end}${begin}${end}`,
    FIRST + end,
  ])
    expect(() => withMeasured(document, 'x', 'r.md'), document).toThrow(/^r\.md: expected the lines/);
});

it('keeps the remarks of this project’s own results', () => {
  const document = readFileSync(join(import.meta.dirname, '..', '..', 'RESULTS.md'), 'utf8');
  const remarks = document.slice(document.indexOf('## What this says'));
  expect(remarks.length).toBeGreaterThan(100);
  expect(withMeasured(document, '# Results', 'RESULTS.md').endsWith(remarks)).toBe(true);
});
