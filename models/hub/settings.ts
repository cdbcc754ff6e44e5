/** Room: models/hub. Where the hub and its cache are, by the environment's variables as Python's `huggingface_hub` reads them. Reads the token's file. */
import { readFileSync } from 'node:fs';
import { homedir } from 'node:os';
import { join } from 'node:path';
import { option } from '../../engine/errors.ts';

/** How a hub is asked. All absent: as the environment says. */
export interface HubOptions {
  /** Address of the hub, in place of `HF_ENDPOINT`, else https://huggingface.co. */
  readonly endpoint?: string | undefined;
  /** In place of `HF_TOKEN`, else the file that `hf auth login` writes; false: none. */
  readonly token?: string | false | undefined;
  /** In place of `HF_HUB_CACHE`. */
  readonly cacheDir?: string | undefined;
  /** Never asks the hub, as `HF_HUB_OFFLINE=1`. */
  readonly localFilesOnly?: boolean | undefined;
  /** Milliseconds before the first repetition of a request that failed; each next time twice as long. 1000 where absent. */
  readonly retryDelay?: number | undefined;
}

export interface HubSettings {
  readonly endpoint: string;
  readonly token: string | undefined;
  /** For messages: the variable or file that the token is from. */
  readonly tokenFrom: string | undefined;
  readonly cacheDir: string;
  /** What forbids to ask the hub; undefined: nothing. */
  readonly offlineBy: string | undefined;
  /** Milliseconds until an answer must begin. */
  readonly answerTimeout: number;
  /** Milliseconds until the next bytes of a download must come. */
  readonly downloadTimeout: number;
  readonly retryDelay: number;
}

type Environment = Readonly<Record<string, string | undefined>>;

export function hubSettings(options: HubOptions = {}, env: Environment = process.env): HubSettings {
  const home = expanded(env.HF_HOME ?? join(env.XDG_CACHE_HOME ?? join(homedir(), '.cache'), 'huggingface'), env);
  const cache = env.HF_HUB_CACHE ?? env.HUGGINGFACE_HUB_CACHE ?? join(home, 'hub');
  return {
    endpoint: (options.endpoint ?? (env.HF_ENDPOINT || 'https://huggingface.co')).replace(/\/+$/, ''),
    ...tokenOf(options, home, env),
    cacheDir: options.cacheDir ?? expanded(cache, env),
    offlineBy: options.localFilesOnly
      ? option('localFilesOnly')
      : ['HF_HUB_OFFLINE', 'TRANSFORMERS_OFFLINE'].find((name) => isTrue(env[name])),
    answerTimeout: 1000 * (Number(env.HF_HUB_ETAG_TIMEOUT) || 10),
    downloadTimeout: 1000 * (Number(env.HF_HUB_DOWNLOAD_TIMEOUT) || 10),
    retryDelay: options.retryDelay ?? 1000,
  };
}

function isTrue(value: string | undefined): boolean {
  return ['1', 'ON', 'YES', 'TRUE'].includes(value?.toUpperCase() ?? '');
}

/** `~` and `$NAME` as a shell has them. */
function expanded(path: string, env: Environment): string {
  const known = path.replace(/\$(?:(\w+)|\{(\w+)\})/g, (whole, a?: string, b?: string) => env[a ?? b ?? ''] ?? whole);
  return known.replace(/^~(?=\/|$)/, homedir());
}

function tokenOf({ token }: HubOptions, home: string, env: Environment): Pick<HubSettings, 'token' | 'tokenFrom'> {
  if (token !== undefined) return token === false ? NO_TOKEN : { token, tokenFrom: 'the program' };
  if (isTrue(env.HF_HUB_DISABLE_IMPLICIT_TOKEN)) return NO_TOKEN;
  for (const name of ['HF_TOKEN', 'HUGGING_FACE_HUB_TOKEN']) {
    const given = env[name]?.trim();
    if (given) return { token: given, tokenFrom: name };
  }
  const path = expanded(env.HF_TOKEN_PATH ?? join(home, 'token'), env);
  const written = textOf(path)?.trim();
  return written ? { token: written, tokenFrom: path } : NO_TOKEN;
}

const NO_TOKEN = { token: undefined, tokenFrom: undefined };

function textOf(path: string): string | undefined {
  try {
    return readFileSync(path, 'utf8');
  } catch {
    return undefined;
  }
}
