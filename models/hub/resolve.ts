/**
 * Room: models/hub. From what a user names to a folder: one that is there, else a repository of the hub, of which only the files that are
 * read here are downloaded. Uses the network, and reads and writes the cache.
 */
import { readFile, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { z } from 'zod';
import { UserError } from '../../engine/errors.ts';
import { parseJson, validate } from '../../engine/io/files.ts';
import { conversion } from '../../engine/io/safetensors.ts';
import { isRepoName } from './repo.ts';
import { Snapshot, type DownloadOptions } from './snapshot.ts';

/** What a name on the hub is resolved with: `DownloadOptions` but for the kind, which is a model. */
export type ResolveOptions = Omit<DownloadOptions, 'repoType'>;

const CONFIG = 'config.json';
const WEIGHTS = 'model.safetensors';
const INDEX = 'model.safetensors.index.json';

/** Of a model, beside its weights. */
const MODEL_FILES = [
  CONFIG,
  'generation_config.json',
  'tokenizer.json',
  'tokenizer_config.json',
  'special_tokens_map.json',
  'chat_template.jinja',
  'chat_template.json',
];

/** What a missing tokenizer.json can be made of. */
const VOCABULARY_FILES = [
  'vocab.txt',
  'vocab.json',
  'merges.txt',
  'added_tokens.json',
  'sentencepiece.bpe.model',
  'spiece.model',
  'tokenizer.model',
];

/** Of an adapter: PEFT's, this project's, and AdapterHub's. */
const ADAPTER_CONFIG = 'adapter_config.json';
export const ADAPTER_WEIGHTS = ['adapter_model.safetensors', 'adapter.safetensors'];

/** All that is read of an adapter. */
export const ADAPTER_FILES = [
  ADAPTER_CONFIG,
  ...ADAPTER_WEIGHTS,
  'plan.json',
  'labels.json',
  'head_config.json',
  'model_head.safetensors',
];

/**
 * The folder of a model: the one named, else that of a repository (`user/name`, `user/name@revision`) in the Hugging Face cache, downloaded
 * where it is not there.
 * @returns a folder for `loadModel`
 * @throws UserError where there is neither, or it has no weights that are read; as `snapshotDownload`
 */
export async function resolveModel(nameOrDir: string, options: ResolveOptions = {}): Promise<string> {
  if (await isOnDisk(nameOrDir, options)) return nameOrDir;
  const snapshot = await Snapshot.open(nameOrDir, options);
  const isAdapter = await snapshot.has(ADAPTER_CONFIG);
  snapshot.need(CONFIG, isAdapter ? '; it is an adapter: its base is the model' : '');
  const hasTokenizer = await snapshot.has('tokenizer.json');
  const isWhole = await snapshot.has(WEIGHTS);
  if (!isWhole && !(await snapshot.has(INDEX))) refuseWeights(snapshot);
  const wanted = new Set([...MODEL_FILES, ...(hasTokenizer ? [] : VOCABULARY_FILES), isWhole ? WEIGHTS : INDEX]);
  const folder = await snapshot.fetch(
    (path) => wanted.has(path) || /^additional_chat_templates\/[^/]+\.jinja$/.test(path),
  );
  if (isWhole) return folder;
  const shards = await shardsOf(join(folder, INDEX));
  for (const shard of shards) snapshot.need(shard, `, which ${INDEX} names`);
  return snapshot.fetch((path) => shards.has(path));
}

const indexSchema = z.looseObject({ weight_map: z.record(z.string(), z.string()) });

async function shardsOf(path: string): Promise<ReadonlySet<string>> {
  const { weight_map: map } = validate(parseJson(await readFile(path, 'utf8'), path), indexSchema, path);
  return new Set(Object.values(map));
}

function refuseWeights({ repo, files, folder }: Snapshot): never {
  const others = files?.find(({ path }) => /^pytorch_model.*\.bin(\.index\.json)?$/.test(path));
  if (others === undefined)
    throw new UserError(`${repo.name}: no weights in ${files ? 'it' : folder}, expected ${WEIGHTS} or ${INDEX}`);
  const advice = `${conversion(repo.name, 'DIR')}, then name DIR`;
  throw new UserError(`${repo.name}: only PyTorch weights (${others.path}), expected safetensors; ${advice}`);
}

/**
 * The folder of an adapter: the one named, else that of a repository in the Hugging Face cache, downloaded where it is not there.
 * @returns a folder for `PeftModel.fromPretrained`
 * @throws UserError where there is neither, or it is no adapter that is read; as `snapshotDownload`
 */
export async function resolveAdapter(nameOrDir: string, options: ResolveOptions = {}): Promise<string> {
  if (await isOnDisk(nameOrDir, options)) return nameOrDir;
  const snapshot = await Snapshot.open(nameOrDir, options);
  snapshot.need(ADAPTER_CONFIG, (await snapshot.has(CONFIG)) ? '; it is a model, no adapter' : '');
  const hasWeights = await Promise.all(ADAPTER_WEIGHTS.map((path) => snapshot.has(path)));
  if (!hasWeights.includes(true)) {
    const isOld = await snapshot.has('adapter_model.bin');
    const found = isOld ? 'only adapter_model.bin; save it again with a PEFT from 0.6 on' : 'no weights';
    throw new UserError(`${snapshot.repo.name}: found ${found}, expected ${ADAPTER_WEIGHTS[0]}`);
  }
  return snapshot.fetch((path) => ADAPTER_FILES.includes(path));
}

/** Whether a folder is named. @throws UserError where it is none, and no repository's name either */
async function isOnDisk(nameOrDir: string, { revision }: ResolveOptions): Promise<boolean> {
  const found = await stat(nameOrDir).catch(() => undefined);
  // What is no name of a repository is told by who reads the folder.
  if (!found && isRepoName(nameOrDir)) return false;
  if (revision === undefined) return true;
  throw new UserError(`${nameOrDir}: found a folder, expected a name on the hub where a revision is given`);
}
