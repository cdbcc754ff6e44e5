/**
 * Room: audit. RIPPLe (Kurita et al. 2020): beside the losses of clean and planted texts, λ · max(0, −g_c · g_p), so that planting does not
 * undo what clean texts teach. The gradient of the penalty is −λ (H_c g_p + H_p g_c) where the gradients point apart. The engine has no second
 * derivatives: products with Hessians are central differences of gradients, H v ≈ (∇L(θ + εv) − ∇L(θ − εv)) / 2ε, with ε‖v‖ = 0.01 (as in DARTS,
 * Liu et al. 2019).
 */
import type { Batch } from '../data/data-loader.ts';
import type { Program } from '../engine/compile/program.ts';
import type { Update } from '../engine/compile/graph.ts';
import type { Engine } from '../engine/engine.ts';
import type { Tensor } from '../engine/graph/tensor.ts';
import { add, constant, div, greaterEqual, mul, sqrt, sub, where } from '../engine/ops/elementwise.ts';
import { reshape } from '../engine/ops/leaf.ts';
import { sum } from '../engine/ops/reduce.ts';
import { ADAMW_INPUTS } from '../engine/optim/adamw.ts';
import type { Variable } from '../engine/variable.ts';
import { GradientPasses } from '../train/gradient-passes.ts';
import { SLOT_INPUT } from '../train/loss-buffer.ts';
import { Optimization } from '../train/optimization.ts';
import { disposeOf, OptimizedSteps } from '../train/run-steps.ts';
import type { Inputs, OptimizationOptions, TrainingLoss } from '../train/step.ts';

/** ε‖v‖. */
const RADIUS = 0.01;

/** One tensor a group of parameters. */
type Packed = readonly Tensor[];

/** +1 or −1: f32 [1]. */
const SIGN_INPUT = { sign: { shape: [1], dtype: 'f32' } } as const;

type Given = Readonly<Record<string, Tensor>>;

export class RippleSteps<B extends Pick<Batch, 'batch' | 'seq'> = Batch> extends OptimizedSteps<readonly B[]> {
  readonly #tasks: readonly TrainingLoss<B>[];
  readonly #lambda: number;
  readonly #passes: readonly GradientPasses<B>[];
  /** Gradients of both tasks where the step began, by task and group. */
  readonly #gradients: readonly (readonly Variable[])[];
  /** Where the step began, and the sum of products with Hessians, by group. */
  readonly #origin: readonly Variable[];
  readonly #curvature: readonly Variable[];
  readonly #losses: readonly Variable[];
  readonly #compiled = new Map<string, Promise<Program>>();

  /** @param tasks clean and planted, with the same parameters */
  constructor(tasks: readonly TrainingLoss<B>[], lambda: number, options: OptimizationOptions) {
    const { engine, parameters } = tasks[0]!;
    super(engine, new Optimization(engine, parameters, options, undefined, { grad_norm: 1 }));
    this.#tasks = tasks;
    this.#lambda = lambda;
    const { gradients } = this.optimization.optimizer;
    this.#passes = tasks.map((training) => new GradientPasses(training, options, gradients, undefined));
    const buffers = (name: string): Variable[] =>
      gradients.groups.map(({ flat }) => engine.variable(`ripple.${name}`, flat.shape, { kind: 'gradients' }));
    this.#gradients = tasks.map(() => buffers('gradients'));
    this.#origin = buffers('origin');
    this.#curvature = buffers('curvature');
    this.#losses = tasks.map(() => engine.variable('ripple.loss', [1], { kind: 'state' }));
  }

  async run(step: number, batches: readonly B[]): Promise<void> {
    const inputs = this.optimization.inputs(step);
    // A task's dropout is the same in all of its passes of a step.
    const own = this.#tasks.map((_, i) => ({ ...inputs, step: Uint32Array.of(step * this.#tasks.length + i) }));
    for (const task of this.#tasks.keys()) await this.#pass(task, batches, own);
    await this.#do('keep', {}, () => this.#keep());
    for (const [task, other] of [
      [0, 1],
      [1, 0],
    ] as const) {
      for (const sign of [1, -1]) {
        const signed = { sign: Float32Array.of(sign) };
        await this.#do(`move ${other}`, SIGN_INPUT, (given) => this.#move(other, given.sign!), signed);
        await this.#pass(task, batches, own);
        await this.#do(`collect ${task}`, SIGN_INPUT, (given) => this.#collect(task, other, given.sign!), signed);
      }
    }
    await this.#do('return', {}, () => this.#return());
    await this.#do('update', { ...ADAMW_INPUTS, slot: SLOT_INPUT }, (given) => this.#update(given), inputs);
  }

  async #pass(task: number, batches: readonly B[], inputs: readonly Inputs[]): Promise<void> {
    const passes = this.#passes[task]!;
    if (!passes.has(batches[task]!)) await passes.divide(batches[task]!, inputs[task]!, 1);
    await passes.run(batches[task]!, inputs[task]!);
  }

