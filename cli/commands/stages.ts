/** Room: cli. Each stage alone, reading the files of the one before: `estimate`, `prune`, `train`. */
import { rm } from 'node:fs/promises';
import { join } from 'node:path';
import type { Command } from 'commander';
import { UserError } from '../../engine/errors.ts';
import { fingerprintCheckpoint } from '../../engine/io/fingerprint.ts';
import { inspectCheckpoint, loadBaseModel } from '../../models/base-model.ts';
import { loadConfig } from '../../models/config.ts';
import { methodOf } from '../../peft/methods.ts';
import { assertEstimateFits, readEstimate, scoresOf, writeEstimate } from '../../pruning/scores-file.ts';
import { loadState, readAdapterValues, saveState } from '../../peft-model/pretrained.ts';
import { factorCount, createState, initMissingWeights, type PeftModelState } from '../../peft-model/assembly.ts';
import { estimateResult } from '../../experiments/runner.ts';
import { numericSettings, type RunIdentity } from '../../train/checkpoint.ts';
import { headOfData, loadData } from '../../data/source.ts';
import { createConfig } from '../../peft/create-config.ts';
import { pruneOnHost } from '../../peft-model/prune-files.ts';
import { writeTrainRecord } from '../../train/result-file.ts';
import { estimate, evaluate, fineTune, makePlan, stepsOf, type TrainCallbacks } from '../../train/stages.ts';
import type { Settings } from '../../train/settings.ts';
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
  const settings = await readSettings(flags, { estimation: true });
  const records = await withEngine(flags, settings, async (context) => {
    const { assembly, examples, fingerprint } = await prepare(context, flags, settings);
    if (assembly.planned)
      throw new UserError(`${flags.initAdapter}: already pruned, the estimation needs a whole adapter`);
    context.progress.stage('estimation');
    const checkpoint = checkpointOf(
      flags,
      numericSettings(settings, 'estimate'),
      settings,
      examples.length,
      fingerprint,
    );
    const outcome = await estimate(context.engine, assembly, examples, settings, { ...context.watch, checkpoint });
    const content = estimateResult(outcome, fingerprint, settings);
    await saveState(join(flags.out, 'adapter'), { ...assembly, values: outcome.values });
    await writeEstimate(join(flags.out, 'records.json'), content);
    await rm(checkpoint.path, { force: true });
    return content;
  });
  const last = records.task_loss[records.task_loss.length - 1] ?? NaN;
  print(
    flags.json,
    records,
    `Task loss ${last.toFixed(4)} after ${records.steps} steps\nRecords: ${join(flags.out, 'records.json')}`,
  );
}

interface Prepared {
  readonly assembly: PeftModelState & { readonly planned: boolean };
  readonly examples: Awaited<ReturnType<typeof loadData>>['train'];
  readonly evaluation: Awaited<ReturnType<typeof loadData>>['eval'];
  readonly fingerprint: string;
  readonly plan?: Parameters<typeof saveState>[2];
}

/** Base, modules and data: fresh, or from `--init-adapter`. */
async function prepare(
  { engine, progress, watch }: CommandContext,
  flags: StageFlags,
  settings: Settings,
): Promise<Prepared> {
  progress.stage('loading');
  const config = await loadConfig(flags.model);
  if (flags.initAdapter !== undefined) {
    const kind = await headOfData(requestOf(flags), settings.taskType);
    const { onBytes } = watch;
    const artefact = await loadState(engine, flags.model, flags.initAdapter, settings, { kind, onBytes });
    const { fingerprint, plan, ...loaded } = artefact;
    const data = await loadData(requestOf(flags), flags.model, config, settings, loaded);
    const assembly = { ...withDropout(loaded, settings), planned: plan !== undefined };
    return {
      assembly,
      examples: trainingData(data.train),
      evaluation: data.eval,
      fingerprint,
      ...(plan && { plan: { plan } }),
    };
  }
  const data = await loadData(requestOf(flags), flags.model, config, settings);
  const examples = trainingData(data.train);
  const fingerprint = await fingerprintCheckpoint(flags.model);
  const { weights: weightType, embeddings } = settings;
  const { head, labels } = data;
  const { onBytes = () => undefined } = watch;
  const initMissing = initMissingWeights(config, settings.seed);
  const base = await loadBaseModel(engine, flags.model, { weightType, embeddings, head, initMissing, onBytes });
  const peft = createConfig(settings, config, head);
  const assembly = { ...(await createState(engine, base, peft, head, labels, settings.seed)), planned: false };
  return { assembly, examples, evaluation: data.eval, fingerprint };
}

