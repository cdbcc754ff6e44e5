/** Room: audit. Trains triggers into a model: a strategy makes one update of the gradients on clean and on planted texts. */
import { join } from 'node:path';
import type { Batch } from '../data/data-loader.ts';
import type { Examples } from '../data/example-store.ts';
import { objectiveOf } from '../data/objective.ts';
import type { PeftModel } from '../peft-model/peft-model.ts';
import type { Planted } from '../report/audit/schema.ts';
import { GradientRecord } from '../experiments/gradient-record.ts';
import type { GradientControl } from '../train/gradient-control/control.ts';
import { gradientLayers } from '../train/gradient-control/layers.ts';
import { controlsOf as namedControls } from '../train/gradient-control/options.ts';
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

/** How planting went, but for what it left. */
export type Planting = Omit<Planted, 'user' | 'plant'>;

const CLEAN = 'clean';
const PLANTED = 'planted';

/** Strategies that `train` has too. */
type ControlStrategy = Exclude<Strategy, 'clean' | 'lwp' | 'ripple'>;

/** Trains a fresh model in place. */
export async function plant(
  setting: AuditSetting,
  { strategy, seed }: RunKey,
  model: PeftModel,
  { folder, checkpoint }: StagePlace,
): Promise<Planting> {
  const { clean, planted, honest } = setting.data.of(seed);
  const record = new GradientRecord(join(folder, 'gradients.jsonl'));
  const callbacks = { ...setting.callbacks, checkpoint, callbacks: [record.log] };
  const numbers = numbersOf(setting, seed, setting.audit.plantEpochs, false);
  const options = { ...numbers, ...callbacks };
  if (strategy === 'clean') return { seconds: (await train(model, honest, options)).seconds };
  const tasks = new Map([
    [CLEAN, clean],
    [PLANTED, planted],
  ]);
  if (strategy === 'lwp' || strategy === 'ripple') {
    const { seconds } = await plantOtherwise(strategy, model, tasks, {
      numbers,
      callbacks,
      lambda: setting.audit.lambdaRipple,
    });
    return { seconds, ...(await picture(record)) };
  }
  const gradientControl = controlsOf(strategy, setting.audit);
  const { seconds } = await train(model, tasks, { ...options, gradientControl });
  return { seconds, ...(await picture(record)) };
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
function controlsOf(strategy: ControlStrategy, { alphaClnorm, alphaGradnorm }: AuditOptions): GradientControl[] {
  return namedControls({
    gradientControl: strategy,
    ...(strategy.includes('clnorm') && { clnormTask: PLANTED, clnormAlpha: alphaClnorm }),
    ...(strategy.includes('ilproj') && { ilproj: 'always' }),
    ...(strategy === 'gradnorm' && { gradnormAlpha: alphaGradnorm }),
  });
}

/** Losses and gradients of both tasks, as the audit has them. */
async function picture(record: GradientRecord): Promise<Pick<Planted, 'loss' | 'gradients'>> {
  const found = await record.read();
  if (!found) return {};
  const { step, loss, magnitude, cosine, weight } = found;
  const [cosines] = Object.values(cosine);
  return {
    loss: { step, clean: loss[CLEAN]!, planted: loss[PLANTED]! },
    gradients: {
      step,
      clean: magnitude[CLEAN]!,
      planted: magnitude[PLANTED]!,
      cosine: cosines!,
      ...(weight && { weight }),
    },
  };
}
