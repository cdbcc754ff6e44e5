/** Room: train. Adapters of the way: folders `checkpoint-STEP` beside a run's checkpoint, of which so many stay. */
import { readdir, rm } from 'node:fs/promises';
import { join } from 'node:path';

const NAME = /^checkpoint-(\d+)$/;

export class KeptAdapters {
  readonly #dir: string;
  readonly #limit: number;
  readonly #write: (dir: string) => Promise<void>;

  /** @param limit how many stay: the latest, and the best among them @param write writes the model as it is into a folder */
  constructor(dir: string, limit: number, write: (dir: string) => Promise<void>) {
    this.#dir = dir;
    this.#limit = limit;
    this.#write = write;
  }

  /** Removes what a run left that came further than this one has. @param step that it goes on with */
  async begin(step: number): Promise<void> {
    for (const left of await this.#steps()) if (left > step) await this.#remove(left);
  }

  /** Keeps the model as it is after a step, and removes the oldest that are too many. @param best stays too; of one alone beside the latest */
  async keep(step: number, best: number | undefined): Promise<void> {
    await this.#write(this.#folder(step));
    const old = (await this.#steps()).filter((kept) => kept !== step && kept !== best);
    const others = this.#limit - (best === undefined || best === step ? 1 : 2);
    for (const kept of old.slice(0, old.length - Math.max(0, others))) await this.#remove(kept);
  }

  #folder(step: number): string {
    return join(this.#dir, `checkpoint-${step}`);
  }

  #remove(step: number): Promise<void> {
    return rm(this.#folder(step), { recursive: true });
  }

  /** In their order. */
  async #steps(): Promise<number[]> {
    const names = await readdir(this.#dir).catch((): string[] => []);
    const steps = names.flatMap((name) => NAME.exec(name)?.slice(1).map(Number) ?? []);
    return steps.sort((a, b) => a - b);
  }
}
