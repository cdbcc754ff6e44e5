/**
 * Room: train. Steps on several tasks: each task's passes add up its gradients in buffers of their own, then one program turns them into one
 * update, by a strategy of gradient control. Nothing of a step comes to the host.
 */
import type { Program } from '../engine/compile/program.ts';
import type { Update } from '../engine/compile/graph.ts';
import type { HostArray } from '../engine/engine.ts';
import { option, UserError } from '../engine/errors.ts';
import type { Tensor } from '../engine/graph/tensor.ts';
import { add } from '../engine/ops/elementwise.ts';
import { slice } from '../engine/ops/copy.ts';
import { reshape } from '../engine/ops/leaf.ts';
import { ADAMW_INPUTS } from '../engine/optim/adamw.ts';
import type { Variable } from '../engine/variable.ts';
import type { Batch } from '../data/data-loader.ts';
import type { StepRecord } from './callbacks.ts';
import type { ActiveControl, GradientControl } from './gradient-control/control.ts';
import type { GradientLayers } from './gradient-control/layers.ts';
import { LayerSums } from './gradient-control/layer-sums.ts';
import { TaskGradients } from './gradient-control/task-gradients.ts';
import { GradientPasses } from './gradient-passes.ts';
import { SLOT_INPUT } from './loss-buffer.ts';
import { Optimization } from './optimization.ts';
import { disposeOf, OptimizedSteps, type StepLosses } from './run-steps.ts';
import type { OptimizationOptions, StepTransform, TrainingLoss } from './step.ts';
import { TaskHistory } from './task-history.ts';

/** A task of a run. */
export interface TaskLoss {
  readonly name: string;
  readonly training: TrainingLoss<Batch>;
}

/** How several tasks' gradients become one update. */
export interface TaskControl {
  /** In this order; none: their sum. */
  readonly controls: readonly GradientControl[];
  readonly layers: GradientLayers;
  /** Of what a control draws. */
  readonly seed: number;
}

type Given = Readonly<Record<string, Tensor>> & Readonly<Record<keyof typeof ADAMW_INPUTS | 'slot', Tensor>>;

export class TaskSteps extends OptimizedSteps<readonly Batch[]> {
  readonly #tasks: readonly TaskLoss[];
  readonly #options: OptimizationOptions;
  readonly #transform: StepTransform | undefined;
  readonly #history: TaskHistory;
  readonly #passes: readonly GradientPasses<Batch>[];
  readonly #sums: LayerSums;
  readonly #controls: readonly ActiveControl[];
  #update: Promise<Program> | undefined;

  /** @param tasks two or more, with the same parameters */
  constructor(
    tasks: readonly TaskLoss[],
    control: TaskControl,
    options: OptimizationOptions,
    transform?: StepTransform,
  ) {
    const { engine, parameters } = tasks[0]!.training;
    const names = tasks.map(({ name }) => name);
    const { layers, controls, seed } = control;
    if (controls.length > 0 && layers.names.length < 2)
      throw new UserError(
        `${option('gradientControl')}: works by layers of PEFT modules, and the model has none in its layers`,
      );
    const history = new TaskHistory(names, layers.names.length);
    super(engine, new Optimization(engine, parameters, options, transform, { grad_norm: 1, ...history.series }));
    this.#tasks = tasks;
    this.#options = options;
    this.#transform = transform;
    this.#controls = controls.map((each) => each.begin({ engine, tasks: names, layers, seed }));
    this.#history = history;
    const { gradients } = this.optimization.optimizer;
    this.#passes = tasks.map(({ training }) => new GradientPasses(training, options, gradients, transform));
    this.#sums = new LayerSums(engine, gradients.groups, layers);
  }

