/**
 * Room: engine/io. Files as every room reads and writes them: nothing is ever half-written, and whatever is wrong with
 * a file is said in one line that names the file, the key, what was found and what was expected.
 */
import { randomBytes } from 'node:crypto';
import { rmdirSync, rmSync } from 'node:fs';
import { open, readdir, readFile, rename, rm, rmdir, stat } from 'node:fs/promises';
import { basename, dirname, join } from 'node:path';
import type { z } from 'zod';
import { UserError } from '../errors.ts';
import { phraseFor } from '../expectation.ts';
import { makeFolder } from './make-folder.ts';
import { assertWritableThrough, openThrough, outputOf, type OpenFile } from './output.ts';
import { isRunning } from './processes.ts';

const REASONS: Record<string, string> = {
  ENOENT: 'no such file or folder',
  EACCES: 'permission denied',
  EPERM: 'permission denied',
  EISDIR: 'is a folder, expected a file',
  ENOTDIR: 'a part of the path is a file, expected a folder',
  EEXIST: 'a part of the path is a file, expected a folder',
  ENAMETOOLONG: 'the name is too long',
  ENOSPC: 'no space left on the disk',
  EROFS: 'the disk is read-only',
  EMFILE: 'too many open files',
  ENXIO: 'nothing is at the other end',
  EPIPE: 'the reader has closed the pipe',
  EBADF: 'is not open for writing',
};

/** Turns a failed file-system call into a `UserError` that names the file; other errors pass through unchanged. */
export function fileError(path: string, error: unknown): unknown {
  if (!(error instanceof Error) || !('code' in error) || typeof error.code !== 'string') return error;
  return 'syscall' in error ? new UserError(`${path}: ${REASONS[error.code] ?? error.code}`) : error;
}

/** Whether something is at `path`. */
export async function exists(path: string): Promise<boolean> {
  return stat(path).then(
    () => true,
    () => false,
  );
}

/** The hidden name beside `path` under which it is written until it is whole; it tells who writes. */
function temporaryName(path: string): string {
  return join(dirname(path), `.${basename(path)}.${process.pid}-${randomBytes(6).toString('hex')}.tmp`);
}

/** Removes what processes that were killed left of earlier attempts to write `path`. */
export async function removeStale(path: string): Promise<void> {
  const prefix = `.${basename(path)}.`;
  for (const name of await readdir(dirname(path))) {
    const pid = name.startsWith(prefix) ? /^(\d+)-[0-9a-f]{12}\.tmp$/.exec(name.slice(prefix.length))?.[1] : undefined;
    if (pid !== undefined && !isRunning(Number(pid))) await rm(join(dirname(path), name), { force: true });
  }
}

/** A file to be written: its path, and what writes its content. */
export interface PendingFile {
  readonly path: string;
  readonly write: (file: OpenFile) => Promise<void>;
}

/**
 * Writes files that belong together: each under a temporary name in its folder and flushed to the disk; only when all are
 * whole are they renamed, and the folders flushed, so that every path holds either its old content or all of the new, also after
 * a crash. Missing folders are made, and go again where nothing is written. Temporary files never stay; those of a killed process go with
 * the next attempt. Where a path is a link, the file it leads to is replaced; pipes, devices and standard output (`-`) are written through.
 */
export async function writeAtomically(files: readonly PendingFile[]): Promise<void> {
  const whole: { readonly temporary: string; readonly file: string }[] = [];
  const made: string[] = [];
  const removeTemporary = (): void => {
    whole.forEach(({ temporary }) => rmSync(temporary, { force: true }));
    removeEmptySync(made);
  };
  process.once('exit', removeTemporary);
  let path = '';
  try {
    for (const { path: given, write } of files) {
      path = given;
      const output = await outputOf(path);
      if (output.kind !== 'file') {
        const through = await openThrough(output);
        await write(through).finally(() => through.close());
        continue;
      }
      const file = output.path;
      made.unshift(...(await makeFolder(dirname(file))));
      await removeStale(file);
      const temporary = temporaryName(file);
      whole.push({ temporary, file });
      await writeDurably(temporary, write);
    }
    for (const { temporary, file } of whole) {
      path = file;
      await rename(temporary, file);
    }
    for (const folder of new Set(whole.map(({ file }) => dirname(file)))) await syncFolder(folder);
  } catch (error) {
    removeTemporary();
    throw fileError(path, error);
  } finally {
    process.off('exit', removeTemporary);
  }
}

async function writeDurably(path: string, write: PendingFile['write']): Promise<void> {
  const file = await open(path, 'wx');
  try {
    await write(file);
    await file.sync();
  } finally {
    await file.close();
  }
}

/** Makes renames in a folder last; where folders cannot be opened (Windows), they do anyway. */
async function syncFolder(path: string): Promise<void> {
  const folder = await open(path, 'r').catch(() => undefined);
  await folder?.sync().catch(() => undefined);
  await folder?.close();
}

/**
 * Makes sure before any work that its result can be written to `path`. Leaves nothing there.
 * @throws UserError where it cannot
 */
export async function assertWritable(path: string): Promise<void> {
  try {
    const output = await outputOf(path);
    if (output.kind !== 'file') {
      await assertWritableThrough(output);
      return;
    }
    const made = await makeFolder(dirname(output.path));
    const temporary = temporaryName(output.path);
    try {
      await writeDurably(temporary, () => Promise.resolve());
    } finally {
      await rm(temporary, { force: true });
      await removeEmpty(made);
    }
  } catch (error) {
    throw fileError(path, error);
  }
}

