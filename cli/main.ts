/** Room: cli. The `light-peft` command: parses, calls, prints. */
import { Command, CommanderError } from 'commander';
import { UserError } from '../engine/errors.ts';
import { addDoctor } from './commands/doctor.ts';
import { addEstimate, addPrune, addTrain } from './commands/stages.ts';
import { addEval, addPredict } from './commands/infer.ts';
import { addExport, addMerge } from './commands/convert.ts';
import { addPretrain } from './commands/pretrain.ts';
import { addReport, addRun } from './commands/run.ts';

const program = new Command('light-peft')
  .description('Early pruning for parameter-efficient fine-tuning, on WebGPU')
  .exitOverride()
  .configureHelp({ sortSubcommands: false })
  .configureOutput({ outputError: (text, write) => write(`light-peft: ${text.replace(/^error: /, '')}`) });

for (const add of [
  addDoctor,
  addRun,
  addEstimate,
  addPrune,
  addTrain,
  addEval,
  addPredict,
  addPretrain,
  addMerge,
  addExport,
  addReport,
]) {
  add(program);
}

try {
  await program.parseAsync();
} catch (error) {
  process.exitCode = exitCodeOf(error);
}

/** Says what was wrong in one line; anything unforeseen keeps its stack, for a bug report. */
function exitCodeOf(error: unknown): number {
  if (error instanceof CommanderError) return error.exitCode === 0 ? 0 : 2;
  if (error instanceof UserError) {
    process.stderr.write(`light-peft: ${error.message}\n`);
    return error.exitCode;
  }
  process.stderr.write(`light-peft: unexpected error, please report it\n${(error as Error).stack ?? String(error)}\n`);
  return 1;
}
