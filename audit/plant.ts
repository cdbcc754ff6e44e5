/** Room: audit. Trains triggers into a model: a strategy makes one update of the gradients on clean and on planted texts. */
import { join } from 'node:path';
import type { PeftModel } from '../peft-model/peft-model.ts';
import type { Planted } from '../report/audit/schema.ts';
import { clnorm, gradnorm, ilproj, pcgrad, type GradientControl } from '../train/gradient-control/index.ts';
import { train } from '../train/train.ts';
import type { AuditOptions, Strategy } from './options.ts';
import { numbersOf, type AuditSetting, type RunKey } from './setting.ts';
import type { StagePlace } from './store.ts';
import { TaskTrace } from './task-trace.ts';

/** How planting went, but for what it left. */
export type Planting = Omit<Planted, 'user' | 'plant'>;

const PLANTED = 'planted';

/** Trains a fresh model in place. */
export async function plant(
  setting: AuditSetting,
  { strategy, seed }: RunKey,
  model: PeftModel,
  { folder, checkpoint }: StagePlace,
): Promise<Planting> {
  const { clean, planted, honest } = setting.data.of(seed);
  const trace = new TaskTrace(join(folder, 'trace.json'));
  const callbacks = { ...setting.callbacks, checkpoint, callbacks: [trace] };
  const numbers = numbersOf(setting, seed, setting.audit.plantEpochs, false);
  const options = { ...numbers, ...callbacks };
  if (strategy === 'clean') return { seconds: (await train(model, honest, options)).seconds };
  const tasks = new Map([
    ['clean', clean],
    [PLANTED, planted],
  ]);
  const gradientControl = controlsOf(strategy, setting.audit);
  const { seconds } = await train(model, tasks, { ...options, gradientControl });
  return { seconds, ...trace.summary() };
}

/** The controls of a strategy, as the paper has them: CLNorm on the planted task, projection in all layers of the upper half. */
function controlsOf(strategy: Strategy, { alphaClnorm, alphaGradnorm }: AuditOptions): GradientControl[] {
  const normalised = (): GradientControl => clnorm({ task: PLANTED, alpha: alphaClnorm });
  const projected = (): GradientControl => ilproj({ when: 'always' });
  switch (strategy) {
    case 'pcgrad':
      return [pcgrad()];
    case 'gradnorm':
      return [gradnorm({ alpha: alphaGradnorm })];
    case 'clnorm':
      return [normalised()];
    case 'ilproj':
      return [projected()];
    case 'clnorm+ilproj':
      return [normalised(), projected()];
    default:
      return [];
  }
}
