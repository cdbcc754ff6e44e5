/**
 * Room: engine/tune. What tuning found, on disk: one file per machine, per adapter and kernel task the config that was
 * fastest. A pick counts only as long as the sources it was chosen from are those of today.
 */
import { createHash } from 'node:crypto';
import { homedir } from 'node:os';
import { join } from 'node:path';
import { z } from 'zod';
import type { ConfigSelector, KernelConfigs } from '../../kernels/config.ts';
import type { AdapterDescription } from '../device/device.ts';
import { option, UserError } from '../errors.ts';
import { warn } from '../warnings.ts';
import { exists, readJson, writeJson } from '../io/files.ts';

const fileSchema = z.object({
  format: z.literal('light-peft/tuning'),
  version: z.literal(1),
  /** Adapter → task → pick. */
  adapters: z.record(z.string(), z.record(z.string(), z.object({ pick: z.string(), sources: z.string() }))),
});

type PicksFile = z.infer<typeof fileSchema>;

/** `LIGHT_PEFT_CACHE`, or the user's cache folder by the XDG rules. */
export function cacheFile(env: Readonly<Record<string, string | undefined>> = process.env): string {
  const folder = env.LIGHT_PEFT_CACHE || join(env.XDG_CACHE_HOME || join(homedir(), '.cache'), 'light-peft');
  return join(folder, 'tuning.json');
}

export class TuningCache {
  readonly #path: string;
  readonly #adapter: string;
  readonly #sources = new Map<string, string>();
  readonly #picks: Map<string, { pick: string; sources: string }>;

  private constructor(path: string, adapter: string, file: PicksFile) {
    this.#path = path;
    this.#adapter = adapter;
    this.#picks = new Map(Object.entries(file.adapters[adapter] ?? {}));
  }

  /** Picks of one adapter. A file that cannot be read counts as empty, with a warning. */
  static async load(path: string, adapter: AdapterDescription): Promise<TuningCache> {
    const { vendor, architecture, device, description } = adapter;
    const key = [vendor, architecture, device, description].join(' | ');
    return new TuningCache(path, key, await readFile(path));
  }

  /** The pick of a task, where it is known and still one of the configs. */
  find(configs: KernelConfigs): string | undefined {
    const found = this.#picks.get(keyOf(configs));
    if (!found || !configs.names.includes(found.pick)) return undefined;
    return found.sources === this.#sourcesOf(configs) ? found.pick : undefined;
  }

  /** The known pick, else the default. */
  readonly selectConfig: ConfigSelector = (configs) => this.find(configs) ?? configs.names[0]!;

  set(configs: KernelConfigs, pick: string): void {
    this.#picks.set(keyOf(configs), { pick, sources: this.#sourcesOf(configs) });
  }

  /** Writes the file; what others have written meanwhile, of this adapter or another, stays. */
  async save(): Promise<void> {
    const file = await readFile(this.#path);
    const own = { ...file.adapters[this.#adapter], ...Object.fromEntries(this.#picks) };
    await writeJson(this.#path, { ...file, adapters: { ...file.adapters, [this.#adapter]: own } });
  }

  #sourcesOf(configs: KernelConfigs): string {
    const key = keyOf(configs);
    let hash = this.#sources.get(key);
    if (hash === undefined) {
      const texts = configs.names.map((name) => configs.source(name));
      hash = createHash('sha256').update(texts.join('\n')).digest('hex').slice(0, 16);
      this.#sources.set(key, hash);
    }
    return hash;
  }
}

/** What tasks share a pick by: one task may have another default than the next of its class. */
export function keyOf({ family, task, names }: KernelConfigs): string {
  return `${family} ${task} by ${names.join(', ')}`;
}

async function readFile(path: string): Promise<PicksFile> {
  const empty: PicksFile = { format: 'light-peft/tuning', version: 1, adapters: {} };
  if (!(await exists(path))) return empty;
  try {
    return await readJson(path, fileSchema);
  } catch (error) {
    if (!(error instanceof UserError)) throw error;
    warn(`${error.message}; what was tuned is not used, and the file is written anew by ${option('tune')}`);
    return empty;
  }
}
