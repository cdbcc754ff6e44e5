/**
 * Protects: every strategy's update, over several steps, is that of a float64 reference on whole vectors: three tasks, a gradient of 0, layers
 * in several groups of parameters, clamped weights, other targets and layers, and strategies one after the other.
 */
import { describe, expect, it } from 'vitest';
import { Parameters } from '../../../engine/nn/parameters.ts';
import { constant } from '../../../engine/ops/elementwise.ts';
import { reshape } from '../../../engine/ops/leaf.ts';
import { hostRandom, STREAM } from '../../../engine/random.ts';
import { clnorm } from '../../../train/gradient-control/clnorm.ts';
import type { GradientControl } from '../../../train/gradient-control/control.ts';
import { gradnorm } from '../../../train/gradient-control/gradnorm.ts';
import { LayerSums } from '../../../train/gradient-control/layer-sums.ts';
import { ilproj, pcgrad } from '../../../train/gradient-control/projection.ts';
import { TaskGradients } from '../../../train/gradient-control/task-gradients.ts';
import { openTestEngine } from '../../engine.ts';
import {
  clnormReference,
  gradnormReference,
  ilprojReference,
  pcgradReference,
  total,
  type Layers,
  type Order,
  type Reference,
} from './reference.ts';

const engine = await openTestEngine();
const SEED = 5;

/** Sizes of two parameters in each layer, the second of which decays otherwise and so is in another group. */
const SIZES = [
  [70, 3],
  [64, 130],
  [5, 9],
  [200, 1],
] as const;
const layers = { names: ['0', '1', '3', 'head'], of: (name: string) => Number(name.split('.')[0]) };

const parameters = new Parameters(
  engine,
  SIZES.flatMap((sizes, l) =>
    sizes.map((size, i) => ({ name: `${l}.${i}`, shape: [size], data: new Float32Array(size), decay: i === 0 })),
  ),
);

/** Gradients of a step that pull partly against each other. @param silent a task without a gradient in this step */
function drawn(tasks: number, step: number, silent?: number): Layers[] {
  const random = hostRandom(11, 99, step);
  const common = SIZES.map(([a, b]) => Array.from({ length: a + b }, () => random.normal()));
  return Array.from({ length: tasks }, (_, t) =>
    common.map((layer, l) =>
      layer.map((x) => (t === silent ? 0 : Math.fround((l + 1) * (random.normal() + (t % 2 ? -0.7 : 0.7) * x)))),
    ),
  );
}

function packed(gradients: Layers): Float32Array[] {
  return parameters.groups.map(({ flat, parameters: own, offsets }) => {
    const values = new Float32Array(flat.size);
    own.forEach(({ name, size }, p) => {
      const [layer, i] = name.split('.').map(Number) as [number, number];
      const start = i === 0 ? 0 : SIZES[layer]![0];
      values.set(gradients[layer]!.slice(start, start + size), offsets[p]);
    });
    return values;
  });
}

/** What the controls make of three steps, with one reference after the other beside them. */
async function compare(
  controls: readonly GradientControl[],
  references: readonly Reference[],
  tasks: number,
  silent?: number,
): Promise<void> {
  const names = Array.from({ length: tasks }, (_, t) => `task ${t}`);
  const active = controls.map((control) => control.begin({ engine, tasks: names, layers, seed: SEED }));
  const sums = new LayerSums(engine, parameters.groups, layers);
  const specs = Object.fromEntries([
    ...names.flatMap((_, t) =>
      parameters.groups.map(({ flat }, g) => [`g${t}.${g}`, { shape: flat.shape, dtype: 'f32' }] as const),
    ),
    ...names.map((_, t) => [`loss${t}`, { shape: [1], dtype: 'f32' }] as const),
    ...active.flatMap(({ inputs = {} }) => Object.entries(inputs)),
  ]);
  const program = await engine.compile('control', specs, (inputs) => {
    const flat = names.map((_, t) => parameters.groups.map((__, g) => inputs[`g${t}.${g}`]!));
    let gradients = TaskGradients.measured(tasks, layers.names.length, (a, b) => sums.dot(flat[a]!, flat[b]!));
    const losses = names.map((_, t) => reshape(inputs[`loss${t}`]!, []));
    const updates = active.flatMap((control) => {
      const result = control.apply(gradients, { losses, inputs });
      ({ gradients } = result);
      return [...(result.updates ?? [])];
    });
    const outputs = gradients
      .sum()
      .flatMap((factor, t) =>
        sums
          .scaled(flat[t]!, factor ?? constant(0, [layers.names.length]))
          .map((value, g) => [`out${t}.${g}`, value] as const),
      );
    return { updates, outputs: Object.fromEntries(outputs) };
  });
  for (let step = 0; step < 3; step++) {
    const gradients = drawn(tasks, step, step === 1 ? silent : undefined);
    const losses = names.map((_, t) => Math.fround(2 / (1 + step * (t + 1))));
    const values = gradients.flatMap((g, t) => packed(g).map((data, group) => [`g${t}.${group}`, data] as const));
    program.run({
      ...Object.fromEntries(values),
      ...Object.fromEntries(losses.map((loss, t) => [`loss${t}`, Float32Array.of(loss)])),
      ...(Object.assign({}, ...active.map((control) => control.values?.(step))) as Record<string, Int32Array>),
    });
    const wanted = packed(total(references.reduce((g, reference) => reference(g, losses, step), gradients)));
    for (const [g, expected] of wanted.entries()) {
      const parts = await Promise.all(names.map((_, t) => program.read(`out${t}.${g}`)));
      const found = expected.map((_, i) => parts.reduce((s, part) => s + part[i]!, 0));
      const scale = Math.max(...expected.map(Math.abs));
      const worst = Math.max(...expected.map((value, i) => Math.abs(value - found[i]!) / scale));
      expect(worst).toBeLessThan(1e-5);
    }
  }
  program.dispose();
}

