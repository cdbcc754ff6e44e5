/**
 * Room: train/gradient-control. CLNorm: cross-layer gradient magnitude normalisation of one task (Gu et al. 2023, equations 1–4). The paper
 * leaves open what equation 4 works on (here: magnitudes), and whether a weight may become negative (here: no).
 */
import { option, UserError } from '../../engine/errors.ts';
import type { Tensor } from '../../engine/graph/tensor.ts';
import { div, iota, maximum, mul, sub } from '../../engine/ops/elementwise.ts';
import { sum } from '../../engine/ops/reduce.ts';
import { reshape } from '../../engine/ops/leaf.ts';
import type { ControlResult, GradientControl } from './control.ts';
import { taskNumber } from './names.ts';
import { times } from './task-gradients.ts';

/** Options of CLNorm. */
export interface CLNormOptions {
  /** The task whose gradients are normalised. */
  readonly task: string;
  /** α, the step size of the weights; 1e-4 unless given, as in the paper. */
  readonly alpha?: number | undefined;
  /** l_a: the layer, among those with modules, at which the line has the average; ⌊N/2⌋ unless given. */
  readonly layer?: number | undefined;
  /**
   * z(l): `linear`, falling from the lowest layer to 0 at the output layer (equation 2), or `mean`, the average in all layers. `linear` unless
   * given.
   */
  readonly target?: 'linear' | 'mean' | undefined;
}

/**
 * Weights w_l on a task's gradient in each layer, which bring its magnitudes nearer to a target:
 * w_l ← max(0, w_l − α (w_l ‖g(l)‖ − z(l)) ‖g(l)‖), 1 at first; the gradient is w_l g(l).
 */
export function clnorm({ task, alpha = 1e-4, layer, target = 'linear' }: CLNormOptions): GradientControl {
  if (!(alpha > 0)) throw new UserError(`${option('clnormAlpha')}: found ${alpha}, expected a number above 0`);
  return {
    begin: ({ engine, tasks, layers: { names } }) => {
      const index = taskNumber(task, tasks, 'clnormTask');
      const [count, head] = [names.length, names.length - 1];
      const at = target === 'mean' ? undefined : layerOfAverage(layer ?? Math.floor(head / 2), head);
      const weights = engine.variable('clnorm.weights', [count], {
        kind: 'optimizer',
        data: new Float32Array(count).fill(1),
      });
      return {
        state: [weights],
        apply: (gradients): ControlResult => {
          const norm = gradients.norm(index);
          const average = reshape(div(sum(norm), count), [1]);
          const z = at === undefined ? average : mul(line(count, at), average);
          const w = weights.tensor;
          const weight = maximum(0, sub(w, mul(mul(sub(mul(w, norm), z), norm), alpha)));
          const update = { target: weights, value: weight };
          return {
            gradients: gradients.replaced(index, times(gradients.of(index), weight)),
            updates: [update],
            weight,
          };
        },
      };
    },
  };
}

/** z(l) / Avg of every layer, f32 [count]: 1 at layer `at`, 0 at the output layer. */
function line(count: number, at: number): Tensor {
  const layer = reshape(iota([1, count]), [count]);
  return mul(sub(layer, count - 1), 1 / (at - count + 1));
}

/** @throws UserError for a layer that there is not */
function layerOfAverage(at: number, head: number): number {
  if (Number.isInteger(at) && at >= 0 && at < head) return at;
  throw new UserError(
    `${option('clnormLayer')}: found ${at}, expected a layer among those with modules, from 0 to ${head - 1}`,
  );
}
