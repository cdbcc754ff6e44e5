/** Tests run in their own processes (each opens a device of its own), two at a time: a software adapter uses every core. */
import { join } from 'node:path';
import { defineConfig } from 'vitest/config';

/** The package's entries, as the examples import them. */
const ENTRIES = {
  'light-peft': 'index.ts',
  'light-peft/engine': 'engine/index.ts',
  'light-peft/kernels': 'kernels/index.ts',
  'light-peft/data': 'data/index.ts',
  'light-peft/testing': 'engine/testing/index.ts',
};

export default defineConfig({
  resolve: {
    alias: Object.entries(ENTRIES).map(([find, file]) => ({
      find: new RegExp(`^${find}$`),
      replacement: join(import.meta.dirname, file),
    })),
  },
  test: {
    include: ['{test,examples}/**/*.test.ts'],
    env: {
      // What was tuned on this machine must not decide what is tested.
      LIGHT_PEFT_CACHE: '.cache/test',
      // Mesa's software driver compiles without LLVM's optimisations: most of the time of a first run is compilation.
      GALLIVM_PERF: 'nopt',
      // On vectors of 4 lanes, not 8: it writes out a load for every lane, and most of the compilation is loads.
      LP_NATIVE_VECTOR_WIDTH: process.env.LP_NATIVE_VECTOR_WIDTH ?? '128',
    },
    pool: 'forks',
    maxWorkers: 2,
    testTimeout: 120_000,
    slowTestThreshold: 10_000,
    hookTimeout: 240_000,
  },
});
