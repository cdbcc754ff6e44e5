/** Protects: `--dump-kernels` — a file per dispatch with the WGSL that runs, and an index of which ops it comes from. */
import { mkdtemp, readdir, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { Engine } from '../../../engine/engine.ts';
import { namedScope } from '../../../engine/graph/scope.ts';
import { exp } from '../../../engine/ops/elementwise.ts';
import { matmul } from '../../../engine/ops/matmul.ts';
import { sum } from '../../../engine/ops/reduce.ts';
import { KernelDump } from '../../../engine/profile/kernel-dump.ts';

let engine: Engine;
let dir: string;
beforeAll(async () => {
  [engine, dir] = await Promise.all([Engine.open(), mkdtemp(join(tmpdir(), 'light-peft-'))]);
  engine.observer = new KernelDump(dir);
});
afterAll(async () => {
  engine.close();
  await rm(dir, { recursive: true });
});

it('writes each program’s kernels, and what an earlier one of the name left is gone', async () => {
  const x = engine.variable('x', [4, 8], { kind: 'state' });
  const compile = (rounds: number) =>
    engine.compile('try 4x8', {}, () => {
      let y = x.tensor;
      for (let i = 0; i < rounds; i++)
        y = namedScope(`layer.${i}`, () => exp(matmul(matmul(y, x.tensor, { transposeB: true }), x.tensor)));
      return { outputs: { y: namedScope('loss', () => sum(y)) } };
    });
  using program = await compile(2);
  const files = await readdir(join(dir, 'try-4x8'));
  expect(files).toHaveLength(program.dispatches.length + 1);
  const [header, ...rows] = (await readFile(join(dir, 'try-4x8', 'index.tsv'), 'utf8'))
    .trimEnd()
    .split('\n')
    .map((line) => line.split('\t'));
  expect(header).toEqual(['file', 'kernel', 'config', 'shape', 'workgroups', 'flops', 'bytes', 'ops', 'scopes']);
  expect(rows.map(([file]) => file)).toEqual(files.filter((file) => file.endsWith('.wgsl')).sort());
  expect(rows[2]).toMatchObject({ 0: '002-matmul.nn.wgsl', 3: 'm 4 n 8 k 4', 7: 'matmul exp', 8: 'layer.0' });
  const text = await readFile(join(dir, 'try-4x8', rows[2]![0]!), 'utf8');
  const { kernel } = program.dispatches[2]!;
  expect(text.endsWith(`\n\n${kernel.wgsl}`)).toBe(true);
  expect(text).toContain(`workgroups ${kernel.workgroups.join('×')}, flops ${kernel.flops}, bytes ${kernel.bytes}`);
  expect(text).toContain('// op exp layer.0');

  using again = await compile(1);
  expect(await readdir(join(dir, 'try-4x8-2'))).toHaveLength(again.dispatches.length + 1);
  engine.observer = new KernelDump(dir);
  using third = await compile(1);
  expect(await readdir(join(dir, 'try-4x8'))).toHaveLength(third.dispatches.length + 1);
});
