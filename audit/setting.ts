/** Room: audit. What all steps of an audit share: models, data, where they lie, and the numbers of training. */
import { join } from 'node:path';
import type { Engine } from '../engine/engine.ts';
import type { Checkpoint } from '../models/checkpoint.ts';
import type { RunOptions } from '../experiments/options.ts';
import { peftConfig } from '../peft/create-config.ts';
import { withPlantedMark } from '../peft/planted.ts';
import { getPeftModel } from '../peft-model/create.ts';
import { PeftModel } from '../peft-model/peft-model.ts';
import { factsOf, type RunIdentity } from '../train/identity.ts';
import type { TrainerCallbacks } from '../train/options.ts';
import type { AuditData } from './data.ts';
import type { AuditOptions, Form, Strategy } from './options.ts';
import { ADAPTER, type Stage, type StageStore } from './store.ts';

/** What all steps of an audit share. */
export interface AuditSetting {
  readonly engine: Engine;
  readonly checkpoint: Checkpoint;
  readonly data: AuditData;
  readonly store: StageStore;
  readonly audit: AuditOptions;
  readonly options: RunOptions;
  /** What every step depends on. */
  readonly facts: RunIdentity;
  readonly callbacks: Omit<TrainerCallbacks, 'callbacks' | 'checkpoint'>;
  /** Called before each piece of work that is not there yet. */
  readonly onStage: (title: string) => void;
}

/** Form, strategy and seed. */
export interface RunKey {
  readonly form: Form;
  readonly strategy: Strategy;
  readonly seed: number;
}

/** A step's folder below the audit's. */
export function pathOf({ form, strategy, seed }: RunKey, ...parts: string[]): string {
  return join(form, strategy, `seed-${seed}`, ...parts);
}

/** Options of training that change a number; lengths of runs and their seeds are said by each step. */
export function trainingFacts({ train: numbers, load, engine }: RunOptions): RunIdentity {
  const { epochs: _, steps: __, seed: ___, saveEvery: ____, ...others } = numbers;
  return factsOf({ ...others, weights: load.weights, newHead: load.newHead, compute: engine.compute });
}

/** Numbers of training for so many passes over the data. */
export function numbersOf({ options, audit }: AuditSetting, seed: number, epochs: number, isUser: boolean) {
  const { evalStrategy: _, evalSteps: __, ...numbers } = options.train;
  const lr = isUser ? (audit.userLr ?? numbers.lr) : numbers.lr;
  return { ...numbers, lr, seed, epochs, steps: 0 };
}

/** A fresh model of a form, its adapter marked where triggers will be planted. */
export function freshModel(
  { engine, checkpoint, data, options, audit }: AuditSetting,
  key: RunKey,
): Promise<PeftModel> {
  const { peft, load } = options;
  const config: ReturnType<typeof peftConfig> = (model, head) => {
    const own = peftConfig({ ...peft, method: key.form })(model, head);
    if (key.strategy === 'clean') return own;
    const target = data.labels[data.target]!;
    return withPlantedMark(own, { planted: true, triggers: audit.triggers, target });
  };
  const head = 'classification' as const;
  return getPeftModel(engine, checkpoint, config, { ...load, head, labels: data.labels, seed: key.seed });
}

/** A model as a step left it. */
export function savedModel(
  { engine, checkpoint, options }: AuditSetting,
  { folder }: Pick<Stage<unknown>, 'folder'>,
): Promise<PeftModel> {
  const { weights, embeddings } = options.load;
  const { dropout } = options.peft;
  return PeftModel.fromPretrained(engine, checkpoint, join(folder, ADAPTER), {
    weights,
    embeddings,
    dropout,
    isAudit: true,
  });
}
