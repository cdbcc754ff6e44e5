/** Tests only: `npm run stop-resume`. A run with everything on, stopped ten times; what it resumes to must equal the run without a stop. */
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { stopAndResume } from './stopping.ts';

const { values } = parseArgs({
  options: {
    stops: { type: 'string', default: '10' },
    steps: { type: 'string', default: '200' },
    seed: { type: 'string', default: '1' },
  },
});
const dir = await mkdtemp(join(tmpdir(), 'light-peft-stop-'));
try {
  const { stops, steps, faults } = await stopAndResume(dir, {
    stops: Number(values.stops),
    steps: Number(values.steps),
    seed: Number(values.seed),
  });
  for (const { signal, step, said } of stops) console.log(`${signal} at step ${step} of the log: ${said}`);
  for (const fault of faults) console.log(`FAULT: ${fault}`);
  console.log(`${stops.length} stops in a run of ${steps} steps, ${faults.length} faults`);
  process.exitCode = faults.length === 0 ? 0 : 1;
} finally {
  await rm(dir, { recursive: true, force: true });
}
