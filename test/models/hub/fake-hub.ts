/**
 * A local server that answers as the Hugging Face hub does, and a second one in the place of its content delivery network. Faults are put in
 * by `fault`: a function that may answer in the hub's place.
 */
import { createHash } from 'node:crypto';
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';

export interface FakeFile {
  readonly content: Buffer;
  /** Outside git, on the second server. */
  readonly isLfs: boolean;
}

/** Answers in the hub's place, or says that it does not. */
export type Fault = (request: IncomingMessage, response: ServerResponse, body: Buffer) => boolean;

export interface Request {
  readonly method: string;
  readonly url: string;
  readonly token: string | undefined;
  readonly range: string | undefined;
}

const sha256 = (data: Buffer): string => createHash('sha256').update(data).digest('hex');
const gitSha1 = (data: Buffer): string => createHash('sha1').update(`blob ${data.length}\0`).update(data).digest('hex');
const pointer = (data: Buffer): Buffer =>
  Buffer.from(`version https://git-lfs.github.com/spec/v1\noid sha256:${sha256(data)}\nsize ${data.length}\n`);

interface FakeRepo {
  readonly refs: Map<string, string>;
  readonly commits: Map<string, ReadonlyMap<string, FakeFile>>;
  readonly gated: boolean;
}

export class FakeHub {
  readonly requests: Request[] = [];
  readonly cdnRequests: Request[] = [];
  /** By `models/user/name`. */
  readonly repos = new Map<string, FakeRepo>();
  /** Bodies of commits and repositories made, for a look. */
  readonly created: Record<string, unknown>[] = [];
  readonly uploads = new Map<string, Buffer>();
  fault: Fault = () => false;
  cdnFault: Fault = () => false;
  /** Files of one page of a listing. */
  pageSize = 1000;
  /** Set: requests need it. */
  token: string | undefined;
  readonly #hub: Server;
  readonly #cdn: Server;

  private constructor() {
    this.#hub = createServer((request, response) => void this.#serve(request, response));
    this.#cdn = createServer((request, response) => void this.#serveCdn(request, response));
  }

  static async start(): Promise<FakeHub> {
    const hub = new FakeHub();
    for (const server of [hub.#hub, hub.#cdn])
      await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    return hub;
  }

  async stop(): Promise<void> {
    for (const server of [this.#hub, this.#cdn]) {
      server.closeAllConnections();
      await new Promise((resolve) => server.close(resolve));
    }
  }

  get endpoint(): string {
    return `http://127.0.0.1:${(this.#hub.address() as AddressInfo).port}`;
  }

  get #cdnEndpoint(): string {
    // Another host by name, as the real one.
    return `http://localhost:${(this.#cdn.address() as AddressInfo).port}`;
  }

  /** Adds a commit. @param kind `models` or `datasets` @returns its name */
  add(
    kind: string,
    name: string,
    files: Readonly<Record<string, string | Buffer>>,
    { revision = 'main', gated = false }: { readonly revision?: string; readonly gated?: boolean } = {},
  ): string {
    const key = `${kind}/${name}`;
    const repo = this.repos.get(key) ?? { refs: new Map(), commits: new Map(), gated };
    const all = new Map(
      Object.entries(files).map(([path, given]) => {
        const content = Buffer.from(given);
        return [path, { content, isLfs: /\.(safetensors|bin|parquet)$/.test(path) }];
      }),
    );
    const parts = [...all].map(([path, { content }]) => `${path} ${sha256(content)}`);
    const commit = createHash('sha1')
      .update(`${key} ${revision} ${parts.join('\n')}`)
      .digest('hex');
    repo.commits.set(commit, all);
    repo.refs.set(revision, commit);
    this.repos.set(key, repo);
    return commit;
  }

  #record(request: IncomingMessage, list: Request[]): void {
    const { method = '', url = '', headers } = request;
    list.push({ method, url, token: headers.authorization, range: headers.range });
  }

  async #serve(request: IncomingMessage, response: ServerResponse): Promise<void> {
    this.#record(request, this.requests);
    const body = await bodyOf(request);
    if (this.fault(request, response, body)) return;
    const { pathname, searchParams } = new URL(request.url!, this.endpoint);
    const path = decodeURIComponent(pathname);
    const sent = request.headers.authorization?.replace('Bearer ', '');
    if (sent !== undefined && sent !== this.token) {
      fail(response, 401, undefined, 'Invalid credentials in Authorization header');
      return;
    }
    const upload = this.#upload(path, pathname, body, request.method!);
    if (upload !== undefined) {
      json(response, upload, 'error' in upload ? 409 : 200);
      return;
    }
    const found =
      /^\/api\/(?<kind>models|datasets)\/(?<name>.+?)\/(?<what>revision|tree)\/(?<rest>.+)$/.exec(path) ??
      /^\/(?:(?<kind>datasets)\/)?(?<name>.+?)\/(?<what>resolve)\/(?<rest>.+)$/.exec(path);
    const { kind = 'models', name = '', what, rest = '' } = found?.groups ?? {};
    const repo = this.repos.get(`${kind}/${name}`);
    if (!repo || (this.token !== undefined && sent === undefined && !repo.gated)) {
      fail(response, 401, 'RepoNotFound', 'Repository not found');
      return;
    }
    const revision = [...repo.refs.keys(), ...repo.commits.keys()].find((r) => rest === r || rest.startsWith(`${r}/`));
    if (revision === undefined) {
      fail(response, 404, 'RevisionNotFound', `Invalid rev id: ${rest}`);
      return;
    }
    const commit = repo.refs.get(revision) ?? revision;
    const files = repo.commits.get(commit)!;
    if (what === 'revision') {
      json(response, { _id: '1', id: name, sha: commit, private: false, siblings: [] });
      return;
    }
    if (repo.gated) {
      fail(response, 403, 'GatedRepo', `Access to ${name} is restricted`);
      return;
    }
    if (what === 'tree') {
      this.#tree(request, response, files, searchParams);
      return;
    }
    this.#resolve(request, response, files.get(rest.slice(revision.length + 1)), commit);
  }