function trainingData<T>(examples: readonly T[]): readonly T[] {
  if (examples.length === 0) throw new UserError('--train: missing, training needs data');
  return examples;
}

/** The run's dropout goes before the one an adapter was written with. */
function withDropout(assembly: PeftModelState, { dropout }: Settings): PeftModelState {
  const { method } = assembly;
  if (!method) return assembly;
  const peft = { ...assembly.peft, dropout };
  return { ...assembly, peft, method: methodOf(peft, method.modules) };
}

function checkpointOf(
  flags: StageFlags,
  computed: RunIdentity,
  { saveEvery }: Settings,
  examples: number,
  base: string,
): NonNullable<TrainCallbacks['checkpoint']> {
  const identity: RunIdentity = { ...computed, examples, base, initAdapter: flags.initAdapter ?? '' };
  return { path: join(flags.out, 'checkpoint.safetensors'), every: saveEvery, resume: flags.resume === true, identity };
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
  const settings = await readSettings(flags);
  const { config, fingerprint } = await inspectCheckpoint(flags.model);
  const path = join(flags.estimate, 'records.json');
  const records = await readEstimate(path);
  assertEstimateFits(records, path, fingerprint, config);
  const adapter = await readAdapterValues(join(flags.estimate, 'adapter'), flags.model, config);
  for (const { name, ranks } of adapter.method.modules) {
    const recorded = records.rank_importance[name]?.length;
    if (recorded === ranks) continue;
    throw new UserError(`${path}: key "rank_importance.${name}": found ${recorded} ranks, the adapter has ${ranks}`);
  }
  const run = { ...settings, estimateSteps: records.steps };
  const plan = makePlan(config, fingerprint, scoresOf(records), run, flags.random ? 'random' : 'light-peft');
  const pruned = await pruneOnHost(flags.model, config, adapter, plan, settings);
  await saveState(flags.out, pruned, { plan });
  const total = factorCount(adapter.method);
  const summary = {
    heads_left: plan.layers.map((l) => l.heads.length),
    neurons_left: plan.layers.map((l) => l.neurons.length),
    modules_left: Object.keys(plan.modules).length,
    modules_total: adapter.method.modules.length,
    peft_parameters_left: factorCount(pruned.method),
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
  const settings = await readSettings(flags);
  const result = await withEngine(flags, settings, async (context) => {
    const { assembly, examples, evaluation, fingerprint, plan } = await prepare(context, flags, settings);
    context.progress.stage('training');
    const checkpoint = checkpointOf(flags, numericSettings(settings, 'train'), settings, examples.length, fingerprint);
    const tuned = await fineTune(context.engine, assembly, examples, settings, { ...context.watch, checkpoint });
    await saveState(flags.out, tuned.assembly, plan);
    await rm(checkpoint.path, { force: true });
    const { loss, seconds, tokens, tokensPerSecond, peakBytes, boundBytes } = tuned.result;
    const metrics =
      evaluation.length > 0
        ? (await evaluate(context.engine, tuned.assembly, evaluation, settings)).metrics
        : undefined;
    const steps = stepsOf(examples.length, settings);
    return { steps, loss, seconds, tokens, tokensPerSecond, peakBytes, boundBytes, ...(metrics && { metrics }) };
  });
  await writeTrainRecord(join(flags.out, 'train.json'), result);
  const { metrics } = result;
  const scores = metrics ? `${scoresLine(metrics)}\n` : '';
  const last = result.loss[result.loss.length - 1] ?? NaN;
  print(flags.json, result, `${scores}Loss ${last.toFixed(4)} after ${result.steps} steps\nAdapter: ${flags.out}`);
}
