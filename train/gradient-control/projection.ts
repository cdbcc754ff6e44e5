/**
 * Room: train/gradient-control. Gradients projected off each other: PCGrad on the whole (Yu et al. 2020), ILProj within each layer (Gu et al.
 * 2023, equations 5–8). With more than two tasks each is projected off the others in turn, in an order drawn for every step.
 */
import type { InputSpec } from '../../engine/compile/program.ts';
import { option, UserError } from '../../engine/errors.ts';
import type { Tensor } from '../../engine/graph/tensor.ts';
import { slice } from '../../engine/ops/copy.ts';
import { constant, div, equal, minimum, mul, neg, sub, where } from '../../engine/ops/elementwise.ts';
import { expand, sum } from '../../engine/ops/reduce.ts';
import { reshape } from '../../engine/ops/leaf.ts';
import { hostRandom, STREAM } from '../../engine/random.ts';
import type { ActiveControl, ControlResult, GradientControl } from './control.ts';
import { plus, times, type Mixture, type TaskGradients } from './task-gradients.ts';

/** Options of ILProj. */
export interface ILProjOptions {
  /** `always`, as the paper; or only where gradients of two tasks point apart in a layer, as PCGrad does. `conflict` unless given. */
  readonly when?: 'always' | 'conflict' | undefined;
  /**
   * β: the part of plain gradients in each layer. `halves`: 1 in the lower half of the layers, 0 in the upper and in the output layer, as in
   * the paper. A number: for all. A list: layer by layer; the output layer, where it has none, 0. `halves` unless given.
   */
  readonly beta?: 'halves' | number | readonly number[] | undefined;
}

/** Projects each task's gradient off the others' in every layer. */
export function ilproj({ when = 'conflict', beta = 'halves' }: ILProjOptions = {}): GradientControl {
  return {
    begin: ({ engine, layers: { names }, tasks, seed }) => {
      const data = Float32Array.from(betas(beta, names.length));
      const plain = engine.variable('ilproj.beta', [names.length], { kind: 'optimizer', data });
      return {
        ...orders(tasks.length, seed),
        constants: [plain],
        apply: (gradients, { inputs }): ControlResult => {
          const projected = projections(gradients, { inputs, when, perLayer: true });
          const blend = (own: Mixture, other: Mixture): Mixture =>
            plus(times(own, plain.tensor), other, sub(1, plain.tensor));
          return { gradients: gradients.with(gradients.all.map((own, i) => blend(own, projected[i]!))) };
        },
      };
    },
  };
}

/** Projects each task's whole gradient off those that it conflicts with. */
export function pcgrad(): GradientControl {
  return {
    begin: ({ tasks, seed }) => ({
      ...orders(tasks.length, seed),
      apply: (gradients, { inputs }): ControlResult => ({
        gradients: gradients.with(projections(gradients, { inputs, when: 'conflict', perLayer: false })),
      }),
    }),
  };
}

/** β of every layer, the output layer last. @throws UserError for what is not between 0 and 1, or another number of layers */
function betas(beta: NonNullable<ILProjOptions['beta']>, count: number): number[] {
  const head = count - 1;
  if (beta === 'halves') return Array.from({ length: count }, (_, layer) => (layer < Math.floor(head / 2) ? 1 : 0));
  const given = typeof beta === 'number' ? Array<number>(count).fill(beta) : [...beta];
  const wrong = given.find((value) => !(value >= 0 && value <= 1));
  if (wrong !== undefined)
    throw new UserError(`${option('ilprojBeta')}: found ${wrong}, expected numbers from 0 to 1, or halves`);
  if (given.length !== count && given.length !== head)
    throw new UserError(
      `${option('ilprojBeta')}: found ${given.length} numbers, expected one for each of the ${head} layers with modules`,
    );
  return given.length === head ? [...given, 0] : given;
}

const ORDER = 'projectionOrder';

/** The other tasks, in an order for each task and step: i32 [tasks, tasks − 1]. Two tasks need none. */
function orders(tasks: number, seed: number): Pick<ActiveControl, 'inputs' | 'values'> {
  if (tasks < 3) return {};
  const inputs: Readonly<Record<string, InputSpec>> = { [ORDER]: { shape: [tasks * (tasks - 1)], dtype: 'i32' } };
  const values = (step: number): Record<string, Int32Array> => {
    const rows = Array.from({ length: tasks }, (_, task) => {
      const others = Int32Array.from({ length: tasks - 1 }, (_, i) => (i < task ? i : i + 1));
      return [...hostRandom(seed, STREAM.projection, step, task).shuffle(others)];
    });
    return { [ORDER]: Int32Array.from(rows.flat()) };
  };
  return { inputs, values };
}

interface Projection {
  readonly inputs: Readonly<Record<string, Tensor>>;
  readonly when: 'always' | 'conflict';
  readonly perLayer: boolean;
}

/** Every task's gradient, projected off all others' as these were before. A gradient of 0 is left alone, and nothing is projected off it. */
function projections(gradients: TaskGradients, { inputs, when, perLayer }: Projection): Mixture[] {
  const tasks = gradients.count;
  const inner = (a: Mixture, b: Mixture): Tensor => {
    const dot = gradients.dot(a, b);
    return perLayer ? dot : expand(reshape(sum(dot), [1]), [gradients.layers]);
  };
  /** What of b is to be added to a. */
  const factor = (a: Mixture, b: Mixture): Tensor => {
    const [dot, square] = [inner(a, b), inner(b, b)];
    return neg(where(square, div(when === 'conflict' ? minimum(dot, 0) : dot, square), 0));
  };
  return gradients.all.map((own, task) => {
    const others = Array.from({ length: tasks }, (_, i) => i).filter((i) => i !== task);
    if (tasks === 2) return plus(own, gradients.of(others[0]!), factor(own, gradients.of(others[0]!)));
    const order = inputs[ORDER]!;
    let projected = own;
    for (let place = 0; place < tasks - 1; place++) {
      const chosen = slice(order, 0, task * (tasks - 1) + place, 1);
      const changes = others.map((other) => ({
        other: gradients.of(other),
        by: mul(factor(projected, gradients.of(other)), equal(chosen, constant(other, [1]))),
      }));
      for (const { other, by } of changes) projected = plus(projected, other, by);
    }
    return projected;
  });
}
