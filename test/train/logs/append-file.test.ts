/** Protects: a disk that takes no more ends a log with one warning, and never the training. */
import { existsSync } from 'node:fs';
import { afterEach, expect, it, vi } from 'vitest';
import { setWarningHandler } from '../../../engine/warnings.ts';
import { AppendFile } from '../../../train/logs/append-file.ts';

const warnings: string[] = [];
const handler = setWarningHandler((text) => warnings.push(text));
afterEach(() => {
  setWarningHandler(handler);
  vi.restoreAllMocks();
});

it.runIf(existsSync('/dev/full'))('a full disk', () => {
  const file = new AppendFile('/dev/full');
  for (let i = 0; i < 3; i++) file.append('text\n');
  file.sync();
  file.close();
  expect(warnings).toEqual(['/dev/full: no space left on the disk: the log ends here, training goes on']);
});
