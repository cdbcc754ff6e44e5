/** Room: train/gradient-control. GradNorm (Chen et al. 2018): weights on the tasks' losses, so that all tasks learn at like rates. */
import { option, UserError } from '../../engine/errors.ts';
import type { Tensor } from '../../engine/graph/tensor.ts';
import { slice } from '../../engine/ops/copy.ts';
import { add, div, equal, exp, log, maximum, mul, sign, sub, where } from '../../engine/ops/elementwise.ts';
import { reshape } from '../../engine/ops/leaf.ts';
import type { Variable } from '../../engine/variable.ts';
import type { ControlResult, GradientControl } from './control.ts';
import { times } from './task-gradients.ts';

/** Options of GradNorm. */
export interface GradNormOptions {
  /** α: how strongly rates are brought together; 1.5 unless given, as in the paper's first experiments. */
  readonly alpha?: number | undefined;
  /** Learning rate of the weights; 0.025 unless given, as in the paper. */
  readonly lr?: number | undefined;
}

/** The least that a weight may become. */
const LEAST = 1e-3;

/** The least training rate: its logarithm is finite. */
const TINY = 1e-12;

/**
 * Weights w_t on the tasks' losses, 1 at first, and T together. G_t = w_t ‖g_t‖ in the top layer with modules (the last shared one); a task's
 * rate is r_t = (L_t / L_t at the first step) over the tasks' mean; w_t follows the gradient of |G_t − mean(G) · r_t^α|, whose second part is
 * held constant, by plain gradient descent (the paper leaves the optimizer open). The weights of a step are those that the last one left.
 */
export function gradnorm({ alpha = 1.5, lr = 0.025 }: GradNormOptions = {}): GradientControl {
  if (!(alpha >= 0)) throw new UserError(`${option('gradnormAlpha')}: found ${alpha}, expected a number from 0 on`);
  return {
    begin: ({ engine, tasks, layers: { names } }) => {
      const one = (name: string, value: number): Variable =>
        engine.variable(name, [1], { kind: 'optimizer', data: Float32Array.of(value) });
      const weights = tasks.map((task) => one(`gradnorm.weight.${task}`, 1));
      // 0: no step was made yet.
      const first = tasks.map((task) => one(`gradnorm.first.${task}`, 0));
      const top = names.length - 2;
      return {
        state: [...weights, ...first],
        apply: (gradients, { losses }): ControlResult => {
          const start = losses.map((loss, t) => {
            const before = first[t]!.tensor;
            return where(equal(before, 0), reshape(loss, [1]), before);
          });
          const ratios = losses.map((loss, t) => where(start[t]!, div(reshape(loss, [1]), start[t]!), 1));
          const norms = tasks.map((_, t) => slice(gradients.norm(t), 0, top, 1));
          const w = weights.map(({ tensor }) => tensor);
          const scaled = norms.map((norm, t) => mul(w[t]!, norm));
          const [mean, ratio] = [meanOf(scaled), meanOf(ratios)];
          const moved = norms.map((norm, t) => {
            const rate = exp(mul(log(maximum(div(ratios[t]!, ratio), TINY)), alpha));
            const slope = mul(sign(sub(scaled[t]!, mul(mean, rate))), norm);
            return maximum(LEAST, sub(w[t]!, mul(slope, lr)));
          });
          const all = meanOf(moved);
          return {
            gradients: gradients.with(gradients.all.map((own, t) => times(own, w[t]!))),
            updates: [
              ...moved.map((value, t) => ({ target: weights[t]!, value: div(value, all) })),
              ...start.map((value, t) => ({ target: first[t]!, value })),
            ],
          };
        },
      };
    },
  };
}

function meanOf(values: readonly Tensor[]): Tensor {
  return div(
    values.reduce((a, b) => add(a, b)),
    values.length,
  );
}
