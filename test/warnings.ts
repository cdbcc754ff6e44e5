/** Tests only: what the library warns of. */
import { afterEach, beforeEach } from 'vitest';
import { setWarningHandler, type WarningHandler } from '../engine/warnings.ts';

/** The warnings of the test that is under way, in their order. Call it once, outside of tests. */
export function heardWarnings(): string[] {
  const heard: string[] = [];
  let before: WarningHandler;
  beforeEach(() => {
    heard.length = 0;
    before = setWarningHandler((text) => heard.push(text));
  });
  afterEach(() => void setWarningHandler(before));
  return heard;
}
