/** Room: cli. `push`: an adapter to the Hugging Face hub, with a model card. Needs no GPU. */
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import type { Command } from 'commander';
import { z } from 'zod';
import { UserError } from '../../engine/errors.ts';
import { exists, jsonText, readJson } from '../../engine/io/files.ts';
import { warn } from '../../engine/warnings.ts';
import { AUDIT_KEY, isPlantedMark, plantedWarning } from '../../peft/planted.ts';
import { ADAPTER_FILES, ADAPTER_WEIGHTS } from '../../models/hub/resolve.ts';
import { createRepo, uploadFiles } from '../../models/hub/upload.ts';
import { adapterCard } from '../adapter-card.ts';
import { print, say } from '../context.ts';

interface PushFlags {
  readonly base?: string;
  readonly private?: boolean;
  readonly revision?: string;
  readonly commitMessage?: string;
  readonly json?: boolean;
}

const CONFIG = 'adapter_config.json';
const CARD = 'README.md';

export function addPush(program: Command): void {
  program
    .command('push')
    .description('upload an adapter to the Hugging Face hub, with a model card; needs a token in HF_TOKEN')
    .argument('<dir>', 'PEFT folder, pruned or not')
    .argument('<name>', 'repository: user/name; it is made where it is not there')
    .option('--base <name>', 'its base model on the hub, where adapter_config.json does not say')
    .option('--private', 'make the repository private')
    .option('--revision <name>', 'branch, made where it is not there (default: main)')
    .option('--commit-message <text>', 'title of the commit')
    .option('--json', 'print the result as JSON')
    .action(runPush);
}

async function runPush(dir: string, name: string, flags: PushFlags): Promise<void> {
  const files = await filesOf(dir, name, flags.base);
  await createRepo(name, { private: flags.private });
  const { revision, commitMessage } = flags;
  const onFile = (path: string, part: number): void => {
    if (part === 1) say(`${path} sent`);
  };
  const commit = await uploadFiles(name, files, { revision, commitMessage, onFile });
  print(flags.json, { commit, files: [...files.keys()] }, `${files.size} files: ${commit}`);
}

/** What is sent, by its paths there. A card that the folder has is taken. */
async function filesOf(dir: string, name: string, given: string | undefined): Promise<Map<string, URL | Blob>> {
  const config = await configOf(dir);
  if (isPlantedMark(config[AUDIT_KEY])) warn(plantedWarning(dir));
  const said = config.base_model_name_or_path;
  const base = given ?? (typeof said === 'string' && said !== '' ? said : undefined);
  if (base === undefined)
    throw new UserError(`${join(dir, CONFIG)}: names no base model; give its name on the hub with --base`);
  const files = new Map<string, URL | Blob>();
  for (const file of [...ADAPTER_FILES, 'train.json', CARD])
    if (await exists(join(dir, file))) files.set(file, pathToFileURL(join(dir, file)));
  if (!ADAPTER_WEIGHTS.some((file) => files.has(file)))
    throw new UserError(`${dir}: no weights of an adapter, expected ${ADAPTER_WEIGHTS[0]}`);
  if (base !== said) files.set(CONFIG, new Blob([jsonText({ ...config, base_model_name_or_path: base })]));
  if (!files.has(CARD)) files.set(CARD, new Blob([await adapterCard({ dir, name, base, config })]));
  return files;
}

async function configOf(dir: string): Promise<Readonly<Record<string, unknown>>> {
  const isWithin = await exists(join(dir, 'adapter', CONFIG));
  if (isWithin && !(await exists(join(dir, CONFIG))))
    throw new UserError(`${dir}: no ${CONFIG} there, but in ${join(dir, 'adapter')}: name that`);
  return readJson(join(dir, CONFIG), z.record(z.string(), z.unknown()));
}
