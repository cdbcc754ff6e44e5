/** Room: models/hub. Files to a hub, by `@huggingface/hub`: repositories made, branches, and commits of files large and small. Uses the network. */
import { commitIter, createBranch, createRepo as create, type CommitOutput } from '@huggingface/hub';
import { UserError } from '../../engine/errors.ts';
import { HfHubHTTPError } from './errors.ts';
import { parseRepo, type Repo } from './repo.ts';
import { fetchFor } from './request.ts';
import { hubSettings, type HubOptions } from './settings.ts';

/** What the hub answers where something is there already. */
const CONFLICT = 409;

interface Place {
  readonly repo: Repo;
  readonly hub: {
    readonly repo: { readonly type: Repo['type']; readonly name: string };
    readonly hubUrl: string;
    readonly fetch: typeof fetch;
  };
}

/** @throws UserError without a token, or a name without its owner */
function placeOf(repoId: string, options: HubOptions): Place {
  const { repo } = parseRepo(repoId, 'model');
  const settings = hubSettings(options);
  if (!repo.name.includes('/')) throw new UserError(`${repoId}: found no owner, expected user/name`);
  if (settings.token === undefined && settings.offlineBy === undefined)
    throw new UserError(
      `${repoId}: no token: give one that may write in HF_TOKEN; ${settings.endpoint}/settings/tokens makes one`,
    );
  const { type, name } = repo;
  return { repo, hub: { repo: { type, name }, hubUrl: settings.endpoint, fetch: fetchFor(settings, repo) } };
}

/**
 * Makes a repository of a model where there is none. One that is there stays as it is.
 * @param repoId as `user/name`
 * @throws HfHubHTTPError; UserError without a token
 */
export async function createRepo(
  repoId: string,
  options: HubOptions & { readonly private?: boolean } = {},
): Promise<void> {
  const { hub } = placeOf(repoId, options);
  // The token is added by `fetch`, as to all requests.
  await create({ ...hub, accessToken: '', ...(options.private && { visibility: 'private' }) }).catch(unlessThere);
}

export interface UploadOptions extends HubOptions {
  /** Branch, made where it is not there; `main` where absent. */
  readonly revision?: string | undefined;
  readonly commitMessage?: string | undefined;
  /** Told a file that is being sent, and how much of it is: 0 to 1. */
  readonly onFile?: ((path: string, part: number) => void) | undefined;
}

/**
 * Sends files in one commit: all of them, or none.
 * @param files contents by their paths in the repository: bytes, or the URL of a file, which is read as it is sent
 * @returns the commit's address
 * @throws HfHubHTTPError; UserError without a token
 */
export async function uploadFiles(
  repoId: string,
  files: ReadonlyMap<string, URL | Blob>,
  { revision = 'main', commitMessage, onFile, ...options }: UploadOptions = {},
): Promise<string> {
  const { hub, repo } = placeOf(repoId, options);
  if (revision !== 'main') await createBranch({ ...hub, branch: revision }).catch(unlessThere);
  const operations = [...files].map(([path, content]) => ({ operation: 'addOrUpdate' as const, path, content }));
  const title = commitMessage ?? `Upload ${repo.name.split('/')[1]} with light-peft`;
  const commit = commitIter({ ...hub, operations, title, branch: revision });
  for (;;) {
    const { done, value } = await commit.next();
    if (done) return (value as CommitOutput).commit.url;
    if (value.event === 'fileProgress' && value.state === 'uploading') onFile?.(value.path, value.progress);
  }
}

function unlessThere(error: unknown): void {
  if (!(error instanceof HfHubHTTPError) || error.status !== CONFLICT) throw error;
}
