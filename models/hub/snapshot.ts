/**
 * Room: models/hub. Folders of a commit's files: from the cache where they are there, else from the hub. The names are those of Python's
 * `huggingface_hub`. Uses the network, and reads and writes the cache.
 */
import { datasetInfo, listFiles, modelInfo } from '@huggingface/hub';
import { join } from 'node:path';
import picomatch from 'picomatch';
import { UserError } from '../../engine/errors.ts';
import { fileError } from '../../engine/io/files.ts';
import type { OnBytes } from '../../engine/io/load.ts';
import { warn } from '../../engine/warnings.ts';
import { etagOf, isCommit, RepoCache, type RepoFile } from './cache.ts';
import { downloadBlob } from './download.ts';
import { EntryNotFoundError, HfHubHTTPError, LocalEntryNotFoundError, RevisionNotFoundError } from './errors.ts';
import { assertWithin, parseRepo, type Repo, type RepoType } from './repo.ts';
import { fetchFor } from './request.ts';
import { hubSettings, type HubOptions, type HubSettings } from './settings.ts';

export interface DownloadOptions extends HubOptions {
  /** `model` where absent. */
  readonly repoType?: RepoType | undefined;
  /** Branch, tag or commit; `main` where absent. */
  readonly revision?: string | undefined;
  /** Told how many bytes of those that have to come are there. */
  readonly onBytes?: OnBytes | undefined;
}

export interface SnapshotOptions extends DownloadOptions {
  /** As `*.json`; `*` stands for `/` too. All files where absent. */
  readonly allowPatterns?: string | readonly string[] | undefined;
  readonly ignorePatterns?: string | readonly string[] | undefined;
}

/**
 * Downloads a repository's files, or those of some patterns, into the Hugging Face cache, and asks the hub for nothing that is there. Where
 * the hub cannot be reached, what was cached is taken, with a warning.
 * @param repoId as `user/name`, or `user/name@revision`
 * @returns the folder
 * @throws RepositoryNotFoundError, GatedRepoError, RevisionNotFoundError, LocalEntryNotFoundError, HfHubHTTPError; UserError for a wrong size
 * or hash, or a full disk
 */
export async function snapshotDownload(repoId: string, options: SnapshotOptions = {}): Promise<string> {
  const matches = (patterns: string | readonly string[]): ((path: string) => boolean) =>
    picomatch([patterns].flat(), { dot: true, bash: true });
  const allowed = matches(options.allowPatterns ?? '**');
  const ignored = options.ignorePatterns === undefined ? () => false : matches(options.ignorePatterns);
  const snapshot = await Snapshot.open(repoId, options);
  return snapshot.fetch((path) => allowed(path) && !ignored(path));
}

/**
 * Downloads one file into the Hugging Face cache, where it is not there yet.
 * @returns its path
 * @throws as `snapshotDownload`; EntryNotFoundError where there is no such file
 */
export async function hfHubDownload(repoId: string, filename: string, options: DownloadOptions = {}): Promise<string> {
  const snapshot = await Snapshot.open(repoId, options);
  snapshot.need(filename);
  return join(await snapshot.fetch((path) => path === filename), ...filename.split('/'));
}

/** A commit of a repository, whose files come when they are asked for. */
export class Snapshot {
  readonly repo: Repo;
  readonly revision: string;
  readonly folder: string;
  /** All files of the commit; undefined where only the cache is at hand, and does not tell. */
  readonly files: readonly RepoFile[] | undefined;
  readonly #commit: string;
  readonly #cache: RepoCache;
  readonly #settings: HubSettings;
  /** Why the hub is not asked. */
  readonly #away: string | undefined;
  readonly #onBytes: OnBytes | undefined;

  private constructor(place: Place, { commit, files, away }: Found, onBytes?: OnBytes) {
    this.repo = place.repo;
    this.revision = place.revision;
    this.files = files;
    this.folder = place.cache.snapshot(commit);
    this.#commit = commit;
    this.#cache = place.cache;
    this.#settings = place.settings;
    this.#away = away;
    this.#onBytes = onBytes;
  }

  /** Finds the commit of a revision. @throws as `snapshotDownload` */
  static async open(repoId: string, options: DownloadOptions = {}): Promise<Snapshot> {
    const { repo, revision = options.revision ?? 'main' } = parseRepo(repoId, options.repoType ?? 'model');
    const settings = hubSettings(options);
    const place = { repo, revision, settings, cache: new RepoCache(settings.cacheDir, repo) };
    return new Snapshot(place, await find(place), options.onBytes);
  }

