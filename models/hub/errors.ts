/** Room: models/hub. What goes wrong with a hub, in one line each; the classes have the names of Python's `huggingface_hub`. Pure functions. */
import { UserError } from '../../engine/errors.ts';
import type { Repo } from './repo.ts';

/** Any failure of a request. */
export class HfHubHTTPError extends UserError {
  /** Of HTTP; undefined where no answer came. */
  readonly status: number | undefined;

  constructor(message: string, status?: number) {
    super(message);
    this.status = status;
  }
}

/** There is no such repository, or nobody without the right token sees it. */
export class RepositoryNotFoundError extends HfHubHTTPError {}

/** Its terms must be accepted first. */
export class GatedRepoError extends RepositoryNotFoundError {}

/** There is no such branch, tag or commit. */
export class RevisionNotFoundError extends HfHubHTTPError {}

/** There is no such file. */
export class EntryNotFoundError extends HfHubHTTPError {}

/** The cache lacks something, and the hub is not to be asked. */
export class LocalEntryNotFoundError extends UserError {}

/** Who asks for what. */
export interface Asked {
  readonly endpoint: string;
  readonly repo: Repo;
  readonly revision?: string | undefined;
  /** Where the token is from, e.g. `HF_TOKEN`; undefined without one. */
  readonly tokenFrom: string | undefined;
}

/** The error of an answer that is none of success. Reads its body for a message. */
export async function errorOf(response: Response, asked: Asked): Promise<HfHubHTTPError> {
  const { status, headers } = response;
  const { endpoint, repo, revision = 'main', tokenFrom } = asked;
  const said = headers.get('X-Error-Message') ?? (await messageOf(response));
  const page = `${endpoint}/${repo.path}`;
  const start = `${repo.name}: `;
  switch (headers.get('X-Error-Code') ?? '') {
    case 'RevisionNotFound':
      return new RevisionNotFoundError(
        `${start}no revision "${revision}" on ${endpoint}; ${page} lists what there is`,
        status,
      );
    case 'EntryNotFound':
      return new EntryNotFoundError(`${start}no ${fileOf(response)} at revision "${revision}" on ${endpoint}`, status);
    case 'GatedRepo':
      return new GatedRepoError(
        `${start}is gated: accept its terms at ${page}, then ${tokenAdvice(tokenFrom)}`,
        status,
      );
    case 'RepoNotFound':
      return notFound(asked, status);
  }
  if (status === 401 && (tokenFrom === undefined || said !== 'Invalid credentials in Authorization header'))
    return notFound(asked, status);
  if (status === 401)
    return new HfHubHTTPError(
      `${endpoint} does not know the token from ${tokenFrom}; ${endpoint}/settings/tokens makes a new one`,
      status,
    );
  if (status === 403)
    return new HfHubHTTPError(`${start}${endpoint} forbids it${after(said)}; ${tokenAdvice(tokenFrom)}`, status);
  return new HfHubHTTPError(`${start}${endpoint} answers with status ${status}${after(said)}`, status);
}

function notFound({ endpoint, repo, tokenFrom }: Asked, status: number): RepositoryNotFoundError {
  const text = `${repo.name}: no such ${repo.type} on ${endpoint}; if it is private, ${tokenAdvice(tokenFrom)}`;
  return new RepositoryNotFoundError(text, status);
}

function tokenAdvice(tokenFrom: string | undefined): string {
  return tokenFrom === undefined
    ? 'give a token that has access to it in HF_TOKEN'
    : `give a token that has access to it: the one from ${tokenFrom} has none`;
}

function fileOf({ url }: Response): string {
  const path = /\/(?:resolve|tree)\/[^/]+\/([^?]+)/.exec(url)?.[1];
  return path === undefined ? 'such file' : `file "${decodeURIComponent(path)}"`;
}

function after(said: string | undefined): string {
  return said ? ` (${said})` : '';
}

/** What the body says, in one short line. */
async function messageOf(response: Response): Promise<string | undefined> {
  const text = await response.text().catch(() => '');
  try {
    const { error } = JSON.parse(text) as { readonly error?: unknown };
    if (typeof error === 'string') return error.replace(/\s+/g, ' ').slice(0, 200);
  } catch {
    // A page for people.
  }
  return undefined;
}

/** Why a request or its answer broke, in a word or a line. */
export function causeOf(error: unknown): string {
  const { code, message } = ((error as { readonly cause?: unknown }).cause ?? error) as NodeJS.ErrnoException;
  return code ?? message;
}

/** The error of a request without an answer. */
export function connectionError(endpoint: string, what: string, error: unknown): HfHubHTTPError {
  return new HfHubHTTPError(`${what}: no answer from ${endpoint} (${causeOf(error)}); check the connection`);
}