const others =
  (tasks: number): Order =>
  (step, task) => {
    const rest = Int32Array.from({ length: tasks - 1 }, (_, i) => (i < task ? i : i + 1));
    return tasks === 2 ? [...rest] : [...hostRandom(SEED, STREAM.projection, step, task).shuffle(rest)];
  };
const HALVES = [1, 0, 0, 0];

describe('a float64 reference agrees', () => {
  it.each([
    ['linear, the middle layer', {}, 1, 'linear'],
    ['linear, the lowest layer', { layer: 0 }, 0, 'linear'],
    ['the mean', { target: 'mean' }, 0, 'mean'],
  ] as const)('CLNorm: %s', async (_, options, at, target) => {
    const control = clnorm({ task: 'task 1', alpha: 1e-3, ...options });
    await compare([control], [clnormReference(1, 1e-3, at, target)], 2, 1);
  });
  it('CLNorm with weights that fall to 0 and stay there', async () => {
    await compare([clnorm({ task: 'task 0', alpha: 0.05 })], [clnormReference(0, 0.05, 1, 'linear')], 2);
  });
  it.each([2, 3])('ILProj of %i tasks, always and where they conflict', async (tasks) => {
    await compare([ilproj({ when: 'always' })], [ilprojReference('always', HALVES, others(tasks))], tasks, 1);
    const beta = [0.25, 0, 1];
    const reference = ilprojReference('conflict', [...beta, 0], others(tasks));
    await compare([ilproj({ beta })], [reference], tasks, 0);
  });
  it.each([2, 3])('PCGrad of %i tasks', async (tasks) => {
    await compare([pcgrad()], [pcgradReference(others(tasks))], tasks, 1);
  });
  it.each([2, 3])('GradNorm of %i tasks', async (tasks) => {
    await compare([gradnorm()], [gradnormReference(tasks, 1.5, 0.025)], tasks);
    await compare([gradnorm({ alpha: 0, lr: 0.01 })], [gradnormReference(tasks, 0, 0.01)], tasks);
  });
  it('CLNorm, then ILProj, of three tasks', async () => {
    await compare(
      [clnorm({ task: 'task 2', alpha: 1e-3 }), ilproj({ when: 'always' })],
      [clnormReference(2, 1e-3, 1, 'linear'), ilprojReference('always', HALVES, others(3))],
      3,
    );
  });
});

describe('what does not fit is refused', () => {
  const begin = (control: GradientControl) => control.begin({ engine, tasks: ['a', 'b'], layers, seed: 0 });
  it.each([
    ['a task that there is not', () => begin(clnorm({ task: 'c' })), /clnormTask.*found "c".*a, b/],
    ['a layer above the last', () => begin(clnorm({ task: 'a', layer: 3 })), /clnormLayer.*found 3.*0 to 2/],
    ['an α that is not above 0', () => begin(clnorm({ task: 'a', alpha: 0 })), /clnormAlpha.*above 0/],
    ['a β above 1', () => begin(ilproj({ beta: [0, 1.5, 0] })), /ilprojBeta.*found 1\.5/],
    ['β of another number of layers', () => begin(ilproj({ beta: [0, 1] })), /ilprojBeta.*found 2 numbers.*3 layers/],
    ['a negative α of GradNorm', () => begin(gradnorm({ alpha: -1 })), /gradnormAlpha/],
  ])('%s', (_, attempt, message) => expect(attempt).toThrow(message));
});
