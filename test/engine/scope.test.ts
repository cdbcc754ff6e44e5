/** Protects: named scopes reach the dispatches — forward, backward, recomputed and fused — and change no kernel. */
import { afterAll, beforeAll, expect, it } from 'vitest';
import { gradients } from '../../engine/autograd/gradients.ts';
import type { Program } from '../../engine/compile/program.ts';
import { Engine } from '../../engine/engine.ts';
import { currentScope, namedScope } from '../../engine/graph/scope.ts';
import type { Tensor } from '../../engine/graph/tensor.ts';
import { add, gelu, square } from '../../engine/ops/elementwise.ts';
import { layerNorm } from '../../engine/ops/layernorm.ts';
import { matmul } from '../../engine/ops/matmul.ts';
import { sum } from '../../engine/ops/reduce.ts';
import type { Variable } from '../../engine/variable.ts';

let engine: Engine;
let x: Variable;
let w: Variable;
beforeAll(async () => {
  engine = await Engine.open();
  const data = Float32Array.from({ length: 64 }, (_, i) => Math.sin(i));
  [x, w] = ['x', 'w'].map((name) => engine.variable(name, [8, 8], { kind: 'state', data })) as [Variable, Variable];
});
afterAll(() => engine.close());

type Scope = <T>(name: string, build: () => T) => T;

/** Two layers of a product with a low-rank one beside it, bias and GELU, and the gradient of the weight. */
function compileNet(scope: Scope): Promise<Program> {
  const b = engine.variable('b', [8], { kind: 'state' });
  const layer = (input: Tensor): Tensor =>
    scope('up', () => {
      const base = matmul(input, w.tensor);
      const low = scope('lora', () => matmul(matmul(input, x.tensor), x.tensor));
      return gelu(add(add(base, low), b.tensor));
    });
  return engine.compile('net', {}, () => {
    const first = scope('layer.0', () => layer(x.tensor));
    const normed = scope('layer.1', () => layer(layerNorm(first, b.tensor, b.tensor, 1e-5)));
    const loss = scope('loss', () => sum(square(normed)));
    return { outputs: { loss, g: gradients(loss, [w.tensor])[0]! } };
  });
}

it('nests, and ends with its function, even one that throws', () => {
  expect(namedScope('a', () => namedScope('b', currentScope))).toBe('a/b');
  expect(() => namedScope('a', () => { throw new Error('stop'); })).toThrow('stop'); // prettier-ignore
  expect(currentScope()).toBe('');
});

it('names what each dispatch runs', async () => {
  using program = await compileNet(namedScope);
  const scopes = program.dispatches.map(({ kernel, ops }) => [kernel.name, ops.flatMap((op) => op.scopes)] as const);
  const fused = scopes.find(([name]) => name === 'matmul.nn+nn')!;
  expect([...new Set(fused[1])]).toEqual(expect.arrayContaining(['layer.0/up', 'layer.0/up/lora']));
  const all = new Set(scopes.flatMap(([, names]) => names));
  for (const name of [
    'loss',
    'backward(loss)',
    'backward(layer.1/up)',
    'recompute(layer.1/up)',
    'backward(layer.0/up)',
  ])
    expect(all).toContain(name);
  expect(all).not.toContain('');
});

it('changes neither kernels nor their order', async () => {
  using named = await compileNet(namedScope);
  using plain = await compileNet((_, build) => build());
  const kernelsOf = ({ dispatches }: Program): unknown => dispatches.map(({ kernel }) => kernel);
  expect(kernelsOf(named)).toEqual(kernelsOf(plain));
  expect(plain.dispatches.flatMap(({ ops }) => ops.flatMap(({ scopes }) => scopes)).join('')).toBe('');
});
