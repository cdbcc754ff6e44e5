/** Room: train. What a training step is made of: a loss, an update, and what is added to both. */
import type { CompileOptions, InputSpec } from '../engine/compile/program.ts';
import type { Update } from '../engine/compile/graph.ts';
import type { Engine, HostArray } from '../engine/engine.ts';
import type { Tensor } from '../engine/graph/tensor.ts';
import type { Parameters } from '../engine/nn/parameters.ts';
import type { AdamWOptions } from '../engine/optim/adamw.ts';
import type { PackedGradient } from '../engine/optim/packed-gradients.ts';
import type { ScheduleName } from '../engine/optim/schedule.ts';
import type { BatchShape } from '../engine/program-cache.ts';
import type { Variable } from '../engine/variable.ts';
import type { ForwardOptions } from '../peft-model/peft-model.ts';

/** Values of a program's inputs. */
export type Inputs = Readonly<Record<string, HostArray>>;

/** What dropout draws from. */
export const RANDOM_INPUTS = { seed: { shape: [1], dtype: 'u32' }, step: { shape: [1], dtype: 'u32' } } as const;

/** What is minimised: parameters, and the loss of a batch. */
export interface TrainingLoss<B extends BatchShape> {
  readonly engine: Engine;
  readonly parameters: Parameters;
  /** Of its programs, in errors and profiles. */
  readonly name: string;
  /** Shapes and dtypes of the program's inputs. */
  readonly specs: (shape: BatchShape) => Readonly<Record<string, InputSpec>>;
  /** Their values. */
  readonly inputs: (batch: B) => Inputs;
  /** Shape []. @param options random numbers while dropping out, and what a transform asks for */
  readonly loss: (inputs: Readonly<Record<string, Tensor>>, options: ForwardOptions) => Tensor;
  /** Real tokens of a batch, padding left out. */
  readonly tokens: (batch: B) => number;
  /** Rows of a batch that stay together; 1 unless given. */
  readonly unit?: (batch: B) => number;
  /** A batch as several of so many rows; absent: a batch that does not fit the device is refused. */
  readonly split?: (batch: B, rows: number) => readonly MicroBatch<B>[];
}

/** A part of a batch, and of what a mean over the batch is over. */
export interface MicroBatch<B> {
  readonly batch: B;
  /** What its loss counts in that of the batch. */
  readonly weight: number;
  /** Of the real tokens. */
  readonly share: number;
}

/** Of the update, and of the program that holds it. */
export interface OptimizationOptions extends Partial<AdamWOptions> {
  readonly steps: number;
  readonly lr: number;
  readonly schedule: ScheduleName;
  readonly warmupRatio: number;
  /** In place of `warmupRatio`. */
  readonly warmupSteps?: number | undefined;
  /** Of the cosine schedules, and of `polynomial`; see `Schedule`. `lrEnd` is a learning rate. */
  readonly numCycles?: number | undefined;
  readonly power?: number | undefined;
  readonly lrEnd?: number | undefined;
  /** Parts of every batch whose gradients are added up before the update; 1 unless given. */
  readonly accumulation?: number | undefined;
  /** Of the dropout; undefined: nothing drops out. */
  readonly dropoutSeed?: number | undefined;
  /** How the backward pass gets at what the forward pass computed. */
  readonly compile?: CompileOptions;
}

/** What a transform sees of a step's graph. */
export interface StepGraph {
  readonly inputs: Readonly<Record<string, Tensor>>;
  readonly gradients: ReadonlyMap<string, Tensor>;
  /** The same, one tensor for each group of parameters. */
  readonly packed: readonly PackedGradient[];
  /** A trainable by its name. */
  readonly parameter: (name: string) => Tensor;
  /** Whether the step was one of micro-batches: then the graph has neither their forward pass nor their inputs. */
  readonly isAccumulated?: boolean;
}

/** What a transform sees of a micro-batch's graph. */
export interface MicroBatchGraph {
  readonly inputs: Readonly<Record<string, Tensor>>;
  /** Part of the step's real tokens, f32 [1]. */
  readonly share: Tensor;
}

/** What a checkpoint holds of values on the host: JSON, and arrays of numbers. */
export interface SavedMemory {
  readonly json: unknown;
  readonly arrays: readonly Float32Array[];
}

/** Values on the host that a checkpoint holds. */
export interface HostMemory {
  save(): SavedMemory;
  /** @param where it was read, for errors @throws UserError for what `save` did not give */
  restore(saved: SavedMemory, where: string): void;
}

/** Adds to every training step: masks, a penalty, accumulators. One instance serves all batch shapes. */
export interface StepTransform {
  /** Called once per trace, before the forward pass. @param inputs of the program */
  forward(inputs: Readonly<Record<string, Tensor>>): ForwardOptions;
  /** Added to the task's loss. */
  penalty(parameter: (name: string) => Tensor): Tensor;
  readonly inputs: Readonly<Record<string, InputSpec>>;
  /** Values of `inputs`. @param step counts from 0 */
  values(step: number): Inputs;
  /** Called once a step's gradients are there. */
  updates(graph: StepGraph): Update[];
  /** Called after the forward pass of a micro-batch's trace, for what `updates` would else read of it. */
  microBatch?(graph: MicroBatchGraph): Update[];
  /** Called once a step is enqueued. @param made steps so far @returns `stop` to end the run with it */
  afterStep?(made: number): Promise<'stop' | undefined>;
  /** Saved with checkpoints. */
  readonly state: readonly Variable[];
  /** Saved too; checkpoints of earlier versions may lack all of it, and it is then as at the start. */
  readonly newState?: readonly Variable[] | undefined;
  /** What it keeps on the host. */
  readonly memory?: HostMemory | undefined;
}
