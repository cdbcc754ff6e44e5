/** Tests only: `npm run soak`. 1,000 training steps with checkpoints; memory of host and device must not grow. */
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { Engine } from '../../engine/engine.ts';
import { soak } from './soaking.ts';

/** Bytes per step: losses are kept, two numbers a step, and what a garbage collector leaves moves by some kilobytes. */
const LIMITS = { heapUsed: 256, external: 64, arrayBuffers: 64, rss: 8192 } as const;

const { values } = parseArgs({ options: { steps: { type: 'string', default: '1000' } } });
const steps = Number(values.steps);
const dir = await mkdtemp(join(tmpdir(), 'light-peft-soak-'));
const engine = await Engine.open();
const { slopes, first, last, device, buffers, seconds } = await soak(
  engine,
  steps,
  Math.round(steps / 5),
  join(dir, 'c.safetensors'),
);
engine.close();
await rm(dir, { recursive: true });
const faults: string[] = [];
for (const kind of ['rss', 'heapUsed', 'external', 'arrayBuffers'] as const) {
  const [from, to] = [first[kind], last[kind]].map((bytes) => (bytes / 1e6).toFixed(2));
  console.log(`${kind}: ${from} -> ${to} MB, ${slopes[kind].toFixed(1)} bytes/step (limit ${LIMITS[kind]})`);
  if (slopes[kind] > LIMITS[kind]) faults.push(kind);
}
const flat = (list: readonly number[]): boolean => new Set(list).size === 1;
console.log(`device: ${[...new Set(device)].join(', ')} bytes; buffers made: ${[...new Set(buffers)].join(', ')}`);
if (!flat(device)) faults.push('device');
if (!flat(buffers)) faults.push('buffers');
console.log(
  `${steps} steps in ${seconds.toFixed(0)} s, ${device.length} samples; growing: ${faults.join(', ') || 'nothing'}`,
);
process.exitCode = faults.length === 0 ? 0 : 1;