  async run(step: number, batches: readonly Batch[]): Promise<void> {
    const inputs = { ...this.optimization.inputs(step), ...this.#controlInputs(step) };
    const { accumulation = 1 } = this.#options;
    for (const [i, passes] of this.#passes.entries()) {
      // Tasks draw their dropout apart.
      const own = { ...inputs, step: Uint32Array.of(step * this.#tasks.length + i) };
      if (!passes.has(batches[i]!)) await passes.divide(batches[i]!, own, accumulation);
      await passes.run(batches[i]!, own);
    }
    (await (this.#update ??= this.#compileUpdate())).run(inputs);
  }

  #controlInputs(step: number): Record<string, HostArray> {
    return Object.assign({}, ...this.#controls.map((control) => control.values?.(step))) as Record<string, HostArray>;
  }

  tokens(batches: readonly Batch[]): number {
    return this.#tasks.reduce((sum, { training }, i) => sum + training.tokens(batches[i]!), 0);
  }

  override async records(past: StepLosses, from: number, to: number, perEpoch: number): Promise<StepRecord[]> {
    const records = await super.records(past, from, to, perEpoch);
    const tasks = await this.#history.read(this.losses, from, to);
    return records.map((record, i) => ({ ...record, tasks: tasks[i]! }));
  }

  settled(from: number, to: number): Promise<void> {
    return this.#history.check(this.losses, from, to);
  }

  #compileUpdate(): Promise<Program> {
    const inputs = {
      ...ADAMW_INPUTS,
      slot: SLOT_INPUT,
      ...this.#transform?.inputs,
      ...(Object.assign({}, ...this.#controls.map((control) => control.inputs)) as ActiveControl['inputs']),
    };
    return this.engine.compile('train update', inputs, (given) => ({ updates: this.#updates(given as Given) }));
  }

  #updates(inputs: Given): Update[] {
    const { optimizer, losses: buffer } = this.optimization;
    const { parameters } = this.#tasks[0]!.training;
    const parameter = (key: string): Tensor => parameters.get(key).tensor;
    const losses = this.#passes.map(({ loss }) => loss);
    const measured = this.#measured();
    const controlled = this.#controlled(measured, losses, inputs);
    const penalty = this.#transform?.penalty(parameter);
    const packed = this.#withPenalty(this.#combined(controlled.gradients), penalty);
    const { updates, norm } = optimizer.apply(packed, inputs);
    const taskLoss = losses.reduce((a, b) => add(a, b));
    const loss = penalty ? add(taskLoss, penalty) : taskLoss;
    const graph = { inputs, gradients: this.#byName(packed), packed: optimizer.gradients.grouped(packed), parameter };
    return [
      ...updates,
      ...controlled.updates,
      ...buffer.record(inputs.slot, {
        loss,
        task_loss: taskLoss,
        grad_norm: norm,
        ...this.#history.values(losses, measured, controlled.weight),
      }),
      ...this.#passes.flatMap((passes) => passes.cleared()),
      ...(this.#transform?.updates({ ...graph, isAccumulated: true }) ?? []),
    ];
  }

  #measured(): TaskGradients {
    const known = new Map<string, Tensor>();
    const packed = this.#packed;
    const gram = (a: number, b: number): Tensor => {
      const key = `${Math.min(a, b)} ${Math.max(a, b)}`;
      const dot = known.get(key) ?? this.#sums.dot(packed[a]!, packed[b]!);
      known.set(key, dot);
      return dot;
    };
    return TaskGradients.measured(this.#tasks.length, this.#sums.count, gram);
  }

  #controlled(
    gradients: TaskGradients,
    losses: readonly Tensor[],
    inputs: Given,
  ): { gradients: TaskGradients; updates: Update[]; weight: Tensor | undefined } {
    let [current, weight] = [gradients, undefined as Tensor | undefined];
    const updates: Update[] = [];
    for (const control of this.#controls) {
      const result = control.apply(current, { losses, inputs });
      updates.push(...(result.updates ?? []));
      current = result.gradients;
      weight ??= result.weight;
    }
    return { gradients: current, updates, weight };
  }

  /** Each task's gradients of the step, one tensor a group. */
  get #packed(): readonly (readonly Tensor[])[] {
    return this.#passes.map(({ sums }) => sums.sums.map(({ tensor }) => tensor));
  }

  /** The sum of all tasks' gradients, with their factors. */
  #combined(gradients: TaskGradients): readonly Tensor[] {
    const factors = this.#controls.length === 0 ? undefined : gradients.sum();
    const terms = this.#packed.map((packed, task) => {
      const factor = factors?.[task];
      return factor ? this.#sums.scaled(packed, factor) : packed;
    });
    return terms.reduce((a, b) => a.map((x, g) => add(x, b[g]!)));
  }

  /** Gradients of what is added to the loss once a step are no task's. */
  #withPenalty(packed: readonly Tensor[], penalty: Tensor | undefined): readonly Tensor[] {
    if (!penalty) return packed;
    const { gradients } = this.optimization.optimizer;
    const more = gradients.pack(gradients.of(penalty));
    return packed.map((gradient, g) => add(gradient, more[g]!));
  }

  #byName(packed: readonly Tensor[]): ReadonlyMap<string, Tensor> {
    const { groups } = this.optimization.optimizer.gradients;
    const entries = groups.flatMap(({ parameters, offsets }, g) =>
      parameters.map(({ name, tensor: { shape, size } }, p) => {
        return [name, reshape(slice(packed[g]!, 0, offsets[p]!, size), shape)] as const;
      }),
    );
    return new Map(entries);
  }

  override get state(): readonly Variable[] {
    return [...super.state, ...this.#controls.flatMap(({ state = [] }) => state)];
  }

  get programs(): readonly Program[] {
    return this.#passes.flatMap(({ programs }) => programs);
  }

  dispose(): void {
    disposeOf(this.#update);
    for (const passes of this.#passes) passes.dispose();
    for (const { state = [], constants = [] } of this.#controls)
      for (const variable of [...state, ...constants]) this.engine.free(variable);
    this.#sums.free();
    this.optimization.free();
  }
}
