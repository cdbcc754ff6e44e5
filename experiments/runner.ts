/**
 * Room: experiments. Runs methods side by side on one task: PEFT without pruning, Light-PEFT, random pruning, each algorithm alone.
 * Every run leaves a folder, so that an interrupted comparison goes on where it stopped.
 */
import { rm } from 'node:fs/promises';
import { join } from 'node:path';
import type { Engine } from '../engine/engine.ts';
import { option, UserError } from '../engine/errors.ts';
import { exists, preview } from '../engine/io/files.ts';
import { fingerprintAdapter, fingerprintText } from '../engine/io/fingerprint.ts';
import { randomBaseModel } from '../models/base-model.ts';
import type { Checkpoint } from '../models/checkpoint.ts';
import { peftConfig } from '../peft/create-config.ts';
import { methodLabel } from '../peft/options.ts';
import { baseNormals, getPeftModel } from '../peft-model/create.ts';
import type { PeftModel } from '../peft-model/peft-model.ts';
import { readState } from '../peft-model/pretrained.ts';
import { factorCount } from '../peft-model/state.ts';
import type { StateDict } from '../peft/module.ts';
import { decide, randomScores, type DecideOptions, type Decision, type ImportanceScores } from '../pruning/decide.ts';
import {
  assertEstimateFits,
  readEstimate,
  scoresOf,
  writeEstimate,
  type EstimateResult,
} from '../pruning/scores-file.ts';
import { readRun, writeRun, type Run } from '../report/schema.ts';
import type { TrainerCallback } from '../train/callbacks.ts';
import { estimate, estimateResult } from '../train/estimate.ts';
import { bestBy } from '../train/evaluation-plan.ts';
import { contentKey, factsOf, type RunIdentity } from '../train/identity.ts';
import type { RunLabel } from '../train/logs/log.ts';
import { TRAIN_ONLY_OPTIONS, type CheckpointOptions, type TrainerCallbacks } from '../train/options.ts';
import { evaluationRecord } from '../train/result-file.ts';
import { stepsOf } from '../train/on-data.ts';
import { train } from '../train/train.ts';
import { assertSameRun, isSameRun, readIdentity, writeIdentity } from './identity.ts';
import { GradientRecord } from './gradient-record.ts';
import type { RunData } from './task-data.ts';
import { commonKind } from '../peft-model/task-heads.ts';
import { evaluateTasks } from '../train/task-figures.ts';
import { assertTasksFit } from '../train/gradient-control/options.ts';
import { estimateOptionsOf, estimationOptions, tellingOptions, withoutTeacher, type RunOptions } from './options.ts';
import {
  curve,
  folderBytes,
  gradientMaps,
  planPicture,
  scoresOfTasks,
  stabilityPicture,
  timelineOf,
} from './run-record.ts';
import {
  assertTeachable,
  distillationRecord,
  scoresOfTeacher,
  teacherContent,
  teacherFolder,
  type Teacher,
} from './teacher.ts';

/** `reference` is PEFT without pruning; `random-init` is the same on a base of random weights, to show what pretraining gives. */
export const METHODS = ['reference', 'light-peft', 'random', 'foundation-only', 'peft-only', 'random-init'] as const;

export type MethodName = (typeof METHODS)[number];

export interface ExperimentCallbacks {
  /** Called before each piece of work. */
  readonly onStage?: ((title: string) => void) | undefined;
  readonly callbacks: Omit<TrainerCallbacks, 'callbacks' | 'checkpoint'>;
  /** Logs of an estimation, or of a method's fine-tuning. Asked for when it begins. */
  readonly logs?: ((run: RunLabel) => readonly TrainerCallback[]) | undefined;
}

/** What logs call an estimation. */
export const ESTIMATION = 'estimate';

/** What is trained, by the names that logs have for it. */
export function labelsOf(
  methods: readonly MethodName[],
  seeds: readonly number[],
  peft: RunOptions['peft']['method'],
): RunLabel[] {
  const names = [...(methods.some(prunes) ? [ESTIMATION] : []), ...methods.map((method) => methodId(method, peft))];
  return seeds.flatMap((seed) => names.map((method) => ({ method, seed })));
}

