/** Room: cli. Each stage alone, reading the files of the one before: `estimate`, `prune`, `train`. */
import { rm } from 'node:fs/promises';
import { join } from 'node:path';
import type { Command } from 'commander';
import { z } from 'zod';
import { UserError } from '../../engine/errors.ts';
import { readJson } from '../../engine/io/files.ts';
import { fingerprintAdapter } from '../../engine/io/fingerprint.ts';
import {
  estimateOptionsOf,
  isEvaluated,
  numericOptions,
  OWN_TEACHERS,
  type RunOptions,
} from '../../experiments/options.ts';
import { decisionOf } from '../../experiments/runner.ts';
import { assertTeachable, scoresOfTeacher, teacherContent, teacherFolder } from '../../experiments/teacher.ts';
import { headOfTasks, loadTasks, taskFacts, type RunData, type TaskRequests } from '../../experiments/task-data.ts';
import { Checkpoint, loadModel } from '../../models/checkpoint.ts';
import { inspectCheckpoint } from '../../models/base-model.ts';
import { peftConfig } from '../../peft/create-config.ts';
import { getPeftModel } from '../../peft-model/create.ts';
import { PeftModel } from '../../peft-model/peft-model.ts';
import { readState, writeState } from '../../peft-model/pretrained.ts';
import { sliceFolder } from '../../peft-model/slice-folder.ts';
import { factorCount } from '../../peft-model/state.ts';
import { planFor } from '../../pruning/plan.ts';
import { assertEstimateFits, readEstimate, scoresOf, writeEstimate } from '../../pruning/scores-file.ts';
import { estimate, estimateResult } from '../../train/estimate.ts';
import { evaluateTasks } from '../../train/task-figures.ts';
import { contentKey, type RunIdentity } from '../../train/identity.ts';
import type { CheckpointOptions } from '../../train/options.ts';
import { assertTasksFit } from '../../train/gradient-control/options.ts';
import { checkEvaluationOptions } from '../../train/evaluation-plan.ts';
import { evaluationRecord, writeTrainRecord } from '../../train/result-file.ts';
import { measure } from '../../report/numbers.ts';
import { train } from '../../train/train.ts';
import type { BestEvaluation } from '../../train/trainer.ts';
import { addEngineFlags, print, withEngine, type CommandContext, type EngineFlags } from '../context.ts';
import { addDataFlags, sayCounts, withData, type DataFlags } from '../data-flags.ts';
import { addModelFlag } from '../hub.ts';
import { addLogFlags, openLogs, type LogFlags } from '../logs.ts';
import { addSettings, readSettings } from '../options.ts';
import { addPauseFlag, checkPause, pausing, type PauseFlag } from '../pause.ts';
import {
  addOutFlags,
  assertFree,
  beginningIn,
  claim,
  isClaimed,
  withOutFolder,
  type Beginning,
  type OutFlags,
  type StageFiles,
} from '../out-folder.ts';
import { scoresLine } from '../scores.ts';

interface StageFlags extends DataFlags, EngineFlags, LogFlags, OutFlags, PauseFlag {
  readonly initAdapter?: string;
  readonly resume?: boolean;
}

function addStageFlags(command: Command): Command {
  return addOutFlags(addLogFlags(addEngineFlags(addDataFlags(command))), 'folder for the results')
    .option('--init-adapter <name>', 'PEFT folder, or name on the hub, to start from in place of fresh modules')
    .option('--resume', 'go on from the checkpoint of an interrupted run; without one, start');
}

const CHECKPOINT = 'checkpoint.safetensors';
const ESTIMATION = { stage: 'estimate', checkpoint: CHECKPOINT, result: 'records.json' } as const;
const TRAINING = { stage: 'train', checkpoint: CHECKPOINT, result: 'train.json' } as const;

export function addEstimate(program: Command): void {
  const command = program
    .command('estimate')
    .description(
      'stage one: train masks and modules for a few steps (--estimate-steps, else --steps) and record importance',
    );
  addSettings(addStageFlags(command)).action(runEstimate);
}

