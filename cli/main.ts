/**
 * Room: cli. The `light-peft` command, and the only place that knows flags. This file is its entry point; `program.ts` parses and turns
 * errors into one line; `commands/` holds a file for one or several commands; `options.ts` makes flags, `--help` and YAML keys from the
 * options that the rooms declare; `context.ts` opens the engine and draws progress;
 * `signals.ts` hears Ctrl-C; `out-folder.ts` guards the folder of a result.
 *
 * It imports experiments and the rooms below. Nobody imports it: what it can do, code can do with the package's entries.
 */
import { fileError } from '../engine/io/files.ts';
import { runCommand } from './program.ts';
import { Interruption } from './signals.ts';

// Whatever is at work, a signal ends it so that locks and files half written go.
const interruption = new Interruption();
// A reader that has had enough, such as `head`, is no failure to talk about.
process.stdout.on('error', (error: NodeJS.ErrnoException) => {
  if (error.code === 'EPIPE') process.exit(1);
  const { message } = fileError('standard output', error) as Error;
  process.stderr.write(`light-peft: ${message}\n`);
  process.exit(2);
});
// Nobody reads what would be said.
process.stderr.on('error', () => undefined);
const code = await runCommand(process.argv.slice(2));
interruption[Symbol.dispose]();
if (code !== 0) process.exitCode = code;
