/**
 * Protects: downloads into the Hugging Face cache, against a local server with faults. Nothing wrong or half-written gets a name in the
 * cache, a cut download goes on where it ended, and the token never leaves the hub's own host.
 */
import { createHash } from 'node:crypto';
import {
  existsSync,
  lstatSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { setWarningHandler, type WarningHandler } from '../../../engine/warnings.ts';
import { hfHubDownload, snapshotDownload, type SnapshotOptions } from '../../../models/hub/snapshot.ts';
import { cut, FakeHub, fail, range } from './fake-hub.ts';
import { TINY as FILES, WEIGHTS } from './tiny-repo.ts';

const SHA = createHash('sha256').update(WEIGHTS).digest('hex');

let hub: FakeHub;
let cacheDir: string;
let commit: string;
let warnings: string[];
let before: WarningHandler;

beforeEach(async () => {
  hub = await FakeHub.start();
  cacheDir = await mkdtemp(join(tmpdir(), 'hub-'));
  commit = hub.add('models', 'ann/tiny', FILES);
  warnings = [];
  before = setWarningHandler((text) => warnings.push(text));
});

afterEach(async () => {
  setWarningHandler(before);
  await hub.stop();
  await rm(cacheDir, { recursive: true, force: true });
});

const download = (options: SnapshotOptions = {}, name = 'ann/tiny'): Promise<string> =>
  snapshotDownload(name, { endpoint: hub.endpoint, token: false, cacheDir, retryDelay: 1, ...options });

const folder = (): string => join(cacheDir, 'models--ann--tiny');
const blobs = (): string[] => readdirSync(join(folder(), 'blobs')).sort();
const hasSnapshotOf = (path: string): boolean => existsSync(join(folder(), 'snapshots', commit, path));

async function refusal(options: SnapshotOptions = {}, name?: string): Promise<string> {
  const error = await download(options, name).then(
    () => new Error('nothing was wrong'),
    (e: unknown) => e as Error,
  );
  expect(error.message).not.toMatch(/\n/);
  return `${error.constructor.name}: ${error.message}`;
}

describe('the cache', () => {
  it('is laid out as Python’s: refs, snapshots that link to blobs, trees, locks', async () => {
    const progress: (readonly [number, number])[] = [];
    expect(await download({ onBytes: (...bytes) => progress.push(bytes) })).toBe(join(folder(), 'snapshots', commit));
    expect(readFileSync(join(folder(), 'refs', 'main'), 'utf8')).toBe(commit);
    const gitSha = createHash('sha1').update('blob 7\0{"a":1}').digest('hex');
    expect(readlinkSync(join(folder(), 'snapshots', commit, 'config.json'))).toBe(`../../blobs/${gitSha}`);
    expect(readlinkSync(join(folder(), 'snapshots', commit, 'onnx', 'model.txt'))).toMatch(
      /^\.\.\/\.\.\/\.\.\/blobs\/[0-9a-f]{40}$/,
    );
    expect(WEIGHTS.equals(readFileSync(join(folder(), 'blobs', SHA)))).toBe(true);
    expect(blobs()).toHaveLength(4);
    expect(readdirSync(join(cacheDir, '.locks', 'models--ann--tiny')).sort()).toEqual(blobs().map((b) => `${b}.lock`));
    const tree = JSON.parse(readFileSync(join(folder(), 'trees', `${commit}.json`), 'utf8')) as Record<string, never>;
    expect(tree).toMatchObject({
      format_version: 1,
      files: { 'model.safetensors': { size: 300_001, lfs_sha256: SHA } },
    });
    expect(progress.at(-1)).toEqual([300_001 + 7 + 1 + 5, 300_001 + 7 + 1 + 5]);
  });

  it('is asked first: the hub only tells the commit, and nothing where that is named', async () => {
    await download();
    hub.requests.length = 0;
    await download();
    expect(hub.requests.map(({ url }) => url.split('?')[0])).toEqual(['/api/models/ann/tiny/revision/main']);
    hub.requests.length = 0;
    await download({ revision: commit });
    await download({}, `ann/tiny@${commit}`);
    expect(hub.requests).toEqual([]);
  });

  it('has a file of several commits once', async () => {
    await download();
    const next = hub.add('models', 'ann/tiny', { ...FILES, 'config.json': '{"a":2}' });
    const dir = await download();
    expect(dir).toBe(join(folder(), 'snapshots', next));
    expect(readFileSync(join(dir, 'config.json'), 'utf8')).toBe('{"a":2}');
    expect(hub.cdnRequests).toHaveLength(1);
    expect(blobs()).toHaveLength(5);
  });

  it('serves offline, and tells what it lacks', async () => {
    const offline = { localFilesOnly: true };
    expect(await refusal(offline)).toMatch(
      /LocalEntryNotFoundError: ann\/tiny: revision "main" is not in the cache .*; `localFilesOnly` is set, so the hub is not asked/,
    );
    await download({ allowPatterns: ['*.json'] });
    hub.requests.length = 0;
    expect(await download({ ...offline, allowPatterns: '*.json' })).toBe(join(folder(), 'snapshots', commit));
    expect(await refusal(offline)).toMatch(/README.md and 2 more of 4 files not in the cache/);
    expect(hub.requests).toEqual([]);
    vi.stubEnv('HF_HUB_OFFLINE', '1');
    await expect(download()).rejects.toThrow(/HF_HUB_OFFLINE/);
    vi.unstubAllEnvs();
  });

  it('takes the place of a hub that is down, with a warning', async () => {
    await download();
    hub.fault = (_, response) => (fail(response, 503, undefined, 'down'), true);
    expect(await download()).toBe(join(folder(), 'snapshots', commit));
    expect(warnings.join()).toMatch(/status 503 \(down\); taken from the cache/);
    expect(await download({ endpoint: 'http://127.0.0.1:1' })).toBe(join(folder(), 'snapshots', commit));
    expect(warnings.join()).toMatch(/no answer from http:\/\/127\.0\.0\.1:1/);
  });

  it('reads listings of several pages', async () => {
    hub.pageSize = 1;
    const dir = await download({ ignorePatterns: '*.md' });
    expect(readdirSync(dir).sort()).toEqual(['config.json', 'model.safetensors', 'onnx']);
    expect(readdirSync(join(dir, 'onnx'))).toEqual(['model.txt']);
  });

  it('gives one file', async () => {
    const options = { endpoint: hub.endpoint, token: false as const, cacheDir, retryDelay: 1 };
    expect(readFileSync(await hfHubDownload('ann/tiny', 'onnx/model.txt', options), 'utf8')).toBe('x');
    expect(blobs()).toHaveLength(1);
    await expect(hfHubDownload('ann/tiny', 'no.txt', options)).rejects.toThrow(
      /ann\/tiny: no file "no.txt" at revision "main"/,
    );
  });

  it('keeps data sets apart from models', async () => {
    hub.add('datasets', 'ann/tiny', { 'a.csv': 'x\n1\n' });
    const dir = await download({ repoType: 'dataset' });
    expect(dir).toContain(join(cacheDir, 'datasets--ann--tiny', 'snapshots'));
    expect(readdirSync(dir)).toEqual(['a.csv']);
  });
});

describe('what the hub refuses', () => {
  it('a repository that is not there, or private', async () => {
    expect(await refusal({}, 'ann/none')).toMatch(
      /RepositoryNotFoundError: ann\/none: no such model on http.*HF_TOKEN/,
    );
    hub.token = 'hf_good';
    expect(await refusal()).toMatch(/RepositoryNotFoundError/);
    expect(await refusal({ token: 'hf_bad' })).toMatch(/does not know the token from the program; .*settings\/tokens/);
    expect(await download({ token: 'hf_good' })).toBe(join(folder(), 'snapshots', commit));
  });

  it('a gated one, a revision, a name that is none', async () => {
    hub.add('models', 'ann/gated', FILES, { gated: true });
    expect(await refusal({}, 'ann/gated')).toMatch(
      /GatedRepoError: ann\/gated: is gated: accept its terms at http.*ann\/gated, then/,
    );
    expect(await refusal({ revision: 'v9' })).toMatch(/RevisionNotFoundError: ann\/tiny: no revision "v9"/);
    expect(await refusal({}, 'a--b/c')).toMatch(/UserError: a--b\/c: found no name of a model/);
    expect(existsSync(join(cacheDir, 'models--ann--gated', 'blobs'))).toBe(false);
  });

  it('passing troubles, which are asked again', async () => {
    let left = 3;
    hub.fault = (_, response) => left-- > 0 && (fail(response, left === 1 ? 429 : 502, undefined, 'busy'), true);
    await download();
    expect(left).toBeLessThan(0);
  });

  it('paths that lead out of the cache', async () => {
    hub.add('models', 'ann/evil', { '../../x.txt': 'x' });
    expect(await refusal({}, 'ann/evil')).toMatch(/found the path "\.\.\/\.\.\/x\.txt", expected one within/);
    expect(await refusal({ revision: '../../x' })).toMatch(/no revision/);
  });
});

describe('the token', () => {
  it('is from HF_TOKEN or the file, and goes to the hub alone', async () => {
    hub.token = 'hf_secret';
    vi.stubEnv('HF_TOKEN', ' hf_secret\n');
    vi.stubEnv('HF_ENDPOINT', `${hub.endpoint}/`);
    vi.stubEnv('HF_HOME', cacheDir);
    await snapshotDownload('ann/tiny', { retryDelay: 1 });
    expect(new Set(hub.requests.map(({ token }) => token))).toEqual(new Set(['Bearer hf_secret']));
    expect(hub.cdnRequests.map(({ token }) => token)).toEqual([undefined]);
    expect(existsSync(join(cacheDir, 'hub', 'models--ann--tiny', 'refs', 'main'))).toBe(true);
    vi.stubEnv('HF_TOKEN', '');
    writeFileSync(join(cacheDir, 'token'), 'hf_secret\n');
    await snapshotDownload('ann/tiny', { retryDelay: 1 });
    expect(hub.requests.at(-1)!.token).toBe('Bearer hf_secret');
    vi.unstubAllEnvs();
  });
});

describe('a download', () => {
  const part = (): string => join(folder(), 'blobs', `${SHA}.incomplete`);

  it('that is cut goes on by ranges, in the same process', async () => {
    let cuts = 0;
    hub.cdnFault = ({ headers }, response) => {
      if (++cuts > 3) return false;
      const from = Number(/\d+/.exec(headers.range ?? '0')![0]);
      if (from > 0) response.setHeader('Content-Range', `bytes ${from}-300000/300001`);
      cut(response, WEIGHTS.subarray(from), 50_000, from > 0 ? 206 : 200);
      return true;
    };
    const dir = await download();
    expect(WEIGHTS.equals(readFileSync(join(dir, 'model.safetensors')))).toBe(true);
    expect(hub.cdnRequests.map(({ range: asked }) => asked)).toEqual([
      undefined,
      ...[1, 2, 3].map((i) => `bytes=${i * 50_000}-`),
    ]);
  });

  it('that is cut for good leaves no name in the cache, and the next one goes on', async () => {
    let sent = false;
    hub.cdnFault = (_, response) => {
      if (sent) response.destroy();
      else cut(response, WEIGHTS, 70_000);
      sent = true;
      return true;
    };
    expect(await refusal()).toMatch(/HfHubHTTPError: ann\/tiny: .*(no answer|70000 of 300001 bytes)/);
    expect(hasSnapshotOf('model.safetensors')).toBe(false);
    expect(existsSync(join(folder(), 'blobs', SHA))).toBe(false);
    expect(lstatSync(part()).size).toBe(70_000);
    hub.cdnFault = () => false;
    hub.cdnRequests.length = 0;
    expect(WEIGHTS.equals(readFileSync(join(await download(), 'model.safetensors')))).toBe(true);
    expect(hub.cdnRequests.map(({ range: asked }) => asked)).toEqual(['bytes=70000-']);
    expect(existsSync(part())).toBe(false);
  });

  it.each([
    ['does not go on', WEIGHTS.subarray(0, 1000), false],
    ['left something else', Buffer.alloc(1000), true],
    ['left too much', Buffer.alloc(400_000), true],
    ['left all of it', WEIGHTS, true],
  ])('begins anew where the hub or an earlier process %s', async (_, left, goesOn) => {
    mkdirSync(join(folder(), 'blobs'), { recursive: true });
    writeFileSync(part(), left);
    hub.cdnFault = (request, response) => {
      if (goesOn) return false;
      delete request.headers.range;
      range(request, response, WEIGHTS, SHA);
      return true;
    };
    const seen: number[] = [];
    expect(
      WEIGHTS.equals(readFileSync(join(await download({ onBytes: (done) => seen.push(done) }), 'model.safetensors'))),
    ).toBe(true);
    expect(seen.at(-1)).toBe(300_014);
  });

  it.each([
    [
      'of a wrong length',
      (response: Parameters<typeof cut>[0]) => response.end(WEIGHTS.subarray(0, 900)),
      /900 of 300001 bytes came/,
    ],
    [
      'with too many bytes',
      (response: Parameters<typeof cut>[0]) => response.end(Buffer.concat([WEIGHTS, WEIGHTS])),
      /more than 300001/,
    ],
    [
      'of a wrong hash',
      (response: Parameters<typeof cut>[0]) => response.end(Buffer.alloc(300_001)),
      /found sha256 .*, expected/,
    ],
  ])('%s is not kept', async (_, answer, message) => {
    hub.cdnFault = (__, response) => (answer(response), true);
    expect(await refusal()).toMatch(message);
    expect(hasSnapshotOf('model.safetensors')).toBe(false);
    expect(blobs().filter((name) => name.startsWith(SHA))).toEqual([]);
  });

  it('of a file in git is checked by git’s hash', async () => {
    hub.fault = ({ url }, response) => url!.endsWith('config.json') && (response.end('{"b":1}'), true);
    expect(await refusal()).toMatch(/config.json: found sha1 .*, expected/);
    expect(hasSnapshotOf('config.json')).toBe(false);
  });

  it('on a full disk says so, and leaves nothing there', async () => {
    // Every write to this device fails as on a full disk.
    mkdirSync(join(folder(), 'blobs'), { recursive: true });
    symlinkSync('/dev/full', part());
    expect(await refusal()).toMatch(/ann\/tiny: model.safetensors .*no space left on the disk/);
    expect(hasSnapshotOf('model.safetensors')).toBe(false);
    expect(blobs().filter((name) => name.startsWith(SHA))).toEqual([]);
  });

  it('that stalls is broken off, and goes on', async () => {
    vi.stubEnv('HF_HUB_DOWNLOAD_TIMEOUT', '0.2');
    let stalled = false;
    hub.cdnFault = (_, response) => {
      if (stalled) return false;
      stalled = true;
      response.writeHead(200, { 'Content-Length': WEIGHTS.length });
      return response.write(WEIGHTS.subarray(0, 10_000)) || true;
    };
    expect(WEIGHTS.equals(readFileSync(join(await download(), 'model.safetensors')))).toBe(true);
    expect(hub.cdnRequests.at(-1)!.range).toBe('bytes=10000-');
    vi.unstubAllEnvs();
  });

  it('of two at once comes once', async () => {
    const [a, b] = await Promise.all([download(), download()]);
    expect(a).toBe(b);
    expect(WEIGHTS.equals(readFileSync(join(a, 'model.safetensors')))).toBe(true);
    expect(hub.cdnRequests).toHaveLength(1);
    expect(blobs()).toHaveLength(4);
  });
});