/** What a method is called in tables. */
function labelOf(method: MethodName, peft: RunOptions['peft']['method']): string {
  const plain = methodLabel(peft);
  const labels: Record<MethodName, string> = {
    reference: `${plain}, no pruning`,
    'light-peft': 'Light-PEFT',
    random: 'Random pruning',
    'foundation-only': 'Foundation only',
    'peft-only': 'PEFT only',
    'random-init': `${plain}, random base`,
  };
  return labels[method];
}

/** The identifier of a method in `comparison.json`. */
export function methodId(method: MethodName, peft: RunOptions['peft']['method']): string {
  if (method === 'reference') return peft;
  return method === 'random-init' ? `${peft}-random-init` : method;
}

/** Whether a method has an estimation, and prunes by it. */
export function prunes(method: MethodName): boolean {
  return method !== 'reference' && method !== 'random-init';
}

/** Whether an estimation must be there: to prune by, or to tell how many steps others have had. */
export function needsEstimate(method: MethodName, { estimate: { estimateUntil } }: RunOptions): boolean {
  return prunes(method) || estimateUntil === 'stable';
}

/** What an estimation leaves: the scores, what factors and head learned, and how it went. */
interface Estimated {
  /** Folder of the adapter as it was then. */
  readonly adapter: string;
  readonly scores: ImportanceScores;
  readonly values: StateDict;
  readonly seconds: number;
  readonly taskLoss: readonly number[];
  /** How its kept sets settled, where its end was chosen by that. */
  readonly stability: EstimateResult['stability'];
}

/** A method's run, of so many steps, in a folder; `estimated` where it prunes. */
interface Measurement {
  readonly options: RunOptions;
  readonly folder: string;
  readonly estimated: Estimated | undefined;
  /** Absent: it learns from the labels alone. */
  readonly teacher: Teacher | undefined;
  readonly steps: number;
}

/** What a run is of, and where it goes. */
export interface ExperimentTask {
  readonly checkpoint: Checkpoint;
  readonly data: RunData;
  /** Hashes of the data, by `taskFacts`. */
  readonly content: RunIdentity;
  readonly options: RunOptions;
  readonly out: string;
  /** Whether results of other settings are replaced, rather than refused. */
  readonly overwrite: boolean;
  /** Folder of an estimation by `estimate`, to prune by in place of one of the run's own. */
  readonly estimation?: string | undefined;
}

/** Of a seed's folder. */
const ADAPTER = 'adapter';

/** Files of a seed's folder. */
const FILES = {
  run: 'run.json',
  records: 'records.json',
  identity: 'identity.json',
  checkpoint: 'checkpoint.safetensors',
  gradients: 'gradients.jsonl',
};

/** One task on one base: remembers the estimation of each seed, which all pruned methods share. */
export class ExperimentRunner {
  readonly #engine: Engine;
  readonly #task: ExperimentTask;
  readonly #estimates = new Map<number, Estimated>();

  constructor(engine: Engine, task: ExperimentTask) {
    this.#engine = engine;
    this.#task = task;
  }

  /** Takes up the folder for all methods and seeds. @throws UserError where it holds a run of other settings or data, or options do not fit it */
  async begin(): Promise<void> {
    const { checkpoint, options, out, data } = this.#task;
    assertTasksFit(
      options.train,
      data.tasks.map(({ name }) => name),
    );
    bestBy({ ...data.head, forTask: (name) => data.forTask(name) }, data.evaluation, options.train);
    await assertTeachable(checkpoint, data, options);
    // Runs that differ in their teacher lie side by side with the reference; their own folders tell them apart.
    const { seed: _, ...shared } = await this.#identity(withoutTeacher(options));
    await this.#takeUp(out, shared);
  }

  /** Runs a method with a seed, or goes on with it, or reads what an earlier run of it left. */
  async run(method: MethodName, seed: number, watch: ExperimentCallbacks): Promise<Run> {
    const { data } = this.#task;
    const given = { ...this.#task.options, train: { ...this.#task.options.train, seed } };
    const options = prunes(method) ? given : withoutTeacher(given);
    const folder = this.#folderOf(method, seed);
    const file = join(folder, FILES.run);
    await this.#takeUp(folder, await this.#identity(options));
    // The same data may have been called otherwise.
    if (await exists(file)) return { ...(await readRun(file)), task: data.name };
    const estimation = needsEstimate(method, options) ? await this.#estimate(options, watch) : undefined;
    const teacher = await this.#teacher(options, estimation, watch);
    watch.onStage?.(`${data.name} · ${labelOf(method, options.peft.method)} · seed ${seed}`);
    const estimated = prunes(method) ? estimation : undefined;
    const steps = this.#budget(options, estimated ? 0 : (estimation?.scores.steps ?? options.estimate.estimateSteps));
    const run = await this.#measure(
      method,
      { options, folder, estimated, teacher, steps },
      {
        ...watch.callbacks,
        callbacks: watch.logs?.({ method: methodId(method, options.peft.method), seed }),
      },
    );
    await writeRun(file, run);
    await rm(join(folder, FILES.checkpoint), { force: true });
    return run;
  }