async function runEstimate(flags: StageFlags): Promise<void> {
  const options = await readSettings(flags, 'estimate');
  const path = join(flags.out, ESTIMATION.result);
  const content = await runStage(ESTIMATION, flags, options, async (stage, context) => {
    const { model, data } = await prepare(context, stage, flags, options);
    if (model.plan) throw new UserError(`${flags.initAdapter}: already pruned, the estimation needs a whole adapter`);
    context.progress.stage('estimation');
    const checkpoint = await checkpointOf(flags.out, stage, data);
    const numbers = estimateOptionsOf(options);
    const estimated = await estimate(model, data.training, { ...numbers, ...context.callbacks, checkpoint });
    const result = estimateResult(estimated, await stage.base.fingerprint());
    await model.savePretrained(join(flags.out, 'adapter'));
    await writeEstimate(path, result);
    return result;
  });
  if (!content) return;
  const last = content.task_loss.at(-1) ?? NaN;
  const { steps, stability } = content;
  const end = stability ? `, ${stability.reached ? 'stable' : 'not stable'}, of at most ${stability.max_steps}` : '';
  print(flags.json, content, `Task loss ${last.toFixed(4)} after ${steps} steps${end}\nRecords: ${path}`);
}

/** A stage under way in its folder. */
interface Stage {
  readonly files: StageFiles & { readonly stage: 'estimate' | 'train' };
  readonly beginning: Beginning;
  readonly base: Checkpoint;
  readonly requests: TaskRequests;
  /** What its numbers depend on, but for the number of examples. */
  readonly identity: RunIdentity;
}

/** Runs a stage in its folder; undefined where it was finished before. */
async function runStage<T>(
  files: Stage['files'],
  flags: StageFlags,
  options: RunOptions,
  work: (stage: Stage, context: CommandContext) => Promise<T>,
): Promise<T | undefined> {
  return withOutFolder(flags, () =>
    withData(flags, options.data, async (requests) => {
      const base = await loadModel(flags.model, options.load);
      const identity = await identityOf(files.stage, flags, options, base, requests);
      const beginning = await beginningIn(flags, files, { ...identity, stage: files.stage });
      if (beginning === 'finished') {
        if (flags.json) print(true, await readJson(join(flags.out, files.result), z.looseObject({})), '');
        return undefined;
      }
      const goesOn = beginning === 'resumed' || (flags.resume === true && (await isClaimed(flags.out)));
      const logs = (await openLogs(flags, goesOn))();
      const stage = { files, beginning, base, requests, identity };
      const result = await withEngine(flags, options.engine, (context) =>
        work(stage, { ...context, callbacks: { ...context.callbacks, callbacks: logs } }),
      );
      await rm(join(flags.out, files.checkpoint), { force: true });
      return result;
    }),
  );
}

async function identityOf(
  stage: 'estimate' | 'train',
  { initAdapter }: StageFlags,
  options: RunOptions,
  base: Checkpoint,
  requests: TaskRequests,
): Promise<RunIdentity> {
  const { [contentKey('eval')]: evaluated, ...data } = await taskFacts(requests, options.data, base.dir);
  return {
    ...numericOptions(options, stage),
    base: await base.fingerprint(),
    [contentKey('initAdapter')]: initAdapter === undefined ? '' : await fingerprintAdapter(initAdapter),
    ...data,
    ...(stage === 'train' && (await teacherContent(options))),
    ...(stage === 'train' && isEvaluated(options) && evaluated !== undefined && { [contentKey('eval')]: evaluated }),
  };
}

/** Base, modules and data: fresh, or from `--init-adapter`. */
async function prepare(
  { engine, progress, callbacks: { onBytes } }: CommandContext,
  { base: checkpoint, requests }: Stage,
  flags: StageFlags,
  { peft, data: encoding, load, train: numbers }: RunOptions,
): Promise<{ model: PeftModel; data: RunData }> {
  const { seed, initSeed = seed } = numbers;
  progress.stage('loading');
  const { taskHeads } = load;
  const loaded = async (known?: PeftModel): Promise<RunData> => {
    const data = await loadTasks(checkpoint, requests, { data: encoding, taskHeads, onBytes }, known);
    for (const task of data.tasks) sayCounts({ ...task.data, name: task.name });
    assertTrainable(data);
    assertTasksFit(
      numbers,
      data.tasks.map(({ name }) => name),
    );
    return data;
  };
  if (flags.initAdapter === undefined) {
    const data = await loaded();
    const options = { ...load, ...data.head, heads: data.heads, seed: initSeed, onBytes };
    return { model: await getPeftModel(engine, checkpoint, peftConfig(peft), options), data };
  }
  if (load.newHead) throw new UserError('--new-head and --init-adapter: give one of them, an adapter has a head');
  if (load.resizeEmbeddings)
    throw new UserError('--resize-embeddings and --init-adapter: give one of them, an adapter has its embeddings');
  const head = await headOfTasks(requests, encoding);
  // The run's dropout goes before the one an adapter was written with.
  const options = { ...load, head, onBytes, dropout: peft.dropout };
  const model = await PeftModel.fromPretrained(engine, checkpoint, flags.initAdapter, options);
  return { model, data: await loaded(model) };
}

