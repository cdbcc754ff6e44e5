/** Room: cli. `merge` and `export`: results as plain Hugging Face folders. Neither needs a GPU. */
import { realpath } from 'node:fs/promises';
import { join } from 'node:path';
import type { Command } from 'commander';
import { UserError } from '../../engine/errors.ts';
import { exportDense, mergeAdapter } from '../../peft-model/convert.ts';
import { print } from '../context.ts';
import { addModelFlag } from '../hub.ts';
import { addOutFlags, assertFree, withOutFolder, type OutFlags } from '../out-folder.ts';

interface ConvertFlags extends OutFlags {
  readonly model: string;
  readonly adapter: string;
  readonly unmerge?: boolean;
}

function addConvertFlags(command: Command, out: string): Command {
  return addModelFlag(addOutFlags(command, out)).requiredOption(
    '--adapter <name>',
    'PEFT folder, or name on the hub, pruned or not',
  );
}

/** Runs `convert` with the folder, which is never the one that is read. */
async function convertInto(flags: ConvertFlags, convert: () => Promise<void>): Promise<void> {
  await withOutFolder(flags, async () => {
    if ((await realpath(flags.out)) === (await realpath(flags.model).catch(() => undefined)))
      throw new UserError(`--out: is the folder of --model, ${flags.model}, which must stay as it is`);
    await assertFree(flags);
    await convert();
  });
}

export function addMerge(program: Command): void {
  const command = program
    .command('merge')
    .description('add LoRA to the weights it adapts: one checkpoint with its classification head');
  addConvertFlags(command, 'folder for the merged checkpoint')
    .option('--unmerge', 'take the adapter out of a merged checkpoint instead')
    .action(async (flags: ConvertFlags) => {
      const { model, adapter, out, unmerge } = flags;
      await convertInto(flags, () => mergeAdapter(model, adapter, out, unmerge));
      print(false, undefined, `Checkpoint: ${out}`);
    });
}

export function addExport(program: Command): void {
  const command = program
    .command('export')
    .description('write a pruned result as a full-size base with zeroed columns and a PEFT folder, without loss');
  addConvertFlags(command, 'folder for base/ and adapter/').action(async (flags: ConvertFlags) => {
    const { model, adapter, out } = flags;
    await convertInto(flags, () => exportDense(model, adapter, out));
    print(false, undefined, `Base: ${join(out, 'base')}\nAdapter: ${join(out, 'adapter')}`);
  });
}
