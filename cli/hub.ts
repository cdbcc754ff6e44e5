/**
 * Room: cli. What flags name on the Hugging Face hub, as folders and files: resolved before a command begins, so that the rooms below see what
 * is on the disk. A download is shown on standard error.
 */
import cliProgress from 'cli-progress';
import type { Command } from 'commander';
import { resolveData, type HubData } from '../data/hub/resolve.ts';
import type { DataOptions } from '../data/options.ts';
import type { DataRequest } from '../data/request.ts';
import type { OnBytes } from '../engine/io/load.ts';
import { resolveAdapter, resolveModel } from '../models/hub/resolve.ts';
import { splitName } from './named-folders.ts';
import { readSettings } from './options.ts';

export function addModelFlag(command: Command): Command {
  return command
    .requiredOption('--model <name>', 'base: folder, or name on the Hugging Face hub')
    .option('--revision <name>', 'branch, tag or commit of a --model on the hub (default: main)');
}

/** Of commands that read data. */
export function addHubDataFlags(command: Command): Command {
  return command
    .option('--dataset <name>', 'data set on the Hugging Face hub, as user/name; --columns names what is read of it')
    .option('--dataset-config <name>', 'configuration of that data set, where it has several')
    .option('--dataset-split <name>', 'split of it to train on, or to evaluate where nothing is trained');
}

export interface HubDataFlags extends HubData {
  readonly task?: string;
  readonly dataDir?: string;
}

/** Puts folders in the place of names that a command was given. Settings that are wrong are told before anything is downloaded. */
export async function resolveNames(command: Command): Promise<void> {
  const flags = command.opts<Record<string, unknown>>();
  if (command.options.some((option) => option.attributeName() === 'config')) await readSettings(flags);
  const revision = flags.revision as string | undefined;
  if (typeof flags.model === 'string') {
    const model = await shown(flags.model, (onBytes) => resolveModel(flags.model as string, { revision, onBytes }));
    command.setOptionValue('model', model);
  }
  for (const key of ['adapter', 'initAdapter']) {
    const given = flags[key];
    if (given === undefined) continue;
    const found: string[] = [];
    for (const text of [given as string | readonly string[]].flat())
      found.push(await adapterOf(text, Array.isArray(given)));
    command.setOptionValue(key, Array.isArray(given) ? found : found[0]);
  }
}

/** Where several adapters can be given, each keeps the name that it goes by. */
async function adapterOf(text: string, isNamed: boolean): Promise<string> {
  const [name, place] = isNamed ? splitName(text) : ['', text];
  const folder = await shown(place, (onBytes) => resolveAdapter(place, { onBytes }));
  return folder === place ? text : isNamed ? `${name}=${folder}` : folder;
}

/** A request whose data is on the disk. */
export function onDisk(request: DataRequest & HubData, options: DataOptions): Promise<DataRequest> {
  return shown(request.dataset ?? request.task ?? '', (onBytes) => resolveData(request, options, { onBytes }));
}

/** Milliseconds between two lines in a pipe. */
const LINE_EVERY = 5000;

/** Shows how much of a download is there. */
async function shown<T>(name: string, work: (onBytes: OnBytes) => Promise<T>): Promise<T> {
  const stream = process.stderr;
  let bar: cliProgress.SingleBar | undefined;
  let last = Date.now();
  const draw = (done: number, total: number): void => {
    const format = `${name} {bar} {value}/{total} MB · {eta_formatted} left`;
    if (!bar) {
      bar = new cliProgress.SingleBar({ format, barsize: 20, stream }, cliProgress.Presets.shades_classic);
      bar.start(megabytes(total), 0);
    }
    bar.setTotal(megabytes(total));
    bar.update(megabytes(done));
  };
  const write = (done: number, total: number): void => {
    if (done < total && Date.now() - last < LINE_EVERY) return;
    last = Date.now();
    stream.write(`${name}: ${amount(done)} of ${amount(total)} downloaded\n`);
  };
  try {
    return await work(stream.isTTY ? draw : write);
  } finally {
    bar?.stop();
  }
}

/** `1 kB`, `12.3 MB` */
function amount(bytes: number): string {
  return bytes < 1e6 ? `${Math.ceil(bytes / 1000)} kB` : `${megabytes(bytes).toFixed(1)} MB`;
}

function megabytes(bytes: number): number {
  return Math.round(bytes / 1e5) / 10;
}
