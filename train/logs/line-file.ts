/** Room: train/logs. A log of lines of text. A resumed run cuts off what it is about to say again. */
import { constants } from 'node:fs';
import { access, readFile, rm } from 'node:fs/promises';
import { dirname } from 'node:path';
import { UserError } from '../../engine/errors.ts';
import { assertWritable, fileError, removeStale, writeFileAtomic } from '../../engine/io/files.ts';
import { makeFolder } from '../../engine/io/make-folder.ts';
import { outputOf } from '../../engine/io/output.ts';
import { AppendFile } from './append-file.ts';
import { assertMayReplace, type LogOptions } from './log.ts';

/**
 * What stays of a log's lines.
 * @param text whole lines
 * @param from steps that the run has behind it
 * @throws UserError for what is no such log
 */
export type Cut = (text: string, from: number) => string;

export class LineFile {
  readonly path: string;
  readonly #options: LogOptions;
  readonly #cut: Cut;
  readonly #file: AppendFile;

  constructor(path: string, options: LogOptions, cut: Cut) {
    this.path = path;
    this.#options = options;
    this.#cut = cut;
    this.#file = new AppendFile(path);
  }

  /**
   * @param from steps that the run has behind it
   * @throws UserError where the log cannot be written, or may not be replaced
   */
  async check(from = 0): Promise<void> {
    await this.#take(from);
  }

  /** Takes up what is there, and cuts off what is to be said again. @returns what stays of it */
  async begin(from: number): Promise<string> {
    const { path, found } = await this.#take(from);
    const text = this.#goesOn(from) ? this.#cut(wholeLines(found), from) : '';
    if (text === '') await rm(path, { force: true });
    else if (text !== found) await writeFileAtomic(path, text);
    await makeFolder(dirname(path));
    await removeStale(path);
    return text;
  }

  append(text: string): void {
    this.#file.append(text);
  }

  sync(): void {
    this.#file.sync();
  }

  close(): void {
    this.#file.close();
  }

  #goesOn(from: number): boolean {
    return this.#options.resume === true || from > 0;
  }

  /** @returns what the file holds, and where it really lies */
  async #take(from: number): Promise<{ path: string; found: string }> {
    const output = await outputOf(this.path);
    if (output.kind !== 'file') throw new UserError(`${this.path}: is no file, expected one`);
    const found = await this.#read();
    const resume = this.#goesOn(from);
    if (found !== '') assertMayReplace(this.path, 'is there already', { ...this.#options, resume });
    if (resume) this.#cut(wholeLines(found), Infinity);
    await assertWritable(this.path);
    return { path: output.path, found };
  }

  async #read(): Promise<string> {
    try {
      const text = await readFile(this.path, 'utf8');
      await access(this.path, constants.W_OK);
      return text;
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code === 'ENOENT') return '';
      throw fileError(this.path, error);
    }
  }
}

/** Text without a last line that was not written to its end. */
function wholeLines(text: string): string {
  return text.slice(0, text.lastIndexOf('\n') + 1);
}
