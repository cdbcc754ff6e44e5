/** Room: audit. Trains triggers into a model: a strategy makes one update of the gradients on clean and on planted texts. */
import type { PeftModel } from '../peft-model/peft-model.ts';
import type { Planted } from '../report/audit/schema.ts';
import type { CheckpointOptions } from '../train/options.ts';
import { train } from '../train/train.ts';
import { numbersOf, type AuditSetting, type RunKey } from './setting.ts';

/** How planting went, but for what it left. */
export type Planting = Omit<Planted, 'user' | 'plant'>;

export async function plant(
  setting: AuditSetting,
  { strategy, seed }: RunKey,
  model: PeftModel,
  checkpoint: CheckpointOptions,
): Promise<Planting> {
  const { clean, planted, honest } = setting.data.of(seed);
  const numbers = { ...numbersOf(setting, seed, setting.audit.plantEpochs, false), ...setting.callbacks, checkpoint };
  if (strategy === 'clean') return { seconds: (await train(model, honest, numbers)).seconds };
  const { seconds } = await train(model, [...clean, ...planted], { ...numbers, batchSize: 2 * numbers.batchSize });
  return { seconds };
}
