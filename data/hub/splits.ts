/**
 * Room: data/hub. Which files of a data set's repository are which split of which configuration: as its card says, else by their names, as the
 * library `datasets` tells them. Pure functions.
 */
import picomatch from 'picomatch';
import { parse } from 'yaml';
import { z } from 'zod';
import { isDataFile } from '../records.ts';

/** Files by split, in order. */
export type Splits = ReadonlyMap<string, readonly string[]>;

/** What a card says of a configuration. */
const configSchema = z.looseObject({
  config_name: z.string().default('default'),
  default: z.boolean().optional(),
  data_dir: z.string().optional(),
  data_files: z
    .union([
      z.string(),
      z.array(z.string()),
      z.array(z.object({ split: z.string(), path: z.union([z.string(), z.array(z.string())]) })),
    ])
    .optional(),
});

type CardConfig = z.infer<typeof configSchema>;

/** The configurations of a data set, by name. */
export interface Configs {
  readonly splits: ReadonlyMap<string, Splits>;
  /** The one that is meant where none is named; undefined where there are several. */
  readonly usual: string | undefined;
}

/**
 * The configurations of a repository.
 * @param paths of all of its files
 * @param card the text of its README.md
 */
export function configsOf(paths: readonly string[], card = ''): Configs {
  const said = cardConfigs(card);
  const entries =
    said.length > 0
      ? said.map((config) => [config.config_name, splitsOfConfig(config, paths)] as const)
      : [['default', splitsByName(paths)] as const];
  const names = entries.map(([name]) => name);
  const marked = said.find((config) => config.default)?.config_name;
  const usual = marked ?? (names.includes('default') ? 'default' : names.length === 1 ? names[0] : undefined);
  return { splits: new Map(entries), usual };
}

/** The block between two lines of dashes at a card's beginning. */
function cardConfigs(card: string): CardConfig[] {
  const block = /^---\r?\n([^]*?)\r?\n---/.exec(card)?.[1];
  if (block === undefined) return [];
  try {
    const { configs } = z.looseObject({ configs: z.array(configSchema) }).parse(parse(block));
    return configs;
  } catch {
    // A card without configurations, or one that nobody can read.
    return [];
  }
}

function splitsOfConfig({ data_dir: dir, data_files: files }: CardConfig, paths: readonly string[]): Splits {
  const within = dir === undefined ? paths : paths.filter((path) => path.startsWith(`${dir.replace(/\/$/, '')}/`));
  if (files === undefined) return splitsByName(within);
  const matching = (patterns: string | readonly string[]): string[] => {
    const matches = picomatch([patterns].flat(), { dot: true });
    return within.filter((path) => matches(path)).sort();
  };
  const said = [files].flat();
  const named = said.filter((one) => typeof one !== 'string');
  if (named.length === 0) return new Map([['train', matching(said.filter((one) => typeof one === 'string'))]]);
  return new Map(named.map(({ split, path }) => [split, matching(path)]));
}

/** Words that tell a split, in the names of files and folders. */
const WORDS: readonly (readonly [split: string, words: readonly string[]])[] = [
  ['train', ['train', 'training']],
  ['validation', ['validation', 'valid', 'dev', 'val']],
  ['test', ['test', 'testing', 'eval', 'evaluation']],
];

/** `data/train-00000-of-00002.parquet` */
const SHARD = /(?:^|\/)(\w+(?:\.\w+)*)-\d{5}-of-\d{5}[^/]*$/;

/** By the names of files; what no name tells is to train on. */
export function splitsByName(paths: readonly string[]): Splits {
  const files = paths
    .filter((path) => isDataFile(path) && !/(^|\/)[._]|\.index\.json$|_infos?\.json$/.test(path))
    .sort();
  const splits = new Map<string, string[]>();
  for (const path of files) {
    const split = SHARD.exec(path)?.[1] ?? splitOf(path) ?? 'train';
    splits.set(split, [...(splits.get(split) ?? []), path]);
  }
  return splits;
}

/** The last part of the path that tells one counts. */
function splitOf(path: string): string | undefined {
  for (const part of path.split('/').reverse()) {
    const words = part.toLowerCase().split(/[^a-z]+/);
    const found = WORDS.find(([, all]) => all.some((word) => words.includes(word)));
    if (found) return found[0];
  }
  return undefined;
}

/** The branch of a repository where the hub keeps what it has converted to Parquet. */
export const CONVERTED = 'refs/convert/parquet';

/** The configurations of that branch: `CONFIG/SPLIT/0000.parquet`, `CONFIG/partial-SPLIT/0000.parquet` where it stopped at 5 GB. */
export function convertedConfigs(paths: readonly string[]): Configs & { readonly isPart: boolean } {
  const splits = new Map<string, Map<string, string[]>>();
  let isPart = false;
  for (const path of [...paths].sort()) {
    const [, config, partial, split] = /^([^/]+)\/(partial-)?([^/]+)\/\d+\.parquet$/.exec(path) ?? [];
    if (config === undefined || split === undefined) continue;
    isPart ||= partial !== undefined;
    const own = splits.get(config) ?? new Map<string, string[]>();
    splits.set(config, own.set(split, [...(own.get(split) ?? []), path]));
  }
  const names = [...splits.keys()];
  return { splits, isPart, usual: names.includes('default') ? 'default' : names.length === 1 ? names[0] : undefined };
}