/** Removes folders until one is not empty. */
export async function removeEmpty(folders: readonly string[]): Promise<void> {
  for (const folder of folders) {
    const removed = await rmdir(folder).then(
      () => true,
      () => false,
    );
    if (!removed) return;
  }
}

/** The same where the process is about to end. */
export function removeEmptySync(folders: readonly string[]): void {
  for (const folder of folders) {
    try {
      rmdirSync(folder);
    } catch {
      return;
    }
  }
}

/** Writes `data` (text as UTF-8) to `path`, atomically. */
export async function writeFileAtomic(path: string, data: string | Uint8Array): Promise<void> {
  await writeAtomically([{ path, write: (file) => file.writeFile(data) }]);
}

/** `value` as JSON, indented by two, ending with a line break. */
export function jsonText(value: unknown): string {
  return `${JSON.stringify(value, null, 2)}\n`;
}

/** Writes `value` as JSON, indented by two, atomically. */
export async function writeJson(path: string, value: unknown): Promise<void> {
  await writeFileAtomic(path, jsonText(value));
}

/**
 * Reads a JSON file and checks it.
 * @throws UserError where the file is missing, is no JSON, or does not fit `schema`
 */
export async function readJson<T>(path: string, schema: z.ZodType<T>): Promise<T> {
  let text: string;
  try {
    text = await readFile(path, 'utf8');
  } catch (error) {
    throw fileError(path, error);
  }
  return validate(parseJson(text, path), schema, path);
}

/** Parses JSON text; `file` is named in the error. */
export function parseJson(text: string, file: string): unknown {
  if (text.trim() === '') throw new UserError(`${file}: the file is empty, expected JSON`);
  const value = parsed(text, file);
  if (isDeeper(value, MAX_DEPTH)) {
    throw new UserError(`${file}: lists or objects nested more than ${MAX_DEPTH} deep, expected far fewer`);
  }
  return value;
}

function parsed(text: string, file: string): unknown {
  try {
    return JSON.parse(text);
  } catch (error) {
    throw new UserError(`${file}: not valid JSON: ${oneLine((error as Error).message)}`);
  }
}

/** Nesting that files of this kind stay far below, and that whatever walks a value can follow. */
const MAX_DEPTH = 100;

function isDeeper(value: unknown, depth: number): boolean {
  if (typeof value !== 'object' || value === null) return false;
  if (depth === 0) return true;
  return Object.values(value).some((inside) => isDeeper(inside, depth - 1));
}

/** Checks a parsed value against a schema; the first fault becomes a `UserError` starting with `file`. */
export function validate<T>(value: unknown, schema: z.ZodType<T>, file: string): T {
  const result = schema.safeParse(value, { error: phraseFor(schema) });
  if (result.success) return result.data;
  throw new UserError(`${file}: ${describeIssue(result.error.issues[0]!, value)}`);
}

type Issue = z.core.$ZodIssue;

function describeIssue(issue: Issue, value: unknown): string {
  const key = issue.path.length > 0 ? `key ${keyPath(issue.path)}: ` : '';
  const found = `found ${preview(lookUp(value, issue.path))}`;
  if (issue.code === 'unrecognized_keys') {
    return `${key}unknown ${issue.keys.length > 1 ? 'keys' : 'key'} ${issue.keys.map((k) => `"${k}"`).join(', ')}`;
  }
  if (issue.code === 'custom') return `${key}${oneLine(issue.message)}`;
  return `${key}${found}, ${oneLine(issue.message)}`;
}

function keyPath(path: readonly PropertyKey[]): string {
  const text = path.map((p) => (typeof p === 'number' ? `[${p}]` : `.${String(p)}`)).join('');
  return `"${text.replace(/^\./, '')}"`;
}

function lookUp(value: unknown, path: readonly PropertyKey[]): unknown {
  return path.reduce<unknown>(
    (at, key) => (typeof at === 'object' && at !== null ? (at as Record<PropertyKey, unknown>)[key] : undefined),
    value,
  );
}

/** A value as an error shows it: one line, at most 60 characters; `nothing` for a missing one. */
export function preview(value: unknown): string {
  if (value === undefined) return 'nothing';
  if (typeof value === 'function' || typeof value === 'symbol') return `a ${typeof value}`;
  const text = typeof value === 'object' && value !== null ? summary(value) : JSON.stringify(value);
  return text.length > 60 ? `${text.slice(0, 57)}…` : text;
}

/** Names that are listed. */
const MOST_NAMES = 24;

/** Names of columns or classes, which may hold anything, for one line of an error. */
export function previewNames(names: readonly string[]): string {
  if (names.length === 0) return 'nothing';
  const shown = names.slice(0, MOST_NAMES).map((name) => {
    const text = /[\p{Cc}\p{Zl}\p{Zp}]/u.test(name) ? JSON.stringify(name) : name;
    return text.length > 60 ? `${text.slice(0, 57)}…` : text;
  });
  return shown.join(', ') + (names.length > MOST_NAMES ? ` and ${names.length - MOST_NAMES} others` : '');
}

function summary(value: object): string {
  if (isDeeper(value, MAX_DEPTH)) return 'a deeply nested value';
  const text = JSON.stringify(value);
  if (text.length <= 60) return text;
  return Array.isArray(value) ? `an array of ${value.length}` : 'an object';
}

function oneLine(text: string): string {
  const line = text.replace(/\s+/g, ' ');
  return line.length > 160 ? `${line.slice(0, 157)}…` : line;
}
