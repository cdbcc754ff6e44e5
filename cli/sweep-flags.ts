/** Room: cli. Flags that the commands of sweeps share. */
import { Option, type Command } from 'commander';
import { parseNumber } from './options.ts';

/** Where a queue's URL is, if no flag has it. */
export const QUEUE_VARIABLE = 'LIGHT_PEFT_QUEUE';

export interface SweepFlags {
  readonly workers?: number;
  readonly retryFailed?: boolean;
  readonly detach?: boolean;
  readonly out?: string;
  readonly queue?: string;
  readonly storage?: string;
  readonly dryRun?: boolean;
  readonly json?: boolean;
}

/** Flags of commands that run trials. */
export function addRunFlags(command: Command): Command {
  return addQueueFlags(command)
    .addOption(
      new Option('--workers <n>', 'trials at once on this machine, without --queue (default: 1)').argParser((text) =>
        parseNumber(text, '--workers'),
      ),
    )
    .option('--retry-failed', 'run the trials again that failed')
    .option('--json', 'print the trials as JSON');
}

export function addQueueFlags(command: Command): Command {
  return addQueueFlag(command).option(
    '--storage <dir>',
    'folder that all machines share; paths of trials are relative to it (default: this one; of `resume`, that of the sweep)',
  );
}

export function addQueueFlag(command: Command): Command {
  return command.option(
    '--queue <url>',
    `redis://[USER:PASSWORD@]HOST[:PORT][/DB], rediss:// with TLS: trials for light-peft worker (default: ${QUEUE_VARIABLE} of the environment)`,
  );
}
