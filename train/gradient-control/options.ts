/** Room: train/gradient-control. Strategies by name, as commands and configuration files have them. */
import { z } from 'zod';
import { option, UserError } from '../../engine/errors.ts';
import { clnorm } from './clnorm.ts';
import type { GradientControl } from './control.ts';
import { gradnorm } from './gradnorm.ts';
import { taskNumber } from './names.ts';
import { ilproj, pcgrad } from './projection.ts';

export const STRATEGIES = ['sum', 'pcgrad', 'gradnorm', 'clnorm', 'ilproj', 'clnorm+ilproj'] as const;

export const controlOptions = {
  gradientControl: z
    .enum(STRATEGIES)
    .optional()
    .describe('how gradients of several tasks become one update (default: sum)'),
  clnormTask: z.string().optional().describe('CLNorm: the task whose gradients are normalised across layers'),
  clnormAlpha: z.number().positive().optional().describe('CLNorm: step size of the weights of layers (default: 1e-4)'),
  clnormLayer: z
    .int()
    .nonnegative()
    .optional()
    .describe('CLNorm: the layer with the average magnitude, among those with modules (default: the middle one)'),
  clnormTarget: z
    .enum(['linear', 'mean'])
    .optional()
    .describe('CLNorm: magnitudes that fall to 0 at the head, or are all alike (default: linear)'),
  ilproj: z
    .enum(['always', 'conflict'])
    .optional()
    .describe('ILProj: project gradients in all layers, or where they point apart (default: conflict)'),
  ilprojBeta: z
    .union([z.enum(['halves']), z.number(), z.array(z.number())])
    .optional()
    .describe('ILProj: part of plain gradients: for all layers, by layer as 1,1,0,0, or halves (default: halves)'),
  gradnormAlpha: z
    .number()
    .nonnegative()
    .optional()
    .describe('GradNorm: how strongly the rates of tasks are brought together (default: 1.5)'),
};

export type ControlOptions = z.output<z.ZodObject<typeof controlOptions>>;

/** Options of one strategy, and those that read them. */
const OF_STRATEGIES = {
  clnormTask: 'clnorm',
  clnormAlpha: 'clnorm',
  clnormLayer: 'clnorm',
  clnormTarget: 'clnorm',
  ilproj: 'ilproj',
  ilprojBeta: 'ilproj',
  gradnormAlpha: 'gradnorm',
} as const satisfies Partial<Record<keyof ControlOptions, string>>;

/** @throws UserError for an option of a strategy that is not asked for, or one that lacks what it needs */
export function assertControlFits(options: ControlOptions): void {
  const { gradientControl = 'sum', clnormTask, clnormLayer, clnormTarget } = options;
  const parts: readonly string[] = gradientControl.split('+');
  for (const [name, strategy] of Object.entries(OF_STRATEGIES) as [keyof typeof OF_STRATEGIES, string][]) {
    if (options[name] === undefined || parts.includes(strategy)) continue;
    throw new UserError(`${option(name)}: found ${option('gradientControl')} ${gradientControl}, expected ${strategy}`);
  }
  if (parts.includes('clnorm') && clnormTask === undefined)
    throw new UserError(
      `${option('gradientControl')} ${gradientControl}: name the task whose gradients it normalises with ${option('clnormTask')}`,
    );
  if (clnormLayer !== undefined && clnormTarget === 'mean')
    throw new UserError(`${option('clnormLayer')}: is for ${option('clnormTarget')} linear, found mean`);
}

/** @throws UserError for a strategy of one task, and the name of a task that there is not */
export function assertTasksFit(
  { gradientControl = 'sum', clnormTask }: ControlOptions,
  tasks: readonly string[],
): void {
  if (gradientControl !== 'sum' && tasks.length < 2) throw oneTask();
  if (clnormTask !== undefined) taskNumber(clnormTask, tasks, 'clnormTask');
}

/** What to say of a strategy where there is nothing to control. */
export function oneTask(): UserError {
  return new UserError(`${option('gradientControl')}: is for several tasks, and there is one`);
}

/** The controls that options name, in the paper's order. @throws UserError as `assertControlFits` */
export function controlsOf(options: ControlOptions): GradientControl[] {
  assertControlFits(options);
  const { gradientControl = 'sum', clnormTask, clnormAlpha: alpha, clnormLayer: layer, clnormTarget: target } = options;
  const { ilproj: when, ilprojBeta: beta, gradnormAlpha } = options;
  switch (gradientControl) {
    case 'sum':
      return [];
    case 'pcgrad':
      return [pcgrad()];
    case 'gradnorm':
      return [gradnorm({ alpha: gradnormAlpha })];
    case 'clnorm':
      return [clnorm({ task: clnormTask!, alpha, layer, target })];
    case 'ilproj':
      return [ilproj({ when, beta })];
    case 'clnorm+ilproj':
      return [clnorm({ task: clnormTask!, alpha, layer, target }), ilproj({ when, beta })];
  }
}
