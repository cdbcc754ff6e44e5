/** Room: data/tasks. Labels in a file of their own: `train-labels.lst` beside `train.jsonl`, one a line. Reads that file. */
import { UserError } from '../../engine/errors.ts';
import { exists } from '../../engine/io/files.ts';
import { readLines } from '../../engine/io/text.ts';
import type { Fields } from '../records.ts';

/** Labels that are given to records in their order. */
export class LabelFile {
  readonly #path: string;
  readonly #labels: readonly string[];
  #given = 0;

  private constructor(path: string, labels: readonly string[]) {
    this.#path = path;
    this.#labels = labels;
  }

  /** The one of a data file; undefined where there is none. */
  static async of(path: string): Promise<LabelFile | undefined> {
    const beside = path.replace(/\.[^./\\]+(?:\.gz)?$/i, '-labels.lst');
    if (!(await exists(beside))) return undefined;
    const labels: string[] = [];
    for await (const { texts } of readLines(beside)) labels.push(...texts.map((text) => text.trim()));
    while (labels.at(-1) === '') labels.pop();
    return new LabelFile(beside, labels);
  }

  /** A record with the next label, unless it has one. @throws UserError where there is none left */
  labelled({ line, fields }: Fields): Fields {
    const label = this.#labels[this.#given++];
    if (label === undefined)
      throw new UserError(
        `${this.#path}: found ${this.#labels.length} labels, expected one for every row of the data beside it`,
      );
    return { line, fields: { label, ...fields } };
  }

  /** @throws UserError where labels are left */
  end(): void {
    if (this.#given === this.#labels.length) return;
    throw new UserError(
      `${this.#path}: found ${this.#labels.length} labels, expected ${this.#given}, one for every row of the data beside it`,
    );
  }
}
