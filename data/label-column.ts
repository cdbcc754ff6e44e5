/** Room: data. The labels of a file's examples, each different text or list held once. */
import type { Label, LabelRow } from './labels.ts';

export class LabelColumn {
  readonly path: string;
  /** Line of the file that each example is of. */
  readonly lines: number[] = [];
  readonly values: (Label | undefined)[] = [];
  /** By text, or a list's entries. */
  readonly #known = new Map<string, Label>();

  constructor(path: string) {
    this.path = path;
  }

  push(line: number, label: Label | undefined): void {
    this.lines.push(line);
    this.values.push(typeof label === 'string' || typeof label === 'object' ? this.#once(label) : label);
  }

  /** The different labels with the first line of each and how often it is there. Fractions, which are no classes, count as one. */
  get rows(): readonly LabelRow[] {
    const found = new Map<unknown, { line: number; label?: Label; count: number }>();
    this.values.forEach((label, i) => {
      const key = typeof label === 'number' && !Number.isInteger(label) ? 'fraction' : label;
      // A text cannot be mixed up with it.
      const named = typeof key === 'string' && key === label ? `"${key}"` : key;
      const row = found.get(named);
      if (row) row.count++;
      else found.set(named, { line: this.lines[i]!, ...(label !== undefined && { label }), count: 1 });
    });
    return [...found.values()];
  }

  /** What `of` makes of each label; it is asked once for every different one. */
  map<T>(of: (label: Label | undefined, at: string) => T): T[] {
    const known = new Map<Label | undefined, T>();
    return this.values.map((label, i) => {
      const isShared = typeof label !== 'number' || Number.isInteger(label);
      const before = isShared ? known.get(label) : undefined;
      if (before !== undefined) return before;
      const value = of(label, `${this.path}:${this.lines[i]}`);
      if (isShared) known.set(label, value);
      return value;
    });
  }

  #once(label: string | readonly number[]): Label {
    const key = String(label);
    const known = this.#known.get(key);
    if (known !== undefined && typeof known === typeof label) return known;
    this.#known.set(key, label);
    return label;
  }
}
