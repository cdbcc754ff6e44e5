/** Room: models/hub. Names of repositories as a hub has them. Pure functions. */
import { UserError } from '../../engine/errors.ts';

export type RepoType = 'model' | 'dataset';

/** A repository of a hub. */
export interface Repo {
  readonly type: RepoType;
  /** `roberta-large`, `user/name` */
  readonly name: string;
  /** Behind the hub's address: `user/name`, `datasets/user/name`. */
  readonly path: string;
}

const NAME = /^(?:\w[\w.-]*\/)?\w[\w.-]{0,95}$/;

/** Whether a text could be the name of a repository, `@REVISION` behind it or not. */
export function isRepoName(text: string): boolean {
  const [name] = text.split('@', 1) as [string];
  return NAME.test(name) && !/--|\.\.|[.-](?:\/|$)|\.git$/.test(name);
}

/** A name and what stands behind its `@`. @throws UserError where it can be none */
export function parseRepo(text: string, type: RepoType): { readonly repo: Repo; readonly revision?: string } {
  if (!isRepoName(text))
    throw new UserError(`${text}: found no name of a ${type} on a hub, expected one such as user/name`);
  const at = text.indexOf('@');
  const name = at < 0 ? text : text.slice(0, at);
  const repo = { type, name, path: type === 'model' ? name : `${type}s/${name}` };
  return at < 0 ? { repo } : { repo, revision: text.slice(at + 1) };
}

/** The name of the model whose files a folder of the Hugging Face cache holds; undefined for other folders. */
export function hubName(dir: string): string | undefined {
  return /[/\\]models--([^/\\]+)[/\\]snapshots[/\\][0-9a-f]{40}[/\\]?$/.exec(dir)?.[1]?.replace('--', '/');
}

/** A path within a repository, from the hub: one that leads out of a folder is refused. */
export function assertWithin(path: string, where: string): void {
  const isAway = path.split(/[/\\]/).some((part) => part === '..' || part === '') || /^[A-Za-z]:|\\/.test(path);
  if (isAway) throw new UserError(`${where}: found the path "${path}", expected one within the repository`);
}
