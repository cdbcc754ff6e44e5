/** Room: cli. `sweep`: many trials, here or on all machines that take from a queue. */
import { join } from 'node:path';
import { Option, type Command } from 'commander';
import { UserError } from '../../engine/errors.ts';
import { duration } from '../../report/numbers.ts';
import { sweepTable } from '../../report/sweep/terminal.ts';
import { readSweep, writeSweepReport } from '../../report/sweep/write.ts';
import { forecast, measureTrial } from '../../sweep/forecast.ts';
import { LocalQueue } from '../../sweep/local-queue.ts';
import { sharedEstimates, type SweepPlan } from '../../sweep/plan.ts';
import { sourcesHash } from '../../sweep/sources.ts';
import { openSweep, planFile, runSweep, type Sweep } from '../../sweep/sweep.ts';
import { InterruptedError } from '../../train/loop.ts';
import { print, whyNoPage } from '../context.ts';
import { terminalWidth } from '../help.ts';
import { parseNumber } from '../options.ts';
import { withOutFolder } from '../out-folder.ts';
import { Interruption } from '../signals.ts';
import { SweepProgress } from '../sweep-progress.ts';
import { configurationReader } from '../trial-facts.ts';

export interface SweepFlags {
  readonly out?: string;
  readonly workers?: number;
  readonly dryRun?: boolean;
  readonly retryFailed?: boolean;
  readonly json?: boolean;
}

export function addSweep(program: Command): void {
  const command = program
    .command('sweep')
    .description('run every configuration of a file, and compare them; `light-peft sweep status DIR` shows how it goes')
    .argument('<file>', 'sweep.yaml: a base, axes, a metric')
    .option('--out <dir>', 'folder for everything the sweep leaves; a sweep that was stopped goes on there')
    .addOption(
      new Option('--workers <n>', 'trials at once on this machine (default: 1)').argParser((text) =>
        parseNumber(text, '--workers'),
      ),
    )
    .option('--dry-run', 'print the trials, what they share, and how long they will take, from some steps of the first')
    .option('--retry-failed', 'run the trials again that failed')
    .option('--json', 'print the trials as JSON')
    .action(sweep);
  command.enablePositionalOptions();
}

async function sweep(specFile: string, flags: SweepFlags): Promise<void> {
  if (flags.dryRun) return dryRun(specFile, flags);
  const { out, workers = 1 } = flags;
  if (out === undefined) throw new UserError('--out: missing, the folder of the sweep');
  if (!Number.isInteger(workers) || workers < 1)
    throw new UserError(`--workers: found ${workers}, expected a whole number, at least 1`);
  await withOutFolder({ out }, async () => {
    const commandLine = `light-peft ${process.argv.slice(2).join(' ')}`;
    const opened = await openSweep({ specFile, out, storage: '.', resolve: planReader(specFile), commandLine });
    await runLocally(opened, flags);
  });
  await showSweep(out, flags.json);
}

/** Reads configurations for a plan: the sources do not change meanwhile. */
export function planReader(specFile: string): ReturnType<typeof configurationReader> {
  const hashes = new Map<string, Promise<string>>();
  return configurationReader(specFile, (command) => {
    const hash = hashes.get(command) ?? sourcesHash(command);
    hashes.set(command, hash);
    return hash;
  });
}

async function runLocally(opened: Sweep, { workers = 1, retryFailed }: SweepFlags): Promise<void> {
  const { out, plan, spec } = opened;
  using interruption = new Interruption('what is finished is kept; the same command goes on');
  const { signal } = interruption;
  const { trials: before } = await readSweep(out);
  using progress = new SweepProgress(plan.trials.length, before.length, spec.metric);
  const reader = configurationReader('the trial');
  await using queue = new LocalQueue({
    storage: process.cwd(),
    factsOf: async (command, config) => (await reader(command, config)).facts,
    workers,
    onBegin: (job) => progress.begin(job),
    onStep: (job, report) => progress.step(job, report),
  });
  // A signal without a listener would end the process at once.
  signal.addEventListener('abort', () => undefined);
  const isWhole = await runSweep(opened, queue, {
    signal,
    retryFailed,
    onRecord: (trial, recorded) => progress.record(trial, recorded),
  });
  if (!isWhole)
    throw new InterruptedError(
      'Interrupted: what is finished is kept; the same command goes on.',
      interruption.exitCode,
    );
}

/** The table and the page of a sweep. */
export async function showSweep(out: string, json: boolean | undefined): Promise<void> {
  const page = await writeSweepReport(out).catch((error: unknown) => whyNoPage(error, out));
  const data = await readSweep(out);
  print(json, data, `${sweepTable(data, terminalWidth())}\nTrials: ${join(out, 'trials.jsonl')}\nPage: ${page}`);
}

async function dryRun(specFile: string, { workers = 1, json }: SweepFlags): Promise<void> {
  const { plan } = await planFile({ specFile, resolve: planReader(specFile) });
  if (!json) process.stdout.write(`${planText(plan)}\n`);
  using interruption = new Interruption();
  const reader = configurationReader('the trial');
  const place = {
    storage: process.cwd(),
    factsOf: async (...of: Parameters<typeof reader>) => (await reader(...of)).facts,
  };
  const measured = await measureTrial(plan, place, interruption.signal);
  const seconds = measured && forecast(plan, measured);
  const trials = plan.trials.map(({ id, config, estimate }) => ({ id, config, estimate: estimate?.id ?? null }));
  const words =
    measured && seconds !== undefined
      ? `A step takes ${duration(measured.secondsPerStep)}: all of it about ${duration(seconds / workers)} with ${workers} ${workers === 1 ? 'worker' : 'workers'} like this machine.`
      : `How long it takes was not measured: a trial of ${plan.command} is no training.`;
  print(json, { trials, repeated: plan.repeated, measured, seconds }, words);
}

function planText(plan: SweepPlan): string {
  const { trials, axes, repeated } = plan;
  const shared = sharedEstimates(plan);
  const lines = trials.map(({ id, config, estimate }) => {
    const own = axes.filter((key) => key in config).map((key) => `${key} ${JSON.stringify(config[key])}`);
    return `${id}  ${own.join('  ')}${estimate ? `  (estimation ${estimate.id})` : ''}`;
  });
  const users = [...shared.values()].reduce((a, b) => a + b, 0);
  return [
    ...lines,
    `${trials.length} trials of ${plan.command}, one base`,
    ...(shared.size > 0 ? [`${shared.size} estimations, made once each, serve ${users} trials`] : []),
    ...(repeated > 0
      ? [`${repeated} configurations are left out: they differ in options that their method does not read`]
      : []),
  ].join('\n');
}
