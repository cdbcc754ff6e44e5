/** Room: cli. Entry point of the `light-peft` command. */
import { runCommand } from './program.ts';

const code = await runCommand(process.argv.slice(2));
if (code !== 0) process.exitCode = code;
