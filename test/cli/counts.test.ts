/** Protects: what commands say of the size of their data: of how many examples some were drawn, and rows where examples are none. */
import { expect, it, vi } from 'vitest';
import { sayCount, sayCounts } from '../../cli/data-flags.ts';

function said(say: () => void): string {
  const write = vi.spyOn(process.stderr, 'write').mockReturnValue(true);
  say();
  const text = write.mock.calls.map(([part]) => String(part)).join('');
  write.mockRestore();
  return text;
}

it.each([
  [{ rows: { train: 67349, eval: 872 } }, '67,349 training + 872 evaluation examples'],
  [{ rows: { train: 1, eval: 0 } }, '1 training example'],
  [{ rows: { train: 0, eval: 1 }, drawn: { eval: { count: 1, total: 872 } } }, '1 of 872 evaluation examples'],
  [
    { rows: { train: 3, eval: 5 }, drawn: { train: { count: 8, total: 1200 } } },
    '3 training (from 8 of 1,200 rows) + 5 evaluation examples',
  ],
])('%o', (counts, expected) => {
  expect(said(() => sayCounts({ name: 'data', ...counts }))).toBe(`data: ${expected}\n`);
});

it('of rows to predict', () => {
  expect(said(() => sayCount({ name: 'data', firsts: [0] }))).toBe('data: 1 example\n');
  const drawn = { count: 2, total: 1000 };
  expect(said(() => sayCount({ name: 'data', firsts: [0, 1], drawn }))).toBe('data: 2 of 1,000 examples\n');
});
