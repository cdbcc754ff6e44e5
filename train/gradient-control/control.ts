/**
 * Room: train/gradient-control. What a strategy is: from the gradients of several tasks to others, on the device, within a step. Strategies
 * are lists of such controls; the last one's gradients are added up.
 */
import type { Update } from '../../engine/compile/graph.ts';
import type { InputSpec } from '../../engine/compile/program.ts';
import type { Engine } from '../../engine/engine.ts';
import type { Tensor } from '../../engine/graph/tensor.ts';
import type { Variable } from '../../engine/variable.ts';
import type { Inputs } from '../step.ts';
import type { GradientLayers } from './layers.ts';
import type { TaskGradients } from './task-gradients.ts';

/** The run that a control takes part in. */
export interface ControlledRun {
  readonly engine: Engine;
  readonly tasks: readonly string[];
  readonly layers: GradientLayers;
  readonly seed: number;
}

/** What a control sees of a step beside the gradients. */
export interface ControlledStep {
  /** Each task's mean loss, shape []. */
  readonly losses: readonly Tensor[];
  /** Those of `ActiveControl.inputs`. */
  readonly inputs: Readonly<Record<string, Tensor>>;
}

/** What a control makes of a step. */
export interface ControlResult {
  readonly gradients: TaskGradients;
  /** Of its own variables. */
  readonly updates?: readonly Update[];
  /** What there is to tell of each layer, f32 [layers]: logged as `weight`. */
  readonly weight?: Tensor;
}

/** A control in a run. */
export interface ActiveControl {
  /** Variables that it keeps over steps: saved with checkpoints, and freed at the end of the run. */
  readonly state?: readonly Variable[];
  /** Variables that stay as they are: freed with the others. */
  readonly constants?: readonly Variable[];
  /** Inputs of the step's program. */
  readonly inputs?: Readonly<Record<string, InputSpec>>;
  /** Values of its inputs in a step. @param step counts from 0 */
  values?(step: number): Inputs;
  /** Builds its part of the step's graph. */
  apply(gradients: TaskGradients, step: ControlledStep): ControlResult;
}

/** A control before a run: options, without a device. */
export interface GradientControl {
  /** Begins a run. @throws UserError where it does not fit the tasks or the model's layers */
  begin(run: ControlledRun): ActiveControl;
}
