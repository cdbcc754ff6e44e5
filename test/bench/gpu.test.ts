/** Protects: the benchmark for GPUs — its bundle needs no Node, checks before it times, and names what is missing. */
import { execFile } from 'node:child_process';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { expect, it } from 'vitest';

const run = promisify(execFile);
const ROOT = join(import.meta.dirname, '..', '..');

it('packs itself, runs alone and prints one table last', { timeout: 240_000 }, async () => {
  const dir = await mkdtemp(join(tmpdir(), 'light-peft-'));
  try {
    const bundle = join(dir, 'gpu');
    await run('bash', [join(ROOT, 'bench', 'gpu', 'bundle.sh'), bundle], { cwd: dir });
    const env = { ...process.env, PATH: '/usr/bin:/bin' };
    const { stdout, stderr } = await run('bash', [join(bundle, 'run.sh'), '--small'], { cwd: dir, env });
    expect(stdout, stderr).toMatch(/f32 product 160³, default \(\S+\) +[\d.]+ GFLOP\/s/);
    expect(stdout).toMatch(/f32 product 160³, checked +(\d+) of \1 variants right/);
    expect(stdout).toMatch(/LoRA step, tiny encoder, f32 +[\d,.KM]+ tokens\/s/);
    expect(stdout).toMatch(/Light-PEFT, tiny encoder, ratio 0\.50, training .* ideal 1\.\d+×/);
    expect(stdout).not.toMatch(/failed:/);
    expect(stdout.trimEnd().split('\n').at(-1)).toMatch(/^─+$/);
  } finally {
    await rm(dir, { recursive: true });
  }
});
