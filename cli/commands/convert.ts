/** Room: cli. `merge` and `export`: results as plain Hugging Face folders. Neither needs a GPU. */
import { join } from 'node:path';
import type { Command } from 'commander';
import { exportDense, mergeAdapter } from '../../peft-model/convert.ts';
import { print } from '../context.ts';

interface ConvertFlags {
  readonly model: string;
  readonly adapter: string;
  readonly out: string;
  readonly unmerge?: boolean;
}

export function addMerge(program: Command): void {
  program
    .command('merge')
    .description('add LoRA to the weights it adapts: one checkpoint with its classification head')
    .requiredOption('--model <dir>', 'base checkpoint, a Hugging Face folder')
    .requiredOption('--adapter <dir>', 'PEFT folder, pruned or not')
    .requiredOption('--out <dir>', 'folder for the merged checkpoint')
    .option('--unmerge', 'take the adapter out of a merged checkpoint instead')
    .action(async ({ model, adapter, out, unmerge }: ConvertFlags) => {
      await mergeAdapter(model, adapter, out, unmerge);
      print(false, undefined, `Checkpoint: ${out}`);
    });
}

export function addExport(program: Command): void {
  program
    .command('export')
    .description('write a pruned result as a full-size base with zeroed columns and a PEFT folder, without loss')
    .requiredOption('--model <dir>', 'base checkpoint, a Hugging Face folder')
    .requiredOption('--adapter <dir>', 'PEFT folder, pruned or not')
    .requiredOption('--out <dir>', 'folder for base/ and adapter/')
    .action(async ({ model, adapter, out }: ConvertFlags) => {
      await exportDense(model, adapter, out);
      print(false, undefined, `Base: ${join(out, 'base')}\nAdapter: ${join(out, 'adapter')}`);
    });
}
