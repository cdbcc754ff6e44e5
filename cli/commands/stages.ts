/** Room: cli. Each stage alone, reading the files of the one before: `estimate`, `prune`, `train`. */
import { rm } from 'node:fs/promises';
import { join } from 'node:path';
import type { Command } from 'commander';
import { UserError } from '../../engine/errors.ts';
import { headOfData, loadData, type DataSet } from '../../data/source.ts';
import { estimateOptionsOf, numericOptions, type RunOptions } from '../../experiments/options.ts';
import { decisionOf } from '../../experiments/runner.ts';
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
import { evaluate } from '../../train/evaluate.ts';
import type { CheckpointOptions } from '../../train/options.ts';
import { writeTrainRecord } from '../../train/result-file.ts';
import { train } from '../../train/train.ts';
import { addEngineFlags, print, withEngine, type CommandContext, type EngineFlags } from '../context.ts';
import { addDataFlags, requestOf, type DataFlags } from '../data-flags.ts';
import { addSettings, readSettings } from '../options.ts';
import { scoresLine } from '../scores.ts';

interface StageFlags extends DataFlags, EngineFlags {
  readonly out: string;
  readonly initAdapter?: string;
  readonly resume?: boolean;
}

function addStageFlags(command: Command): Command {
  return addEngineFlags(addDataFlags(command))
    .option('--init-adapter <dir>', 'PEFT folder to start from, in place of fresh modules')
    .requiredOption('--out <dir>', 'folder for the results')
    .option('--resume', 'go on from the checkpoint of an interrupted run');
}

export function addEstimate(program: Command): void {
  const command = program
    .command('estimate')
    .description(
      'stage one: train masks and modules for a few steps (--estimate-steps, else --steps) and record importance',
    );
  addSettings(addStageFlags(command)).action(runEstimate);
}

async function runEstimate(flags: StageFlags): Promise<void> {
  const options = await readSettings(flags, { estimation: true });
  const path = join(flags.out, 'records.json');
  const content = await withEngine(flags, options.engine, async (context) => {
    const { model, data } = await prepare(context, flags, options);
    if (model.plan) throw new UserError(`${flags.initAdapter}: already pruned, the estimation needs a whole adapter`);
    context.progress.stage('estimation');
    const checkpoint = await checkpointOf(flags, options, 'estimate', model, data);
    const estimated = await estimate(model, data.train, {
      ...estimateOptionsOf(options),
      ...context.callbacks,
      checkpoint,
    });
    const result = estimateResult(estimated, await model.checkpoint!.fingerprint());
    await model.savePretrained(join(flags.out, 'adapter'));
    await writeEstimate(path, result);
    await rm(checkpoint.path, { force: true });
    return result;
  });
  const last = content.task_loss.at(-1) ?? NaN;
  print(flags.json, content, `Task loss ${last.toFixed(4)} after ${content.steps} steps\nRecords: ${path}`);
}

/** Base, modules and data: fresh, or from `--init-adapter`. */
async function prepare(
  { engine, progress, callbacks: { onBytes } }: CommandContext,
  flags: StageFlags,
  { peft, data: encoding, load, train: { seed } }: RunOptions,
): Promise<{ model: PeftModel; data: DataSet }> {
  progress.stage('loading');
  const checkpoint = await loadModel(flags.model);
  const request = requestOf(flags);
  if (flags.initAdapter === undefined) {
    const data = await loadData(checkpoint, request, encoding, undefined, onBytes);
    assertTrainable(data);
    const options = { ...load, head: data.head, labels: data.labels, seed, onBytes };
    return { model: await getPeftModel(engine, checkpoint, peftConfig(peft), options), data };
  }
  const head = await headOfData(request, encoding.taskType);
  // The run's dropout goes before the one an adapter was written with.
  const options = { ...load, head, onBytes, dropout: peft.dropout };
  const model = await PeftModel.fromPretrained(engine, checkpoint, flags.initAdapter, options);
  const data = await loadData(checkpoint, request, encoding, model, onBytes);
  assertTrainable(data);
  return { model, data };
}

function assertTrainable({ train: examples }: DataSet): void {
  if (examples.length === 0) throw new UserError('--train: missing, training needs data');
}

async function checkpointOf(
  flags: StageFlags,
  options: RunOptions,
  stage: 'estimate' | 'train',
  { checkpoint }: PeftModel,
  { train: examples }: DataSet,
): Promise<CheckpointOptions> {
  const base = await checkpoint!.fingerprint();
  const { initAdapter = '', resume = false } = flags;
  const identity = { ...numericOptions(options, stage), examples: examples.length, base, initAdapter };
  return { path: join(flags.out, 'checkpoint.safetensors'), resume, identity };
}

export function addPrune(program: Command): void {
  const command = program
    .command('prune')
    .description(
      'stage two: decide what stays by the records of an estimation, and cut the PEFT modules; writes plan.json',
    )
    .requiredOption('--model <dir>', 'base checkpoint, a Hugging Face folder')
    .requiredOption('--estimate <dir>', 'folder that `estimate` wrote')
    .requiredOption('--out <dir>', 'folder for the pruned adapter and its plan')
    .option('--random', 'prune as much at random: the baseline')
    .option('--json', 'print a summary as JSON');
  addSettings(command).action(runPrune);
}

interface PruneFlags extends Record<string, unknown> {
  readonly model: string;
  readonly estimate: string;
  readonly out: string;
  readonly random?: boolean;
  readonly json?: boolean;
}

async function runPrune(flags: PruneFlags): Promise<void> {
  const options = await readSettings(flags);
  const { seed } = options.train;
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
  const pruned = await sliceFolder(checkpoint, state, decision, { ...options.slice, seed });
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
  addSettings(addStageFlags(command)).action(runTrain);
}

async function runTrain(flags: StageFlags): Promise<void> {
  const options = await readSettings(flags);
  const record = await withEngine(flags, options.engine, async (context) => {
    const { model, data } = await prepare(context, flags, options);
    context.progress.stage('training');
    const checkpoint = await checkpointOf(flags, options, 'train', model, data);
    const result = await train(model, data.train, { ...options.train, ...context.callbacks, checkpoint });
    await model.savePretrained(flags.out);
    await rm(checkpoint.path, { force: true });
    const metrics = data.eval.length > 0 ? (await evaluate(model, data.eval, options.data)).metrics : undefined;
    const { steps, loss, seconds, tokens, tokensPerSecond, peakBytes, boundBytes } = result;
    return { steps, loss, seconds, tokens, tokensPerSecond, peakBytes, boundBytes, metrics };
  });
  await writeTrainRecord(join(flags.out, 'train.json'), record);
  const { metrics, loss, steps } = record;
  const scores = metrics ? `${scoresLine(metrics)}\n` : '';
  print(
    flags.json,
    record,
    `${scores}Loss ${(loss.at(-1) ?? NaN).toFixed(4)} after ${steps} steps\nAdapter: ${flags.out}`,
  );
}