function assertTrainable({ tasks }: RunData): void {
  const empty = tasks.find(({ data }) => data.train.length === 0);
  if (!empty) return;
  const of = tasks.length > 1 ? ` for the task ${empty.name}` : '';
  throw new UserError(`--train: missing${of}, training needs data`);
}

/** Marks the folder as this stage's. @returns where it is saved on the way */
async function checkpointOf(
  out: string,
  { files, beginning, identity }: Stage,
  { sizes }: RunData,
): Promise<CheckpointOptions> {
  await claim(out, files, beginning, { ...identity, stage: files.stage });
  const resume = beginning === 'resumed';
  return {
    path: join(out, files.checkpoint),
    resume,
    identity: { ...identity, examples: sizes.reduce((a, b) => a + b, 0) },
  };
}

export function addPrune(program: Command): void {
  const described = program
    .command('prune')
    .description(
      'stage two: decide what stays by the records of an estimation, and cut the PEFT modules; writes plan.json',
    );
  const command = addModelFlag(described)
    .requiredOption('--estimate <dir>', 'folder that `estimate` wrote')
    .option('--random', 'prune as much at random: the baseline')
    .option('--json', 'print a summary as JSON');
  addSettings(addOutFlags(command, 'folder for the pruned adapter and its plan')).action(runPrune);
}

interface PruneFlags extends Record<string, unknown>, OutFlags {
  readonly model: string;
  readonly estimate: string;
  readonly random?: boolean;
  readonly json?: boolean;
}

async function runPrune(flags: PruneFlags): Promise<void> {
  const options = await readSettings(flags, 'prune');
  await withOutFolder(flags, async () => {
    await assertFree(flags);
    await prune(flags, options);
  });
}

async function prune(flags: PruneFlags, options: RunOptions): Promise<void> {
  const { seed, initSeed = seed } = options.train;
  const { config, fingerprint } = await inspectCheckpoint(flags.model);
  const checkpoint = new Checkpoint(flags.model, config, fingerprint);
  const path = join(flags.estimate, 'records.json');
  const records = await readEstimate(path);
  assertEstimateFits(records, path, fingerprint, config);
  const state = await readState(join(flags.estimate, 'adapter'), checkpoint);
  for (const { name, ranks } of state.method.modules) {
    const recorded = records.rank_importance[name]?.length;
    if (recorded === ranks) continue;
    throw new UserError(`${path}: key "rank_importance.${name}": found ${recorded} ranks, the adapter has ${ranks}`);
  }
  const scores = { ...scoresOf(records, config), seed };
  const decision = decisionOf(scores, options, flags.random ? 'random' : 'light-peft');
  const pruned = await sliceFolder(checkpoint, state, decision, {
    ...options.slice,
    seed: initSeed,
    newHead: options.load.newHead,
  });
  await writeState(flags.out, pruned.base, pruned.state, planFor(config, fingerprint, decision));
  const total = factorCount(state.method);
  const summary = {
    heads_left: decision.layers.map((l) => l.heads.length),
    neurons_left: decision.layers.map((l) => l.neurons.length),
    modules_left: Object.keys(decision.modules).length,
    modules_total: state.method.modules.length,
    peft_parameters_left: factorCount(pruned.state.method),
    peft_parameters_total: total,
  };
  const text = [
    `Heads left by layer: ${summary.heads_left.join(' ')} of ${config.numHeads}`,
    `Neurons left by layer: ${summary.neurons_left.join(' ')} of ${config.intermediateSize}`,
    `PEFT modules left: ${summary.modules_left}, parameters ${summary.peft_parameters_left} of ${total}`,
    `Plan: ${join(flags.out, 'plan.json')}`,
  ].join('\n');
  print(flags.json, summary, text);
}

