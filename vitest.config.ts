/** Tests run in their own processes (each opens a device of its own), two at a time: a software adapter uses every core. */
import { defineConfig } from 'vitest/config';

export default defineConfig({
  test: {
    include: ['test/**/*.test.ts'],
    // What was tuned on this machine must not decide what is tested.
    env: { LIGHT_PEFT_CACHE: '.cache/test' },
    pool: 'forks',
    maxWorkers: 2,
    testTimeout: 120_000,
    slowTestThreshold: 10_000,
    hookTimeout: 60_000,
  },
});