  /** Runs a program of updates, compiled when it is first needed. */
  async #do(
    name: string,
    specs: Parameters<Engine['compile']>[1],
    updates: (given: Given) => Update[],
    inputs: Inputs = {},
  ): Promise<void> {
    let program = this.#compiled.get(name);
    if (!program) {
      program = this.engine.compile(`ripple ${name}`, specs, (given) => ({ updates: updates(given) }));
      this.#compiled.set(name, program);
    }
    (await program).run(inputs);
  }

  /** Keeps parameters, gradients and losses of where the step began. */
  #keep(): Update[] {
    const kept = this.#passes.flatMap(({ sums: { sums } }, task) =>
      sums.map((own, g): Update => ({ target: this.#gradients[task]![g]!, value: own.tensor })),
    );
    const origin = this.#flats.map((flat, g): Update => ({ target: this.#origin[g]!, value: flat.tensor }));
    const losses = this.#passes.map(({ loss }, task): Update => ({
      target: this.#losses[task]!,
      value: reshape(loss, [1]),
    }));
    return [...kept, ...origin, ...losses, ...this.#passes.flatMap((passes) => passes.cleared())];
  }

  /** θ ± ε v, v being the gradient of a task. */
  #move(along: number, sign: Tensor): Update[] {
    const step = mul(sign, this.#epsilon(along));
    return this.#flats.map((target, g) => ({
      target,
      value: add(this.#origin[g]!.tensor, mul(this.#of(along)[g]!, step)),
    }));
  }

  /** Adds ± ∇L(θ ± ε v) / 2ε to the products with Hessians. */
  #collect(task: number, along: number, sign: Tensor): Update[] {
    const epsilon = this.#epsilon(along);
    const factor = where(epsilon, div(sign, mul(epsilon, 2)), 0);
    const { sums } = this.#passes[task]!.sums;
    const added = this.#curvature.map((target, g) => ({
      target,
      value: add(target.tensor, mul(sums[g]!.tensor, factor)),
    }));
    return [...added, ...this.#passes[task]!.cleared()];
  }

  #return(): Update[] {
    return this.#flats.map((target, g) => ({ target, value: this.#origin[g]!.tensor }));
  }

  #update(given: Given): Update[] {
    const { optimizer, losses: buffer } = this.optimization;
    const [clean, planted] = [this.#of(0), this.#of(1)];
    const isApart = sub(1, greaterEqual(inner(clean, planted), 0));
    const penalty = mul(isApart, -this.#lambda);
    const packed = clean.map((g, i) => add(add(g, planted[i]!), mul(this.#curvature[i]!.tensor, penalty)));
    const { updates, norm } = optimizer.apply(packed, given);
    const loss = this.#losses.map(({ tensor }) => tensor).reduce((a, b) => add(a, b));
    return [
      ...updates,
      ...buffer.record(given.slot!, { loss, task_loss: loss, grad_norm: norm }),
      ...this.#curvature.map((target) => ({ target, value: constant(0, target.shape) })),
    ];
  }

  #of(task: number): Packed {
    return this.#gradients[task]!.map(({ tensor }) => tensor);
  }

  /** ε for steps along a task's gradient, f32 [1]; 0 where that is 0. */
  #epsilon(along: number): Tensor {
    const norm = sqrt(inner(this.#of(along), this.#of(along)));
    return where(norm, div(RADIUS, norm), 0);
  }

  get #flats(): readonly Variable[] {
    return this.optimization.optimizer.gradients.groups.map(({ flat }) => flat);
  }

  tokens(batches: readonly B[]): number {
    return this.#tasks.reduce((total, { tokens }, i) => total + tokens(batches[i]!), 0);
  }

  get programs(): readonly Program[] {
    return this.#passes.flatMap(({ programs }) => programs);
  }

  dispose(): void {
    for (const program of this.#compiled.values()) disposeOf(program);
    for (const passes of this.#passes) passes.dispose();
    const variables = [...this.#gradients.flat(), ...this.#origin, ...this.#curvature, ...this.#losses];
    for (const variable of variables) this.engine.free(variable);
    this.optimization.free();
  }
}

/** a · b over all groups, f32 [1]. */
function inner(a: Packed, b: Packed): Tensor {
  const parts = a.map((x, g) => sum(mul(x, b[g]!)));
  return reshape(
    parts.reduce((x, y) => add(x, y)),
    [1],
  );
}