export function addTrain(program: Command): void {
  const command = program
    .command('train')
    .description('stage three, or plain PEFT: fine-tune; with --init-adapter of `prune` on what is left');
  addSettings(addPauseFlag(addStageFlags(command))).action(runTrain);
}

async function runTrain(flags: StageFlags): Promise<void> {
  const options = await readSettings(flags, 'train');
  checkEvaluationOptions(options.train);
  assertNotOfRun(options);
  checkPause(flags, options);
  const record = await runStage(TRAINING, flags, options, async (stage, context) => {
    const { model, data } = await prepare(context, stage, flags, options);
    const taught = await askTeacher(context, stage, data, options);
    context.progress.stage('training');
    const checkpoint = await checkpointOf(flags.out, stage, data);
    const { evaluation } = data;
    const callbacks = [...(context.callbacks.callbacks ?? []), pausing(flags, context.pause)];
    const learning = { ...options.train, ...options.distill, distill: taught };
    const how = { ...learning, ...context.callbacks, callbacks, checkpoint, evaluation };
    const result = await train(model, data.training, how);
    await model.savePretrained(flags.out);
    const metrics = await metricsOf(model, data);
    const { steps, loss, seconds, tokens, tokensPerSecond, peakBytes, boundBytes } = result;
    const run = { data: data.name, steps, loss, seconds, tokens, tokensPerSecond, peakBytes, boundBytes };
    const content = { ...run, ...(taught && { distillSeconds: taught.seconds }), ...evaluationRecord(result), metrics };
    await writeTrainRecord(join(flags.out, TRAINING.result), content);
    return content;
  });
  if (!record) return;
  const { metrics, loss, steps, best } = record;
  const scores = metrics ? `${scoresText(metrics)}\n` : '';
  print(
    flags.json,
    record,
    `${scores}${best ? bestLine(best) : ''}Loss ${(loss.at(-1) ?? NaN).toFixed(4)} after ${steps} steps\nAdapter: ${flags.out}`,
  );
}

/** The scores of the teacher, if there is one. */
async function askTeacher(
  { engine, progress, callbacks }: CommandContext,
  { base }: Stage,
  data: RunData,
  options: RunOptions,
): Promise<Awaited<ReturnType<typeof scoresOfTeacher>> | undefined> {
  const folder = teacherFolder(options);
  if (folder === undefined) return undefined;
  await assertTeachable(base, data, options);
  progress.stage('teacher');
  return scoresOfTeacher(engine, base, folder, { data, options }, callbacks);
}

/** @throws UserError for a teacher that only `run` has */
function assertNotOfRun({ distill: { distill } }: RunOptions): void {
  if (!OWN_TEACHERS.some((own) => own === distill)) return;
  throw new UserError(
    `--distill: ${distill} is a teacher of run, expected the folder of an adapter; a folder of that name is ./${distill}`,
  );
}

/** Figures on the evaluation data; of several tasks by name. */
async function metricsOf(model: PeftModel, { evaluated, isMulti }: RunData): Promise<object | undefined> {
  const given = [...evaluated].filter(([, { examples }]) => examples.length > 0);
  if (given.length === 0) return undefined;
  const { byTask } = await evaluateTasks(model, new Map(given));
  const found = [...byTask].map(([name, { metrics }]) => [name, metrics] as const);
  return isMulti ? Object.fromEntries(found) : found[0]![1];
}

type Scores = Parameters<typeof scoresLine>[0];

/** Of one set, or a line for each task. */
function scoresText(metrics: object): string {
  const byTask = Object.entries(metrics as Readonly<Record<string, Scores>>);
  if (byTask.some(([, of]) => typeof of !== 'object' || Array.isArray(of))) return scoresLine(metrics);
  return byTask.map(([name, of]) => `${name}: ${scoresLine(of)}`).join('\n');
}

function bestLine({ step, metric, value, isLoaded }: BestEvaluation): string {
  return `Best evaluation: ${metric} ${measure(value)} at step ${step}${isLoaded ? ', whose weights are kept' : ''}\n`;
}
