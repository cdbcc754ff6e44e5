/** Room: test. Files for tests of formats, in a folder that goes with them. */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect } from 'vitest';
import type { Dialect, Fields } from '../../../data/records.ts';
import { readRecords } from '../../../data/records.ts';
import { UserError } from '../../../engine/errors.ts';
import { ChatTemplate } from '../../../models/chat/template.ts';

export class DataFiles {
  readonly folder = mkdtempSync(join(tmpdir(), 'formats-'));

  remove(): void {
    rmSync(this.folder, { recursive: true });
  }

  write(name: string, content: string | Uint8Array): string {
    const path = join(this.folder, name);
    writeFileSync(path, content);
    return path;
  }

  async read(name: string, content: string | Uint8Array, dialect?: Dialect): Promise<Fields[]> {
    return recordsOf(this.write(name, content), dialect);
  }

  /** The values of all records, without lines. */
  async rows(name: string, content: string | Uint8Array, dialect?: Dialect): Promise<unknown[][]> {
    return (await this.read(name, content, dialect)).map(({ fields }) => Object.values(fields));
  }

  /** What is said of a file that is refused, without its folder. */
  async fault(name: string, content: string | Uint8Array, dialect?: Dialect): Promise<string> {
    const error: unknown = await this.read(name, content, dialect).then(
      () => undefined,
      (reason: unknown) => reason,
    );
    expect(error).toBeInstanceOf(UserError);
    const { message } = error as UserError;
    expect(message).not.toContain('\n');
    return message.replace(`${this.folder}/`, '');
  }
}

export async function recordsOf(path: string, dialect?: Dialect): Promise<Fields[]> {
  const records: Fields[] = [];
  for await (const record of readRecords(path, { dialect })) records.push(record);
  return records;
}

/** As Python writes it again, in a chat template: `1.0` is not `1`. */
export function pythonJson(value: unknown): string {
  return new ChatTemplate('{{ value | tojson }}', 'template').render({ value }).text;
}
