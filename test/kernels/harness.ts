/** Tests only: one test device per file, closed after it. */
import { afterAll } from 'vitest';
import * as testing from '../../engine/testing/harness.ts';

export async function openTestDevice(): Promise<testing.TestDevice> {
  const gpu = await testing.openTestDevice();
  afterAll(() => gpu.close());
  return gpu;
}
