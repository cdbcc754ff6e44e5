/**
 * Room: models/hub. One content from the hub into the cache: whole and of the right hash, or not there. A download that was cut goes on where
 * it ended, also in a later process. `@huggingface/hub` has none of this: it begins anew, and keeps whatever came. Uses the network, and
 * writes the cache.
 */
import { createHash, randomBytes } from 'node:crypto';
import { createReadStream } from 'node:fs';
import { open, rename, rm, stat, statfs, type FileHandle } from 'node:fs/promises';
import { dirname } from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';
import { UserError } from '../../engine/errors.ts';
import { exists, fileError } from '../../engine/io/files.ts';
import { withFileLock } from '../../engine/io/file-lock.ts';
import { warn } from '../../engine/warnings.ts';
import { etagOf, type RepoCache, type RepoFile } from './cache.ts';
import { causeOf, HfHubHTTPError } from './errors.ts';
import { pauseBefore, RETRIES } from './request.ts';
import type { HubSettings } from './settings.ts';

/** What is downloaded, and from where. */
export interface Download {
  /** Of messages: `user/name: model.safetensors`. */
  readonly name: string;
  readonly url: string;
  readonly file: RepoFile;
  readonly fetch: typeof fetch;
  readonly settings: HubSettings;
  /** Called with the bytes that came; less than zero where they have to come again. */
  readonly onBytes: (bytes: number) => void;
}

/** @throws UserError where it cannot be had whole and right; what came of a cut download stays for the next attempt */
export async function downloadBlob(cache: RepoCache, download: Download): Promise<void> {
  const etag = etagOf(download.file);
  const blob = cache.blob(etag);
  await cache.prepare(etag);
  const onWait = (): void => warn(`${download.name}: another process is downloading it, waiting`);
  await withFileLock(
    cache.lock(etag),
    async (isHeld) => {
      if (await exists(blob)) {
        download.onBytes(download.file.size);
        return;
      }
      // Without a lock, another process may write the usual one.
      const part = isHeld ? cache.incomplete(etag) : `${blob}.${randomBytes(4).toString('hex')}.incomplete`;
      try {
        await fetchWhole(part, download);
        await rename(part, blob);
      } finally {
        if (!isHeld) await rm(part, { force: true });
      }
    },
    onWait,
  );
}

/** The hub's content is other than it says. */
class WrongContentError extends UserError {}

async function fetchWhole(part: string, download: Download): Promise<void> {
  const isRest = await exists(part);
  try {
    await receive(part, download);
    await assertWhole(part, download);
  } catch (error) {
    const isWrong = error instanceof WrongContentError;
    // A full disk is of no use to anyone.
    if (isWrong || (error as NodeJS.ErrnoException).code === 'ENOSPC') await discard(part, download);
    if (!(isWrong && isRest)) throw fileError(`${download.name} (${part})`, error);
    // What an earlier process left may have been of something else.
    await fetchWhole(part, download);
  }
}

async function discard(part: string, { onBytes }: Download): Promise<void> {
  onBytes(-(await stat(part)).size);
  await rm(part, { force: true });
}

/** Receives until all bytes are there. */
async function receive(part: string, download: Download): Promise<void> {
  const { file, onBytes, settings, name } = download;
  const handle = await open(part, 'a');
  try {
    let have = (await handle.stat()).size;
    if (have > file.size) {
      await handle.truncate(0);
      have = 0;
    }
    onBytes(have);
    await assertRoom(part, file.size - have, name);
    for (let failed = 0; have < file.size;) {
      const { end, error } = await receivePart(handle, have, download);
      const short = `${name}: ${end} of ${file.size} bytes came`;
      if (error === undefined && end < file.size) throw new WrongContentError(`${short}; try again`);
      failed = end > have ? 0 : failed + 1;
      have = end;
      if (error !== undefined && failed > RETRIES)
        throw new HfHubHTTPError(`${short}, then ${error}; the next attempt goes on there`);
      if (error !== undefined) await pause(pauseBefore(settings, failed));
    }
    await handle.sync();
  } finally {
    await handle.close();
  }
}

/** @throws UserError where the disk is known to be too small */
async function assertRoom(part: string, bytes: number, name: string): Promise<void> {
  const disk = await statfs(dirname(part)).catch(() => undefined);
  if (!disk || disk.blocks === 0) return;
  const free = disk.bavail * disk.bsize;
  if (free >= bytes) return;
  const [needed, found] = [bytes, free].map((n) => `${(n / 1e6).toFixed(1)} MB`);
  throw new UserError(`${name}: no space left on the disk: ${needed} to come, ${found} free in ${dirname(part)}`);
}

/** What one answer brings. A broken connection is no error of this function: `error` says what broke it. */
async function receivePart(
  part: FileHandle,
  from: number,
  download: Download,
): Promise<{ readonly end: number; readonly error?: string | undefined }> {
  const { url, fetch, file, settings, name } = download;
  const abort = new AbortController();
  const headers = { 'Accept-Encoding': 'identity', ...(from > 0 && { Range: `bytes=${from}-` }) };
  const response = await fetch(url, { headers, signal: abort.signal }).catch((error: unknown) => {
    if (error instanceof HfHubHTTPError && error.status === 416) return undefined;
    throw error;
  });
  const isRest = response?.status === 206 && response.headers.get('Content-Range')?.startsWith(`bytes ${from}-`);
  let end = from;
  if (from > 0 && !isRest) {
    // The hub does not go on there.
    await part.truncate(0);
    download.onBytes(-from);
    if (!response) return receivePart(part, 0, download);
    end = 0;
  }
  if (!response?.body) return { end };
  const stalled = setTimeout(() => abort.abort(new Error('no more bytes came')), settings.downloadTimeout);
  try {
    for await (const chunk of chunksOf(response.body)) {
      stalled.refresh();
      if (end + chunk.length > file.size) {
        throw new WrongContentError(`${name}: more than ${file.size} bytes came; try again`);
      }
      await writeAll(part, chunk);
      end += chunk.length;
      download.onBytes(chunk.length);
    }
    return { end };
  } catch (error) {
    if (!(error instanceof BrokenError)) throw error;
    return { end, error: error.message };
  } finally {
    clearTimeout(stalled);
    abort.abort();
  }
}

/** A connection that ended too early. */
class BrokenError extends Error {}

async function* chunksOf(body: ReadableStream<Uint8Array>): AsyncGenerator<Uint8Array> {
  const reader = body.getReader();
  for (;;) {
    const { done, value } = await reader.read().catch((error: unknown) => {
      throw new BrokenError(causeOf(error));
    });
    if (done) return;
    yield value;
  }
}

async function writeAll(file: FileHandle, data: Uint8Array): Promise<void> {
  for (let at = 0; at < data.length;) at += (await file.write(data, at)).bytesWritten;
}

/** Its hash is checked too. */
async function assertWhole(path: string, { name, file: { size, sha256, blobId } }: Download): Promise<void> {
  const [kind, expected] = sha256 === undefined ? (['sha1', blobId] as const) : (['sha256', sha256] as const);
  const hash = createHash(kind);
  // As git hashes what it keeps.
  if (kind === 'sha1') hash.update(`blob ${size}\0`);
  for await (const chunk of createReadStream(path)) hash.update(chunk as Buffer);
  const found = hash.digest('hex');
  if (found !== expected)
    throw new WrongContentError(`${name}: found ${kind} ${found}, expected ${expected}; try again`);
}
