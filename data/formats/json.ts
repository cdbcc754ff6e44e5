/** Room: data/formats. JSON files: a list of objects, at the top or under a key, columns, or an object a line. Reads the file it is given. */
import { TokenParser } from '@streamparser/json';
import { UserError } from '../../engine/errors.ts';
import { preview } from '../../engine/io/files.ts';
import { settleFloats } from '../../engine/io/json-floats.ts';
import type { OnBytes } from '../../engine/io/load.ts';
import { layoutOf } from './json-layout.ts';
import { readJsonLines } from './json-lines.ts';
import { begins, scanJson, type JsonToken } from './json-scan.ts';
import type { Fields, RecordOptions } from './record.ts';

/** @throws UserError with file and line */
export async function* readJson(path: string, options: RecordOptions): AsyncGenerator<readonly Fields[]> {
  const layout = await layoutOf(path, options.dialect?.rows);
  switch (layout.kind) {
    case 'lines':
      yield* readJsonLines(path, options);
      break;
    case 'object':
    case 'items':
      yield* readItems(path, layout, options.onBytes);
      break;
    case 'columns':
      yield* readColumns(path, layout.keys, options.onBytes);
  }
}

async function* readItems(path: string, place: Place, onBytes: OnBytes | undefined): AsyncGenerator<readonly Fields[]> {
  let isFound = false;
  for await (const items of itemsOf(path, place, onBytes)) {
    isFound ||= items.length > 0;
    yield items.map(({ line, value }) => ({ line, fields: objectOf(path, line, value) }));
  }
  if (!isFound && place.key !== undefined)
    throw new UserError(`${path}: has no records under "${place.key}", expected a list of objects`);
}

function objectOf(path: string, line: number, value: unknown): Fields['fields'] {
  if (typeof value === 'object' && value !== null && !Array.isArray(value))
    return settleFloats(value) as Fields['fields'];
  throw new UserError(
    `${path}:${line}: found ${preview(value)}, expected an object such as {"text": "…", "label": 0} in the list`,
  );
}

/** Rows of columns: each column is read by itself, so that none is held whole. */
async function* readColumns(
  path: string,
  keys: readonly string[],
  onBytes: OnBytes | undefined,
): AsyncGenerator<readonly Fields[]> {
  const columns = keys.map(
    (key, i) => new Column(itemsOf(path, { kind: 'items', key }, i === keys.length - 1 ? onBytes : undefined)),
  );
  for (;;) {
    for (const column of columns) await column.fill();
    const length = Math.min(...columns.map((column) => column.items.length));
    if (length === 0) return;
    const parts = columns.map((column) => column.take(length));
    yield Array.from({ length }, (_, row) => {
      const fields: Record<string, unknown> = {};
      for (const [i, key] of keys.entries()) fields[key] = parts[i]![row]!.value;
      return { line: parts[0]![row]!.line, fields: settleFloats(fields) };
    });
  }
}

interface Item {
  readonly line: number;
  readonly value: unknown;
}

/** Where values are: the file's only one, or those of a list or object, at the top or under a key. */
interface Place {
  readonly kind: 'object' | 'items';
  readonly key?: string;
}

async function* itemsOf(
  path: string,
  { kind, key }: Place,
  onBytes: OnBytes | undefined,
): AsyncGenerator<readonly Item[], void> {
  const items: Item[] = [];
  let line = 1;
  const depth = kind === 'object' ? 0 : key === undefined ? 1 : 2;
  const parser = new TokenParser({ paths: [['$', '$.*', '$.*.*'][depth]!], keepStack: false });
  parser.onValue = ({ value, stack }) => {
    if (key === undefined || stack[1]?.key === key) items.push({ line, value });
  };
  const onToken = (token: JsonToken, depthOf: number, lineOf: () => number): void => {
    if (depthOf === depth && begins(token)) line = lineOf();
    parser.write(token);
  };
  yield* scanJson(path, depth, onToken, () => items.splice(0), onBytes);
}

/** A column's values that are read and not yet taken. */
class Column {
  readonly #batches: AsyncGenerator<readonly Item[], void>;
  items: readonly Item[] = [];

  constructor(batches: AsyncGenerator<readonly Item[], void>) {
    this.#batches = batches;
  }

  /** Reads on until there is one, if any is left. */
  async fill(): Promise<void> {
    while (this.items.length === 0) {
      const next = await this.#batches.next();
      if (next.done) return;
      this.items = next.value;
    }
  }

  take(length: number): readonly Item[] {
    const taken = this.items.slice(0, length);
    this.items = this.items.slice(length);
    return taken;
  }
}
