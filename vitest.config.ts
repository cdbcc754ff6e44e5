/** Tests run in their own processes (each opens a device of its own), two at a time: a software adapter uses every core. */
import { defineConfig } from 'vitest/config';

export default defineConfig({
  test: {
    include: ['test/**/*.test.ts'],
    env: {
      // What was tuned on this machine must not decide what is tested.
      LIGHT_PEFT_CACHE: '.cache/test',
      // Mesa's software driver compiles without LLVM's optimisations: most of the time of a first run is compilation.
      GALLIVM_PERF: 'nopt',
    },
    pool: 'forks',
    maxWorkers: 2,
    testTimeout: 120_000,
    slowTestThreshold: 10_000,
    hookTimeout: 60_000,
  },
});
