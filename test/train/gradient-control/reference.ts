/**
 * Tests only: the strategies in float64, on whole vectors, written as the papers have them. Weights that follow the gradient of an objective
 * (CLNorm, GradNorm) follow its central differences here.
 */

/** Gradients by layer: of one task. */
export type Layers = readonly (readonly number[])[];

/** What a strategy makes of all tasks' gradients, step by step. */
export type Reference = (gradients: readonly Layers[], losses: readonly number[], step: number) => Layers[];

const dot = (a: readonly number[], b: readonly number[]): number => a.reduce((s, x, i) => s + x * b[i]!, 0);
const minus = (a: readonly number[], b: readonly number[], by: number): number[] => a.map((x, i) => x - by * b[i]!);
const norm = (a: readonly number[]): number => Math.hypot(...a);
const mean = (values: readonly number[]): number => values.reduce((a, b) => a + b) / values.length;

/** The objectives are pieces of degree two at most: central differences of them are exact but for rounding. */
const WIDTH = 1e-4;

/** The derivatives of an objective by each of its weights. */
function differences(weights: readonly number[], objective: (weights: readonly number[]) => number): number[] {
  return weights.map((w, i) => {
    const [above, below] = [weights.with(i, w + WIDTH), weights.with(i, w - WIDTH)];
    return (objective(above) - objective(below)) / (2 * WIDTH);
  });
}

/** The sum of all tasks' gradients. */
export function total(gradients: readonly Layers[]): Layers {
  return gradients[0]!.map((layer, l) => layer.map((_, i) => gradients.reduce((s, g) => s + g[l]![i]!, 0)));
}

export function clnormReference(task: number, alpha: number, at: number, target: 'linear' | 'mean'): Reference {
  let w: number[] | undefined;
  return (gradients) => {
    const own = gradients[task]!;
    const head = own.length - 1;
    w ??= own.map(() => 1);
    const magnitudes = own.map(norm);
    const average = mean(magnitudes);
    const z = own.map((_, l) => (target === 'mean' ? average : (average / (at - head)) * (l - head)));
    const slopes = differences(w, (by) => by.reduce((sum, x, l) => sum + (x * magnitudes[l]! - z[l]!) ** 2 / 2, 0));
    w = w.map((value, l) => Math.max(0, value - alpha * slopes[l]!));
    return gradients.map((g, t) => (t === task ? g.map((layer, l) => layer.map((x) => w![l]! * x)) : g));
  };
}

/** @param order the other tasks of a task in a step, as they are projected off */
export type Order = (step: number, task: number) => readonly number[];

function projectedOff(
  own: readonly number[],
  others: readonly (readonly number[])[],
  when: 'always' | 'conflict',
): readonly number[] {
  return others.reduce((g, other) => {
    const [product, square] = [dot(g, other), dot(other, other)];
    return square === 0 || (when === 'conflict' && product >= 0) ? g : minus(g, other, product / square);
  }, own);
}

export function ilprojReference(when: 'always' | 'conflict', beta: readonly number[], order: Order): Reference {
  return (gradients, _, step) =>
    gradients.map((own, t) =>
      own.map((layer, l) => {
        const others = order(step, t).map((other) => gradients[other]![l]!);
        const projected = projectedOff(layer, others, when);
        return layer.map((x, i) => (1 - beta[l]!) * projected[i]! + beta[l]! * x);
      }),
    );
}

export function pcgradReference(order: Order): Reference {
  return (gradients, _, step) =>
    gradients.map((own, t) => {
      const others = order(step, t).map((other) => gradients[other]!.flat());
      const projected = [...projectedOff(own.flat(), others, 'conflict')];
      return own.map((layer) => projected.splice(0, layer.length));
    });
}

export function gradnormReference(tasks: number, alpha: number, lr: number): Reference {
  let w = Array<number>(tasks).fill(1);
  let first: readonly number[] | undefined;
  return (gradients, losses) => {
    first ??= losses;
    const used = w;
    const norms = gradients.map((g) => norm(g.at(-2)!));
    const ratios = losses.map((loss, t) => loss / first![t]!);
    const average = mean(norms.map((n, t) => used[t]! * n));
    const targets = ratios.map((ratio) => average * (ratio / mean(ratios)) ** alpha);
    const slopes = differences(used, (by) => by.reduce((sum, x, t) => sum + Math.abs(x * norms[t]! - targets[t]!), 0));
    const moved = used.map((value, t) => Math.max(1e-3, value - lr * slopes[t]!));
    w = moved.map((value) => value / mean(moved));
    return gradients.map((g, t) => g.map((layer) => layer.map((x) => used[t]! * x)));
  };
}
