/** Room: cli. The `light-peft` command as a function of its arguments: parses, calls, and turns errors into one line. */
import { CommanderError, type Command } from 'commander';
import { UserError } from '../engine/errors.ts';
import { versions } from '../experiments/provenance.ts';
import { fileError } from '../engine/io/files.ts';
import { settingKey } from '../experiments/settings.ts';
import { ConfigurableCommand } from './config-file.ts';
import { withFlags } from './flags.ts';
import { arrangeHelp, HELP_FORMAT, terminalWidth } from './help.ts';
import { addAudit } from './commands/audit.ts';
import { addCompare } from './commands/compare.ts';
import { addExport, addMerge } from './commands/convert.ts';
import { addDoctor } from './commands/doctor.ts';
import { addGenerate } from './commands/generate.ts';
import { addEval } from './commands/eval.ts';
import { addPredict } from './commands/predict.ts';
import { addPretrain } from './commands/pretrain.ts';
import { addReport, addRun } from './commands/run.ts';
import { addPush } from './commands/push.ts';
import { addScore } from './commands/score.ts';
import { addSetup } from './commands/setup.ts';
import { addSweep } from './commands/sweep.ts';
import { addWorker } from './commands/worker.ts';
import { resolveNames } from './hub.ts';
import { hearWarnings } from './warnings.ts';
import { addEstimate, addPrune, addTrain } from './commands/stages.ts';

const COMMANDS = [
  addSetup,
  addDoctor,
  addRun,
  addEstimate,
  addPrune,
  addTrain,
  addEval,
  addPredict,
  addScore,
  addGenerate,
  addPretrain,
  addMerge,
  addExport,
  addPush,
  addReport,
  addCompare,
  addAudit,
  addSweep,
  addWorker,
];

/**
 * Runs one command.
 * @param argv arguments after the program's name
 * @returns the exit code: 0, 2 for bad input, 130 when interrupted, 1 for anything unforeseen
 */
export async function runCommand(argv: readonly string[]): Promise<number> {
  const program = new ConfigurableCommand('light-peft')
    .description('Early pruning for parameter-efficient fine-tuning, on WebGPU')
    .version((await versions())['light-peft'])
    // What follows a command's name is for that command.
    .enablePositionalOptions()
    .exitOverride()
    .configureHelp(HELP_FORMAT)
    .configureOutput({
      getOutHelpWidth: terminalWidth,
      outputError: (text, write) =>
        write(`light-peft: ${text.replace(/^error: /, '').replace(/\n\(D(.*)\)/, ', d$1')}`),
    });
  for (const add of COMMANDS) add(program);
  arrangeHelp(program);
  program.hook('preAction', (_, command) => resolveNames(command));
  const flags = flagsOf(program);
  const own = new Set(program.commands.find((c) => c.name() === argv[0])?.options.map((o) => o.attributeName()));
  const withOwnFlags = (text: string): string =>
    withFlags(text, (name) => (own.has(name) ? name : settingKey(name)), flags);
  hearWarnings(withOwnFlags);
  try {
    await program.parseAsync([...argv], { from: 'user' });
    return 0;
  } catch (error) {
    return exitCodeOf(error, withOwnFlags);
  }
}

/** Keys of the flags of all commands. */
function flagsOf({ commands }: Command): ReadonlySet<string> {
  return new Set(commands.flatMap(({ options }) => options.map((option) => option.attributeName())));
}

/** Says what was wrong in one line; anything unforeseen keeps its stack, for a bug report. */
function exitCodeOf(error: unknown, withOwnFlags: (text: string) => string): number {
  if (error instanceof CommanderError) return error.exitCode === 0 ? 0 : 2;
  if (error instanceof UserError) {
    process.stderr.write(`light-peft: ${withOwnFlags(error.message)}\n`);
    return error.exitCode;
  }
  const failed = fileError(pathOf(error), error);
  if (failed !== error) return exitCodeOf(failed, withOwnFlags);
  const stack = error instanceof Error ? error.stack : String(error);
  process.stderr.write(`light-peft: unexpected error, please report it\n${stack}\n`);
  return 1;
}

/** The file that a call of the system failed on. */
function pathOf(error: unknown): string {
  return error instanceof Error && 'path' in error ? String(error.path) : 'the system';
}
