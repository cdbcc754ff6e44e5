/** Room: train/logs. A file that grows while a run goes on. What was added is with the operating system at once, whatever ends the process. */
import { closeSync, fsyncSync, openSync, writeFileSync } from 'node:fs';
import { fileError } from '../../engine/io/files.ts';
import { warn } from '../../engine/warnings.ts';

/** Made when something is first added. A disk that is full ends the log with a warning, not the training. */
export class AppendFile {
  readonly path: string;
  #descriptor: number | undefined;
  #failed = false;

  constructor(path: string) {
    this.path = path;
  }

  append(data: string | Uint8Array): void {
    this.#try(() => {
      this.#descriptor ??= openSync(this.path, 'a');
      writeFileSync(this.#descriptor, data);
    });
  }

  /** Has everything on the disk. */
  sync(): void {
    const descriptor = this.#descriptor;
    if (descriptor !== undefined) this.#try(() => fsyncSync(descriptor));
  }

  close(): void {
    this.sync();
    if (this.#descriptor !== undefined) closeSync(this.#descriptor);
    this.#descriptor = undefined;
  }

  #try(work: () => void): void {
    if (this.#failed) return;
    try {
      work();
    } catch (error) {
      this.#failed = true;
      warn(`${(fileError(this.path, error) as Error).message}: the log ends here, training goes on`);
    }
  }
}
