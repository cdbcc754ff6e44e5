/**
 * Room: train/gradient-control. How the gradients of several tasks become one update (docs/gradient-control.md): strategies are lists of
 * controls, each from one gradient a task to others, layer by layer, on the device. A control of your own needs `GradientControl` alone
 * (examples/custom-gradient-control.ts). It may import the engine, and `peft-model` for what layers a model has.
 */
export { clnorm, type CLNormOptions } from './clnorm.ts';
export type { ActiveControl, ControlledRun, ControlledStep, ControlResult, GradientControl } from './control.ts';
export { gradnorm, type GradNormOptions } from './gradnorm.ts';
export type { GradientLayers } from './layers.ts';
export { ilproj, pcgrad, type ILProjOptions } from './projection.ts';
export { plus, times, TaskGradients, type Mixture } from './task-gradients.ts';