  #folderOf(method: MethodName, seed: number): string {
    const { out, options } = this.#task;
    return join(out, methodId(method, options.peft.method), `seed-${seed}`);
  }

  /** Who is learned from. The reference is run first, where it was not. */
  async #teacher(
    { distill, train: { seed } }: RunOptions,
    estimation: Estimated | undefined,
    watch: ExperimentCallbacks,
  ): Promise<Teacher | undefined> {
    if (distill.distill === undefined) return undefined;
    if (distill.distill === 'estimate') return { folder: estimation!.adapter };
    const named = teacherFolder({ distill });
    if (named !== undefined) return { folder: named };
    const { speed } = await this.run('reference', seed, watch);
    return { folder: join(this.#folderOf('reference', seed), ADAPTER), trainSeconds: speed.trainSeconds };
  }

  /** Checks what a folder holds, and says in it what it is of from now on. */
  async #takeUp(folder: string, identity: RunIdentity): Promise<void> {
    const path = join(folder, FILES.identity);
    if (this.#task.overwrite && !(await isSameRun(path, identity)))
      for (const name of Object.values(FILES)) await rm(join(folder, name), { force: true });
    const isTaken = (await exists(path)) || (await exists(join(folder, FILES.run)));
    await (isTaken ? assertSameRun(path, identity) : writeIdentity(path, identity));
  }

  async #measure(
    method: MethodName,
    { options, folder, estimated, teacher, steps }: Measurement,
    callbacks: TrainerCallbacks,
  ): Promise<Run> {
    const taught = teacher && (await this.#askTeacher(teacher, options, steps, callbacks));
    const whole = await this.#wholeModel(options, method === 'random-init', callbacks);
    const counts = { total: whole.base.parameterCount, blockTotal: whole.base.blockParameterCount };
    const trainableTotal = factorCount(whole.method);
    const decision = estimated && decisionOf(estimated.scores, options, method);
    const started = performance.now();
    using model = decision ? await pruned(whole, estimated.values, decision, options) : whole;
    const pruneSeconds = (performance.now() - started) / 1000;
    const { data, checkpoint } = this.#task;
    const plan = decision ? fingerprintText(JSON.stringify(decision)) : '';
    const saving = checkpointIn(folder, {
      ...(await this.#identity(options)),
      plan,
      ...(teacher && { [contentKey('distill')]: await fingerprintAdapter(teacher.folder) }),
    });
    const record = data.isMulti ? new GradientRecord(join(folder, FILES.gradients)) : undefined;
    const result = await train(model, data.training, {
      ...options.train,
      ...options.distill,
      distill: taught,
      ...callbacks,
      callbacks: [...(callbacks.callbacks ?? []), ...(record ? [record.log] : [])],
      steps,
      checkpoint: saving,
      evaluation: data.evaluation,
    });
    const evaluated = await evaluateTasks(model, data.evaluated);
    const { inference } = evaluated;
    const adapter = join(folder, ADAPTER);
    await model.savePretrained(adapter);
    const { seed } = options.train;
    return {
      task: data.name,
      method: methodId(method, options.peft.method),
      label: labelOf(method, options.peft.method),
      seed,
      ...scoresOfTasks(evaluated, data.isMulti),
      ...(await gradientMaps(model, record)),
      foundation: { ...counts, left: model.base.parameterCount, blockLeft: model.base.blockParameterCount },
      trainable: { total: trainableTotal, left: factorCount(model.method) },
      speed: {
        trainTokensPerSecond: result.tokensPerSecond,
        inferExamplesPerSecond: inference.examples / inference.seconds,
        estimateSeconds: estimated?.seconds ?? 0,
        pruneSeconds: decision ? pruneSeconds : 0,
        trainSeconds: result.seconds,
        ...(taught && { distillSeconds: taught.seconds }),
        ...(teacher?.trainSeconds !== undefined && { teacherSeconds: teacher.trainSeconds }),
        ...(result.secondsPerStep > 0 && { secondsPerStep: result.secondsPerStep }),
      },
      memory: {
        trainPeakBytes: result.peakBytes,
        inferPeakBytes: inference.peakBytes,
        byKind: { ...result.memoryByKind },
        trainBoundBytes: result.boundBytes,
      },
      artefactBytes: await folderBytes(adapter),
      curves: [...(estimated ? [curve('estimate', estimated.taskLoss)] : []), curve('train', result.taskLoss)],
      ...(estimated?.stability && { stability: stabilityPicture(estimated.stability, estimated.scores.steps ?? 0) }),
      ...evaluationRecord(result),
      ...distillationRecord(options),
      ...(seed === 0 && { timeline: timelineOf(result) }),
      ...(decision && {
        plan: planPicture(
          checkpoint.config,
          estimated.scores,
          decision,
          beforeRanks(estimated.scores, options, method),
        ),
      }),
    };
  }

  #askTeacher(
    { folder }: Teacher,
    options: RunOptions,
    steps: number,
    callbacks: TrainerCallbacks,
  ): ReturnType<typeof scoresOfTeacher> {
    const { data, checkpoint } = this.#task;
    const own = { ...options, train: { ...options.train, steps } };
    return scoresOfTeacher(this.#engine, checkpoint, folder, { data, options: own }, callbacks);
  }

  /** What the numbers of a run depend on. */
  async #identity(options: RunOptions): Promise<RunIdentity> {
    const { checkpoint, data, content } = this.#task;
    const answers = data.tasks.map((task) => task.data.answers).find((found) => found !== undefined);
    const { maxAnswerLength, allowEmptyAnswer: _, nullThreshold, docStride, ...others } = tellingOptions(options);
    const facts = factsOf({
      ...others,
      ...(answers && {
        maxAnswerLength,
        allowEmptyAnswer: answers.allowEmptyAnswer,
        // Earlier versions knew no other than 0.
        ...(answers.allowEmptyAnswer && nullThreshold !== 0 && { nullThreshold }),
        docStride,
      }),
      base: await checkpoint.fingerprint(),
      train: data.sizes.reduce((a, b) => a + b, 0),
      eval: data.tasks.reduce((sum, task) => sum + task.data.eval.length, 0),
    });
    return { ...facts, ...content, ...(await teacherContent(options)) };
  }

  /** The same of an estimation, which is not evaluated. */
  async #estimateIdentity(options: RunOptions): Promise<RunIdentity> {
    const facts = Object.entries(await this.#identity(withoutTeacher(options)));
    return Object.fromEntries(facts.filter(([name]) => !TRAIN_ONLY_OPTIONS.some((own) => own === name)));
  }

  /** Every method sees the same number of steps. @param more for methods without an estimation: what that takes the others */
  #budget({ train: numbers }: RunOptions, more: number): number {
    return stepsOf(this.#task.data.sizes, numbers) + more;
  }

  async #wholeModel(options: RunOptions, random: boolean, { onBytes }: TrainerCallbacks): Promise<PeftModel> {
    const { checkpoint, data } = this.#task;
    const { heads } = data;
    const { head, labels } = data.head;
    const seed = initSeedOf(options);
    const { embeddings } = options.load;
    const base = random
      ? randomBaseModel(this.#engine, checkpoint.config, baseNormals(seed), {
          embeddings,
          head: heads ? commonKind(heads) : head,
        })
      : checkpoint;
    return getPeftModel(this.#engine, base, peftConfig(options.peft), {
      ...options.load,
      head,
      labels,
      heads,
      seed,
      onBytes,
    });
  }

  async #estimate(options: RunOptions, watch: ExperimentCallbacks): Promise<Estimated> {
    const { seed } = options.train;
    const folder = join(this.#task.out, ESTIMATION, `seed-${seed}`);
    const { estimation } = this.#task;
    const known =
      this.#estimates.get(seed) ??
      (await (estimation === undefined
        ? this.#savedEstimate(folder, options)
        : this.#givenEstimate(estimation, options)));
    const estimated = known ?? (await this.#newEstimate(folder, options, watch));
    this.#estimates.set(seed, estimated);
    return estimated;
  }

  /** What an earlier run has left. Version 0.1 left the scores alone. */
  async #savedEstimate(folder: string, options: RunOptions): Promise<Estimated | undefined> {
    const isOwn = await exists(join(folder, FILES.identity));
    await this.#takeUp(folder, await this.#estimateIdentity(options));
    return isOwn && (await exists(join(folder, FILES.records))) ? this.#readEstimate(folder) : undefined;
  }

  /** What `estimate` left. @throws UserError where it is of other options, data or base */
  async #givenEstimate(folder: string, options: RunOptions): Promise<Estimated> {
    const { checkpoint, content } = this.#task;
    const path = join(folder, FILES.identity);
    const found = await readIdentity(path);
    const { [contentKey('eval')]: _, ...data } = content;
    const expected = { ...estimationOptions(options), base: await checkpoint.fingerprint(), ...data };
    const other = Object.entries(expected).find(([name, value]) => found[name] !== value);
    if (other)
      throw new UserError(
        `${path}: ${other[0]} is ${preview(found[other[0]])}, the run has ${preview(other[1])}: give ${option('estimate')} the estimation of this run, or none`,
      );
    return this.#readEstimate(folder);
  }

  async #readEstimate(folder: string): Promise<Estimated> {
    const { checkpoint } = this.#task;
    const path = join(folder, FILES.records);
    const records = await readEstimate(path);
    assertEstimateFits(records, path, await checkpoint.fingerprint(), checkpoint.config);
    const adapter = join(folder, ADAPTER);
    const { values } = await readState(adapter, checkpoint);
    const { seconds = 0, task_loss: taskLoss, stability } = records;
    return { adapter, scores: scoresOf(records, checkpoint.config), values, seconds, taskLoss, stability };
  }

  async #newEstimate(
    folder: string,
    options: RunOptions,
    { onStage, callbacks, logs }: ExperimentCallbacks,
  ): Promise<Estimated> {
    const { checkpoint, data } = this.#task;
    const { seed } = options.train;
    onStage?.(`${data.name} · estimation · seed ${seed}`);
    using model = await this.#wholeModel(options, false, callbacks);
    const saving = checkpointIn(folder, await this.#estimateIdentity(options));
    const scores = await estimate(model, data.training, {
      ...estimateOptionsOf(options),
      ...callbacks,
      callbacks: logs?.({ method: ESTIMATION, seed }),
      checkpoint: saving,
    });
    const adapter = join(folder, ADAPTER);
    await model.savePretrained(adapter);
    const records = estimateResult(scores, await checkpoint.fingerprint());
    await writeEstimate(join(folder, FILES.records), records);
    await rm(saving.path, { force: true });
    const { seconds, taskLoss } = scores.result;
    return { adapter, scores, values: await model.stateDict(), seconds, taskLoss, stability: records.stability };
  }
}

