/**
 * Tests only: `npm run kill-sweep`. A sweep of 40 trials on three workers: 20 of these are killed, the server three times and the watching
 * process twice; all trials must be recorded once, as those of the sweep that is left alone.
 */
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { killSweep, smallSpec } from './sweep-killing.ts';

const { values } = parseArgs({
  options: {
    kills: { type: 'string', default: '20' },
    restarts: { type: 'string', default: '3' },
    seed: { type: 'string', default: '1' },
    keep: { type: 'boolean', default: false },
  },
});
const storage = await mkdtemp(join(tmpdir(), 'light-peft-kill-sweep-'));
try {
  const spec = smallSpec({ 'heads-ratio': [0.25, 0.5], lr: [1e-3, 2e-3], seed: [0, 1, 2, 3, 4, 5, 6, 7, 8, 9] });
  const { trials, killed, faults } = await killSweep(storage, {
    workers: 3,
    kills: Number(values.kills),
    restarts: Number(values.restarts),
    watcherKills: 2,
    every: 5,
    seed: Number(values.seed),
    spec,
    say: (text) => console.log(text),
  });
  for (const fault of faults) console.log(`FAULT: ${fault}`);
  const of = (what: string): number => killed.filter((one) => one === what).length;
  console.log(
    `${trials} trials recorded; killed: ${of('worker')} workers, ${of('server')} times the server, ${of('watcher')} times the watcher; ${faults.length} faults`,
  );
  process.exitCode = faults.length === 0 ? 0 : 1;
} finally {
  if (values.keep) console.log(`kept: ${storage}`);
  else await rm(storage, { recursive: true, force: true });
}
