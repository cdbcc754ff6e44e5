/** Room: cli. `sweep`: many trials, here or on all machines that take from a queue. */
import type { Command } from 'commander';
import { UserError } from '../../engine/errors.ts';
import { duration } from '../../report/numbers.ts';
import { forecast, measureTrial, type Measured } from '../../sweep/forecast.ts';
import { planSweep, sharedEstimates, type SweepPlan } from '../../sweep/plan.ts';
import { readSpec } from '../../sweep/spec.ts';
import { print } from '../context.ts';
import { Interruption } from '../signals.ts';
import { addRunFlags, type SweepFlags } from '../sweep-flags.ts';
import { factsReader, planReader, runFile } from '../sweep-run.ts';
import { addSweepFinal, addSweepResume, addSweepStatus, addSweepStop } from './sweep-folder.ts';

export function addSweep(program: Command): void {
  const command = program
    .command('sweep')
    .description('run every configuration of a file, here or on many machines, and compare them')
    .argument('<file>', 'sweep.yaml: a base, axes, a metric')
    .option('--out <dir>', 'folder for everything the sweep leaves; a sweep that was stopped goes on there')
    .option('--dry-run', 'print the trials, what they share, and how long they will take, from some steps of the first')
    .option('--detach', 'with --queue: leave when the trials are in the queue');
  addRunFlags(command).action(sweep);
  command.enablePositionalOptions();
  for (const add of [addSweepStatus, addSweepStop, addSweepResume, addSweepFinal]) add(command);
}

async function sweep(specFile: string, flags: SweepFlags): Promise<void> {
  if (flags.dryRun) return dryRun(specFile, flags);
  if (flags.out === undefined) throw new UserError('--out: missing, the folder of the sweep');
  await runFile(specFile, { ...flags, out: flags.out });
}

async function dryRun(specFile: string, { workers = 1, storage = '.', json }: SweepFlags): Promise<void> {
  const spec = await readSpec(specFile);
  process.chdir(storage);
  const plan = await planSweep(spec, specFile, planReader(specFile));
  if (!json) process.stdout.write(`${planText(plan)}\n`);
  using interruption = new Interruption();
  const measured = await measureTrial(plan, { storage: process.cwd(), factsOf: factsReader() }, interruption.signal);
  const seconds = measured && forecast(plan, measured);
  const trials = plan.trials.map(({ id, config, estimate }) => ({ id, config, estimate: estimate?.id ?? null }));
  print(json, { trials, repeated: plan.repeated, measured, seconds }, timeText(plan, measured, workers));
}

function timeText(plan: SweepPlan, measured: Measured | undefined, workers: number): string {
  if (!measured) return `How long it takes was not measured: a trial of ${plan.command} is no training.`;
  const all = duration(forecast(plan, measured) / workers);
  const who = workers === 1 ? 'one worker' : `${workers} workers`;
  return `A step takes ${measured.secondsPerStep.toFixed(2)} s: all of it about ${all} with ${who} like this machine.`;
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