  #tree(
    { url }: IncomingMessage,
    response: ServerResponse,
    files: ReadonlyMap<string, FakeFile>,
    search: URLSearchParams,
  ): void {
    const all = [...files].map(([path, { content, isLfs }]) => ({
      type: 'file',
      path,
      size: content.length,
      oid: gitSha1(isLfs ? pointer(content) : content),
      ...(isLfs && { lfs: { oid: sha256(content), size: content.length, pointerSize: pointer(content).length } }),
    }));
    const from = Number(search.get('cursor') ?? 0);
    const to = from + this.pageSize;
    if (to < all.length) {
      const next = new URL(url!, this.endpoint);
      next.searchParams.set('cursor', String(to));
      response.setHeader('Link', `<${next.href}>; rel="next"`);
    }
    json(response, all.slice(from, to));
  }

  #resolve(request: IncomingMessage, response: ServerResponse, file: FakeFile | undefined, commit: string): void {
    response.setHeader('X-Repo-Commit', commit);
    if (!file) {
      fail(response, 404, 'EntryNotFound', 'Entry not found');
      return;
    }
    const { content, isLfs } = file;
    if (!isLfs) {
      range(request, response, content, gitSha1(content));
      return;
    }
    response.setHeader('X-Linked-Etag', `"${sha256(content)}"`);
    response.setHeader('X-Linked-Size', content.length);
    response.writeHead(302, {
      Location: `${this.#cdnEndpoint}/${sha256(content)}`,
      ETag: `"${gitSha1(pointer(content))}"`,
    });
    response.end();
  }

  async #serveCdn(request: IncomingMessage, response: ServerResponse): Promise<void> {
    this.#record(request, this.cdnRequests);
    const body = await bodyOf(request);
    if (this.cdnFault(request, response, body)) return;
    const oid = request.url!.slice(1);
    if (request.method === 'PUT') {
      this.uploads.set(oid, body);
      response.end();
      return;
    }
    const files = [...this.repos.values()].flatMap(({ commits }) =>
      [...commits.values()].flatMap((all) => [...all.values()]),
    );
    const file = files.find(({ content }) => sha256(content) === oid);
    if (file) range(request, response, file.content, oid);
    else fail(response, 404, undefined, 'no such content');
  }

  /** What the hub answers to requests of an upload; undefined to others. */
  #upload(path: string, pathname: string, body: Buffer, method: string): object | undefined {
    if (method !== 'POST') return undefined;
    if (path === '/api/repos/create') {
      const content = JSON.parse(body.toString()) as { organization: string; name: string; type: string };
      const name = `${content.organization}/${content.name}`;
      this.created.push(content);
      if (this.repos.has(`models/${name}`)) return { error: 'You already created this model repo' };
      this.add('models', name, {});
      return { url: `${this.endpoint}/${name}`, id: name };
    }
    const [, name, what, revision] = /^\/api\/models\/(.+?)\/(preupload|commit|branch)\/(.+)$/.exec(path) ?? [];
    if (what === 'preupload') {
      const { files } = JSON.parse(body.toString()) as { files: { path: string }[] };
      const modeOf = (file: string): string => (file.endsWith('.safetensors') ? 'lfs' : 'regular');
      return { files: files.map(({ path: file }) => ({ path: file, uploadMode: modeOf(file), shouldIgnore: false })) };
    }
    if (pathname.endsWith('.git/info/lfs/objects/batch')) {
      const { objects } = JSON.parse(body.toString()) as { objects: { oid: string; size: number }[] };
      const uploadOf = (oid: string): object => ({ actions: { upload: { href: `${this.#cdnEndpoint}/${oid}` } } });
      return { transfer: 'basic', objects: objects.map((one) => ({ ...one, ...uploadOf(one.oid) })) };
    }
    const repo = this.repos.get(`models/${name}`);
    if (what === 'branch') {
      if (repo!.refs.has(revision!)) return { error: 'Reference already exists' };
      repo!.refs.set(revision!, repo!.refs.get('main')!);
      return {};
    }
    if (what !== 'commit') return undefined;
    const lines = body
      .toString()
      .split('\n')
      .map((line) => JSON.parse(line) as { key: string; value: Record<string, string> });
    this.created.push({ commit: lines[0]!.value.summary, revision });
    const files = lines.slice(1).map(({ key, value }) => {
      const content = key === 'lfsFile' ? this.uploads.get(value.oid!)! : Buffer.from(value.content!, 'base64');
      return [value.path!, content] as const;
    });
    const oid = this.add('models', name!, Object.fromEntries(files), { revision: revision! });
    return { commitOid: oid, commitUrl: `${this.endpoint}/${name}/commit/${oid}`, hookOutput: '' };
  }
}

