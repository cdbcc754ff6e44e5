/** Tests only: an engine for a file of tests, closed after them. */
import { afterAll } from 'vitest';
import { Engine } from '../engine/engine.ts';

/** One engine per test file: `const engine = await openTestEngine();` at the top. */
export async function openTestEngine(): Promise<Engine> {
  const engine = await Engine.open();
  afterAll(() => engine.close());
  return engine;
}
