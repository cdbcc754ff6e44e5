/** Tests only: `npm run kill-resume`. Kills the `train` command 20 times; what it resumes to must equal the uninterrupted run. */
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { killAndResume } from './killing.ts';

const { values } = parseArgs({
  options: { kills: { type: 'string', default: '20' }, seed: { type: 'string', default: '1' } },
});
const dir = await mkdtemp(join(tmpdir(), 'light-peft-kill-'));
try {
  const { kills, runs, steps, faults } = await killAndResume(dir, {
    kills: Number(values.kills),
    steps: 200,
    seed: Number(values.seed),
  });
  console.log(`Checkpoints found after the kills: step ${steps.map((s) => (s < 0 ? 'none' : s)).join(', ')}`);
  for (const fault of faults) console.log(`FAULT: ${fault}`);
  console.log(`${kills} kills in ${runs} runs of 200 steps, ${faults.length} faults`);
  process.exitCode = faults.length === 0 ? 0 : 1;
} finally {
  await rm(dir, { recursive: true, force: true });
}