/** The decision of a method; a part that it does not prune keeps everything. */
export function decisionOf(
  scores: Parameters<typeof decide>[0],
  { decide: options, train: { seed } }: Pick<RunOptions, 'decide' | 'train'>,
  method: MethodName,
): Decision {
  const foundation: DecideOptions = method === 'peft-only' ? { heads: 0, neurons: 0 } : {};
  const peft: DecideOptions = method === 'foundation-only' ? { modules: 0, ranks: 0 } : {};
  const all = { ...options, ...foundation, ...peft };
  return method === 'random' ? decide(randomScores(scores, seed), all, 'random') : decide(scores, all);
}

/** Modules that a method's decision keeps if no ranks go. */
function beforeRanks(scores: ImportanceScores, options: RunOptions, method: MethodName): Decision['modules'] {
  return decisionOf(scores, { ...options, decide: { ...options.decide, ranks: 0 } }, method).modules;
}

/** Where a method or an estimation is saved on the way. */
function checkpointIn(folder: string, identity: RunIdentity): CheckpointOptions {
  return { path: join(folder, FILES.checkpoint), resume: 'always', identity };
}

function pruned(whole: PeftModel, values: StateDict, decision: Decision, options: RunOptions): Promise<PeftModel> {
  whole.loadStateDict(values);
  return whole.prune(decision, { ...options.slice, seed: initSeedOf(options), newHead: options.load.newHead });
}

/** Of weights that are drawn. */
function initSeedOf({ train: { seed, initSeed = seed } }: RunOptions): number {
  return initSeed;
}
