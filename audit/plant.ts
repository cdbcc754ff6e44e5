/** Room: audit. Trains triggers into a model: a strategy makes one update of the gradients on clean and on planted texts. */
import { join } from 'node:path';
import type { Batch } from '../data/data-loader.ts';
import type { Examples } from '../data/example-store.ts';
import { objectiveOf } from '../data/objective.ts';
import type { PeftModel } from '../peft-model/peft-model.ts';
import type { Planted } from '../report/audit/schema.ts';
import { clnorm, gradnorm, ilproj, pcgrad, type GradientControl } from '../train/gradient-control/index.ts';
import { gradientLayers } from '../train/gradient-control/layers.ts';
import { optimizationOf, trainingBatches, trainingLoss } from '../train/model-loss.ts';
import { sizesOf, stepsOf } from '../train/on-data.ts';
import type { TrainerCallbacks } from '../train/options.ts';
import type { RunSteps } from '../train/run-steps.ts';
import { TaskBatches } from '../train/task-batches.ts';
import { TaskSteps } from '../train/task-steps.ts';
import { train } from '../train/train.ts';
import { runStepsOf, type TrainResult } from '../train/trainer.ts';
import { layerwiseLoss } from './lwp.ts';
import { RippleSteps } from './ripple.ts';
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
  if (strategy === 'lwp' || strategy === 'ripple') {
    const { seconds } = await plantOtherwise(strategy, model, tasks, {
      numbers,
      callbacks,
      lambda: setting.audit.lambdaRipple,
    });
    return { seconds, ...trace.summary() };
  }
  const gradientControl = controlsOf(strategy, setting.audit);
  const { seconds } = await train(model, tasks, { ...options, gradientControl });
  return { seconds, ...trace.summary() };
}

interface OtherRun {
  readonly numbers: ReturnType<typeof numbersOf>;
  readonly callbacks: TrainerCallbacks;
  /** Of RIPPLe. */
  readonly lambda: number;
}

/** Strategies that are no controls: another loss, or steps of their own. */
function plantOtherwise(
  strategy: 'lwp' | 'ripple',
  model: PeftModel,
  tasks: ReadonlyMap<string, Examples>,
  { numbers, callbacks, lambda }: OtherRun,
): Promise<TrainResult> {
  const how = optimizationOf(model, numbers, stepsOf(sizesOf(tasks), numbers));
  const batches = new TaskBatches([...tasks.values()].map((examples) => trainingBatches(model, examples, numbers)));
  const named = [...tasks].map(([name, examples]) => {
    const objective = objectiveOf(model, examples, numbers);
    const loss = strategy === 'lwp' ? layerwiseLoss : trainingLoss;
    return { name, training: loss(model, objective) };
  });
  const control = { controls: [], layers: gradientLayers(model), seed: numbers.seed };
  const steps = (): RunSteps<readonly Batch[]> =>
    strategy === 'lwp'
      ? new TaskSteps(named, control, how)
      : new RippleSteps(
          named.map(({ training }) => training),
          lambda,
          how,
        );
  return runStepsOf(steps, batches, how, callbacks);
}

/** Of the strategies that are controls, as the paper has them: CLNorm on the planted task, projections in every layer of the upper half. */
function controlsOf(strategy: Strategy, { alphaClnorm, alphaGradnorm }: AuditOptions): GradientControl[] {
  const of: Partial<Record<string, () => GradientControl>> = {
    pcgrad: () => pcgrad(),
    gradnorm: () => gradnorm({ alpha: alphaGradnorm }),
    clnorm: () => clnorm({ task: PLANTED, alpha: alphaClnorm }),
    ilproj: () => ilproj({ when: 'always' }),
  };
  return strategy.split('+').flatMap((name) => of[name]?.() ?? []);
}
