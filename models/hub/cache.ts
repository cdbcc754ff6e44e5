/**
 * Room: models/hub. The Hugging Face cache as Python's `huggingface_hub` lays it out: of each repository `refs/` (which commit a branch is
 * at), `snapshots/COMMIT/` (files by name, links into `blobs/`), `blobs/` (contents by hash), `trees/` (what there is in a commit), and
 * `.locks/` beside the repositories. Reads and writes the cache.
 */
import { copyFile, readdir, readFile, rm, symlink } from 'node:fs/promises';
import { dirname, join, relative, sep } from 'node:path';
import { z } from 'zod';
import { UserError } from '../../engine/errors.ts';
import { exists, writeFileAtomic } from '../../engine/io/files.ts';
import { makeFolder } from '../../engine/io/make-folder.ts';
import { assertWithin, type Repo } from './repo.ts';

/** A file of a commit, and the hash by which its content is told. */
export interface RepoFile {
  readonly path: string;
  readonly size: number;
  /** git's SHA-1 of it, or of the pointer to it. */
  readonly blobId: string;
  /** SHA-256 of a content outside git. */
  readonly sha256?: string | undefined;
}

/** A file of `trees/`. */
const treeSchema = z.object({
  format_version: z.literal(1),
  files: z.record(
    z.string(),
    z.object({
      size: z.number(),
      blob_id: z.string(),
      lfs_sha256: z.string().nullish(),
      lfs_size: z.number().nullish(),
      xet_hash: z.string().nullish(),
    }),
  ),
});

const COMMIT = /^[0-9a-f]{40}$/;

/** Whether a revision is the full name of a commit, which never changes. */
export function isCommit(revision: string): boolean {
  return COMMIT.test(revision);
}

/** The name of a content in `blobs/`, as the hub's ETag. */
export function etagOf({ sha256, blobId }: RepoFile): string {
  return sha256 ?? blobId;
}

/** As Python names it, for programs that make backups. */
const TAG = 'CACHEDIR.TAG';
const TAG_TEXT =
  'Signature: 8a477f597d28d172789f06886806bc55\n# This file is a cache directory tag: its folder can be made again.\n';

/** What the cache has of one repository. */
export class RepoCache {
  readonly #root: string;
  readonly #name: string;
  readonly #folder: string;

  constructor(root: string, { type, name }: Repo) {
    this.#root = root;
    this.#name = [`${type}s`, ...name.split('/')].join('--');
    this.#folder = join(root, this.#name);
  }

  /** The folder of a commit's files. */
  snapshot(commit: string): string {
    return join(this.#folder, 'snapshots', commit);
  }

  hasSnapshot(commit: string): Promise<boolean> {
    return exists(this.snapshot(commit));
  }

  /** Of a content by its hash. */
  blob(etag: string): string {
    return join(this.#folder, 'blobs', etag);
  }

  lock(etag: string): string {
    return join(this.#root, '.locks', this.#name, `${etag}.lock`);
  }

  /** The commit that a revision was at when the hub was last asked. */
  async commitOf(revision: string): Promise<string | undefined> {
    if (isCommit(revision)) return revision;
    const text = await readFile(this.#ref(revision), 'utf8').catch(() => '');
    return isCommit(text.trim()) ? text.trim() : undefined;
  }

  /** Notes which commit a revision is at. */
  async setCommit(revision: string, commit: string): Promise<void> {
    if (revision === commit || (await this.commitOf(revision)) === commit) return;
    await writeFileAtomic(this.#ref(revision), commit);
  }

  #ref(revision: string): string {
    assertWithin(revision, 'revision');
    return join(this.#folder, 'refs', ...revision.split('/'));
  }

  /** All files of a commit, where they were asked for once. */
  async tree(commit: string): Promise<RepoFile[] | undefined> {
    const text = await readFile(this.#tree(commit), 'utf8').catch(() => undefined);
    const parsed = text === undefined ? undefined : treeSchema.safeParse(jsonOf(text)).data;
    return (
      parsed &&
      Object.entries(parsed.files).map(([path, { size, blob_id: blobId, lfs_sha256, lfs_size }]) => ({
        path,
        size: lfs_size ?? size,
        blobId,
        ...(lfs_sha256 && { sha256: lfs_sha256 }),
      }))
    );
  }

  async setTree(
    commit: string,
    files: readonly (RepoFile & { readonly xetHash?: string | undefined })[],
  ): Promise<void> {
    const entries = files.map(({ path, size, blobId, sha256, xetHash }) => {
      const lfs = sha256 !== undefined && { lfs_sha256: sha256, lfs_size: size };
      return [path, { size, blob_id: blobId, ...lfs, ...(xetHash !== undefined && { xet_hash: xetHash }) }] as const;
    });
    const content = { format_version: 1, files: Object.fromEntries(entries.sort(([a], [b]) => (a < b ? -1 : 1))) };
    await writeFileAtomic(this.#tree(commit), JSON.stringify(content, null, 1));
  }

  #tree(commit: string): string {
    return join(this.#folder, 'trees', `${commit}.json`);
  }

  /** Whether a commit's file is there, whole. */
  async has(commit: string, path: string): Promise<boolean> {
    return exists(this.#pointer(commit, path));
  }

  /** Paths of a commit's files that are there. */
  async paths(commit: string): Promise<string[]> {
    const root = this.snapshot(commit);
    const entries = await readdir(root, { recursive: true, withFileTypes: true });
    const files = entries.filter((entry) => !entry.isDirectory());
    return files.map(({ parentPath, name }) => relative(root, join(parentPath, name)).split(sep).join('/')).sort();
  }

  #pointer(commit: string, path: string): string {
    assertWithin(path, this.#name);
    return join(this.snapshot(commit), ...path.split('/'));
  }

  /** Makes the folders of a content and of its lock. */
  async prepare(etag: string): Promise<void> {
    if (!/^[\w.-]+$/.test(etag)) throw new UserError(`${this.#name}: found the hash "${etag}", expected hex digits`);
    await makeFolder(dirname(this.blob(etag)));
    await makeFolder(dirname(this.lock(etag)));
    const tag = join(this.#root, TAG);
    if (!(await exists(tag))) await writeFileAtomic(tag, TAG_TEXT);
  }

  /** Gives a content its name in a commit. Where a system has no links, it gets a copy. */
  async link(etag: string, commit: string, path: string): Promise<void> {
    const pointer = this.#pointer(commit, path);
    const blob = this.blob(etag);
    await makeFolder(dirname(pointer));
    if (await exists(pointer)) return;
    // A link to what is gone.
    await rm(pointer, { force: true });
    await symlink(relative(dirname(pointer), blob), pointer).catch(async (error: unknown) => {
      const { code } = error as NodeJS.ErrnoException;
      if (code === 'EEXIST') return;
      if (code !== 'EPERM' && code !== 'ENOTSUP') throw error;
      await copyFile(blob, pointer);
    });
  }

  /** Where a content is until it is whole. */
  incomplete(etag: string): string {
    return `${this.blob(etag)}.incomplete`;
  }
}

function jsonOf(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}
