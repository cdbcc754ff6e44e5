/** Room: cli. The `light-peft` command as a function of its arguments: parses, calls, and turns errors into one line. */
import { Command, CommanderError } from 'commander';
import { UserError } from '../engine/errors.ts';
import { versions } from '../experiments/provenance.ts';
import { fileError } from '../engine/io/files.ts';
import { withFlags } from './flags.ts';
import { settingKey } from '../experiments/settings.ts';
import { addExport, addMerge } from './commands/convert.ts';
import { addDoctor } from './commands/doctor.ts';
import { addGenerate } from './commands/generate.ts';
import { addEval, addPredict } from './commands/infer.ts';
import { addPretrain } from './commands/pretrain.ts';
import { addReport, addRun } from './commands/run.ts';
import { addSetup } from './commands/setup.ts';
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
  addGenerate,
  addPretrain,
  addMerge,
  addExport,
  addReport,
];

/**
 * Runs one command.
 * @param argv arguments after the program's name
 * @returns the exit code: 0, 2 for bad input, 130 when interrupted, 1 for anything unforeseen
 */
export async function runCommand(argv: readonly string[]): Promise<number> {
  const program = new Command('light-peft')
    .description('Early pruning for parameter-efficient fine-tuning, on WebGPU')
    .version((await versions())['light-peft'])
    .exitOverride()
    .configureOutput({ outputError: (text, write) => write(`light-peft: ${text.replace(/^error: /, '')}`) });
  for (const add of COMMANDS) add(program);
  const flags = flagsOf(program);
  hearWarnings((text) => withFlags(text, settingKey, flags));
  try {
    await program.parseAsync([...argv], { from: 'user' });
    return 0;
  } catch (error) {
    return exitCodeOf(error, flags);
  }
}

/** Keys of the flags of all commands. */
function flagsOf({ commands }: Command): ReadonlySet<string> {
  return new Set(commands.flatMap(({ options }) => options.map((option) => option.attributeName())));
}

/** Says what was wrong in one line; anything unforeseen keeps its stack, for a bug report. */
function exitCodeOf(error: unknown, flags: ReadonlySet<string>): number {
  if (error instanceof CommanderError) return error.exitCode === 0 ? 0 : 2;
  if (error instanceof UserError) {
    process.stderr.write(`light-peft: ${withFlags(error.message, settingKey, flags)}\n`);
    return error.exitCode;
  }
  const failed = fileError(pathOf(error), error);
  if (failed !== error) return exitCodeOf(failed, flags);
  const stack = error instanceof Error ? error.stack : String(error);
  process.stderr.write(`light-peft: unexpected error, please report it\n${stack}\n`);
  return 1;
}

/** The file that a call of the system failed on. */
function pathOf(error: unknown): string {
  return error instanceof Error && 'path' in error ? String(error.path) : 'the system';
}
