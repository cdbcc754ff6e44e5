/**
 * Tests only: `npm run mutate`. Damages files of every kind and checks what the program makes of them.
 *
 *     npm run mutate                            10,000 cases with seed 1
 *     npm run mutate -- --seed 2 --cases 500    others
 *     npm run mutate -- --case 123              one case, with its error
 */
import { spawnSync } from 'node:child_process';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { runMutants } from './mutants.ts';

const { values } = parseArgs({
  options: {
    seed: { type: 'string', default: '1' },
    cases: { type: 'string', default: '10000' },
    case: { type: 'string' },
  },
});
const seed = Number(values.seed);
if (values.case !== undefined) {
  const args = [seed, Number(values.case), Number(values.case) + 1, 1].map(String);
  const worker = ['--import', 'tsx', join(import.meta.dirname, 'mutate-worker.ts'), ...args];
  process.exitCode = spawnSync(process.execPath, worker, { stdio: 'inherit' }).status ?? 1;
} else {
  const started = performance.now();
  const found = await runMutants(seed, 0, Number(values.cases), (done) => {
    if (done % 500 === 0) process.stderr.write(`${done} cases\n`);
  });
  const seconds = Math.round((performance.now() - started) / 1000);
  for (const [name, [cases, refused]] of Object.entries(found.byTarget)) {
    console.log(`${name}: ${cases} cases, ${refused} refused`);
  }
  console.log(
    `Largest buffer ${found.largestAllocation.toFixed(2)} of its file; slowest case ${found.slowest.index}, ${Math.round(found.slowest.milliseconds)} ms`,
  );
  for (const { index, what } of found.faults) console.log(`FAULT, case ${index}: ${what}`);
  console.log(
    `seed ${seed}: ${found.cases} mutants, ${found.refused} refused, ${found.faults.length} faults, ${seconds} s`,
  );
  process.exitCode = found.faults.length === 0 ? 0 : 1;
}