async function bodyOf(request: IncomingMessage): Promise<Buffer> {
  const chunks: Buffer[] = [];
  for await (const chunk of request) chunks.push(chunk as Buffer);
  return Buffer.concat(chunks);
}

/** A content, or the part of it that is asked for. */
export function range(
  { headers, method }: IncomingMessage,
  response: ServerResponse,
  content: Buffer,
  etag: string,
): void {
  const from = Number(/^bytes=(\d+)-/.exec(headers.range ?? '')?.[1] ?? NaN);
  response.setHeader('ETag', `"${etag}"`);
  response.setHeader('Accept-Ranges', 'bytes');
  if (from >= content.length) {
    response.writeHead(416).end();
    return;
  }
  const part = Number.isNaN(from) ? content : content.subarray(from);
  if (!Number.isNaN(from)) response.setHeader('Content-Range', `bytes ${from}-${content.length - 1}/${content.length}`);
  response.writeHead(Number.isNaN(from) ? 200 : 206, { 'Content-Length': part.length });
  response.end(method === 'HEAD' ? undefined : part);
}

/** An answer as the hub gives it where something is wrong. */
export function fail(response: ServerResponse, status: number, code: string | undefined, message: string): void {
  if (code !== undefined) response.setHeader('X-Error-Code', code);
  response.setHeader('X-Error-Message', message);
  json(response, { error: message }, status);
}

function json(response: ServerResponse, content: unknown, status = 200): void {
  response.writeHead(status, { 'Content-Type': 'application/json' });
  response.end(JSON.stringify(content));
}

/** Sends some of a content, then breaks the connection. */
export function cut(response: ServerResponse, content: Buffer, bytes: number, status = 200): void {
  response.writeHead(status, { 'Content-Length': content.length });
  response.write(content.subarray(0, bytes), () => setTimeout(() => response.destroy(), 20));
}