  /** Paths of all files of the commit; of those in the cache, where only it is at hand and does not tell. */
  async paths(): Promise<readonly string[]> {
    return this.files?.map(({ path }) => path) ?? (await this.#cache.paths(this.#commit));
  }

  /** Whether the commit has a file, as far as is known. */
  async has(path: string): Promise<boolean> {
    return this.files ? this.files.some((file) => file.path === path) : this.#cache.has(this.#commit, path);
  }

  /** @throws EntryNotFoundError where the commit is known not to have a file */
  need(path: string, advice = ''): void {
    if (!this.files || this.files.some((file) => file.path === path)) return;
    const text = `${this.repo.name}: no file "${path}" at revision "${this.revision}" on ${this.#settings.endpoint}`;
    throw new EntryNotFoundError(text + advice, 404);
  }

  /** Makes sure that files are in the folder. @returns the folder */
  async fetch(isWanted: (path: string) => boolean): Promise<string> {
    if (!this.files) return this.folder;
    const wanted = this.files.filter(({ path }) => isWanted(path));
    const there = await Promise.all(wanted.map(({ path }) => this.#cache.has(this.#commit, path)));
    const missing = wanted.filter((_, i) => !there[i]);
    if (missing.length === 0) return this.folder;
    if (this.#away !== undefined)
      throw new LocalEntryNotFoundError(
        `${this.repo.name}: ${shown(missing)} of ${wanted.length} files not in the cache ${this.#settings.cacheDir}; ${this.#away}`,
      );
    await this.#download(missing);
    return this.folder;
  }

  async #download(files: readonly RepoFile[]): Promise<void> {
    const total = files.reduce((sum, { size }) => sum + size, 0);
    let done = 0;
    const onBytes = (bytes: number): void => this.#onBytes?.((done += bytes), total);
    const fetch = fetchFor(this.#settings, this.repo, this.revision);
    const base = `${this.#settings.endpoint}/${this.repo.path}/resolve/${this.#commit}`;
    await inParallel(files, async (file) => {
      const url = `${base}/${file.path.split('/').map(encodeURIComponent).join('/')}`;
      const name = `${this.repo.name}: ${file.path}`;
      try {
        await downloadBlob(this.#cache, { name, url, file, fetch, settings: this.#settings, onBytes });
        await this.#cache.link(etagOf(file), this.#commit, file.path);
      } catch (error) {
        throw fileError(this.#settings.cacheDir, error);
      }
    });
  }
}

function shown(files: readonly RepoFile[]): string {
  const [first, ...others] = files;
  return others.length === 0 ? first!.path : `${first!.path} and ${others.length} more`;
}

/** Files that come at a time: more than one for many small ones, few for the line's sake. */
const WORKERS = 4;

/** Runs `work` on all, a few at a time; nothing new begins after a failure. */
async function inParallel<T>(items: readonly T[], work: (item: T) => Promise<void>): Promise<void> {
  const left = [...items];
  const worker = async (): Promise<void> => {
    for (let item = left.shift(); item !== undefined; item = left.shift())
      await work(item).catch((error: unknown) => {
        left.length = 0;
        throw error;
      });
  };
  const ended = await Promise.allSettled(Array.from({ length: WORKERS }, worker));
  const failed = ended.find((one) => one.status === 'rejected');
  if (failed) throw failed.reason;
}

interface Place {
  readonly repo: Repo;
  readonly revision: string;
  readonly settings: HubSettings;
  readonly cache: RepoCache;
}

interface Found {
  readonly commit: string;
  readonly files: readonly RepoFile[] | undefined;
  readonly away?: string | undefined;
}

async function find(place: Place): Promise<Found> {
  const { offlineBy } = place.settings;
  if (offlineBy !== undefined) return findCached(place, `${offlineBy} is set, so the hub is not asked`);
  try {
    return await ask(place);
  } catch (error) {
    if (!(error instanceof HfHubHTTPError) || error instanceof RevisionNotFoundError) throw error;
    const found = await findCached(place, error.message).catch(() => undefined);
    if (!found) throw error;
    warn(`${error.message}; taken from the cache`);
    return found;
  }
}

/** @param away why the hub is not asked */
async function findCached({ repo, revision, cache, settings }: Place, away: string): Promise<Found> {
  const commit = await cache.commitOf(revision);
  const files = commit === undefined ? undefined : await cache.tree(commit);
  if (commit !== undefined && (files || (await cache.hasSnapshot(commit)))) return { commit, files, away };
  throw new LocalEntryNotFoundError(
    `${repo.name}: revision "${revision}" is not in the cache ${settings.cacheDir}; ${away}`,
  );
}

/** The commit from the hub; its files too, where the cache does not know them. */
async function ask({ repo, revision, cache, settings }: Place): Promise<Found> {
  const fetch = fetchFor(settings, repo, revision);
  const hub = { hubUrl: settings.endpoint, fetch };
  const commit = isCommit(revision) ? revision : await commitOf(repo, { ...hub, name: repo.name, revision });
  if (!isCommit(commit))
    throw new UserError(
      `${repo.name}: ${settings.endpoint} answers with the commit "${commit}", expected 40 hex digits`,
    );
  const known = await cache.tree(commit);
  const files = known ?? (await list(repo, { ...hub, repo: { type: repo.type, name: repo.name }, revision: commit }));
  // A cache that can only be read is no reason to fail.
  await cache.setCommit(revision, commit).catch(() => undefined);
  if (!known) await cache.setTree(commit, files).catch(() => undefined);
  return { commit, files };
}

interface InfoRequest {
  readonly name: string;
  readonly revision: string;
  readonly hubUrl: string;
  readonly fetch: typeof fetch;
}

async function commitOf({ type }: Repo, request: InfoRequest): Promise<string> {
  const { sha } = await (type === 'model'
    ? modelInfo({ ...request, additionalFields: ['sha'] })
    : datasetInfo({ ...request, additionalFields: ['sha'] }));
  return sha;
}

async function list({ name }: Repo, asked: Parameters<typeof listFiles>[0]): Promise<RepoFile[]> {
  const files: (RepoFile & { readonly xetHash?: string | undefined })[] = [];
  for await (const { type, path, size, oid = '', lfs, xetHash } of listFiles({ ...asked, recursive: true })) {
    if (type !== 'file') continue;
    assertWithin(path, name);
    files.push({
      path,
      size: lfs?.size ?? size,
      blobId: oid,
      ...(lfs && { sha256: lfs.oid }),
      ...(xetHash && { xetHash }),
    });
  }
  return files;
}
