/**
 * Room: audit. The steps of an audit on disk: each has a folder with `stage.json`, what it measured and all that this depends on, so that an
 * audit that was stopped goes on with the step under way.
 */
import { rm } from 'node:fs/promises';
import { join } from 'node:path';
import { z } from 'zod';
import { option, UserError } from '../engine/errors.ts';
import { exists } from '../engine/io/files.ts';
import { fingerprintText } from '../engine/io/fingerprint.ts';
import { makeFolder } from '../engine/io/make-folder.ts';
import { header, readVersioned, writeVersioned, type VersionedFormat } from '../engine/io/versioned.ts';
import { differenceText, firstDifference, type RunIdentity } from '../train/identity.ts';
import type { CheckpointOptions } from '../train/options.ts';

const stageSchema = z.strictObject({
  ...header('light-peft/audit-stage', 1),
  identity: z.record(z.string(), z.union([z.string(), z.number(), z.boolean()])),
  result: z.unknown(),
});

const STAGE: VersionedFormat<z.infer<typeof stageSchema>> = {
  format: 'light-peft/audit-stage',
  version: 1,
  schema: stageSchema,
};

const FILES = { result: 'stage.json', checkpoint: 'checkpoint.safetensors' };

/** A step that is done. */
export interface Stage<T> {
  readonly result: T;
  /** Its folder; what it trained lies in `adapter`. */
  readonly folder: string;
  /** Stands for all it depends on: what the identity of a later step says of it. */
  readonly id: string;
}

/** Where a step works. */
export interface StagePlace {
  readonly folder: string;
  /** Of its training. */
  readonly checkpoint: CheckpointOptions;
}

/** A step: where it lies, of what its result is, and what that depends on. */
export interface StageOf<T> {
  /** Folder below the audit's. */
  readonly path: string;
  readonly schema: z.ZodType<T>;
  readonly identity: RunIdentity;
}

/** The folder of a step that holds what it trained. */
export const ADAPTER = 'adapter';

export class StageStore {
  readonly #out: string;
  readonly #overwrite: boolean;

  /** @param overwrite whether steps of other settings are done again, rather than refused */
  constructor(out: string, overwrite: boolean) {
    this.#out = out;
    this.#overwrite = overwrite;
  }

  /**
   * What a step measured: now, or when it was done before.
   * @throws UserError where its folder holds the same step of other settings or data
   */
  async stage<T>(of: StageOf<T>, work: (place: StagePlace) => Promise<T>): Promise<Stage<T>> {
    const { path, schema, identity } = of;
    const folder = join(this.#out, path);
    const id = fingerprintText(JSON.stringify(Object.entries(identity).sort()));
    const known = await this.#known(folder, of);
    if (known) return { result: known.result, folder, id };
    await makeFolder(folder);
    const checkpoint = join(folder, FILES.checkpoint);
    const result = await work({ folder, checkpoint: { path: checkpoint, resume: 'always', identity } });
    await writeVersioned(join(folder, FILES.result), STAGE, {
      identity: { ...identity },
      result: schema.parse(result),
    });
    await rm(checkpoint, { force: true });
    return { result, folder, id };
  }

  async #known<T>(folder: string, { schema, identity }: StageOf<T>): Promise<{ result: T } | undefined> {
    const file = join(folder, FILES.result);
    if (!(await exists(file))) {
      if (this.#overwrite) await rm(join(folder, FILES.checkpoint), { force: true });
      return undefined;
    }
    const found = await readVersioned(file, STAGE);
    const differs = firstDifference(found.identity, identity);
    if (!differs) return { result: schema.parse(found.result) };
    if (this.#overwrite) return undefined;
    throw new UserError(
      `${file}: ${differenceText(differs)}: use another ${option('out')}, the same settings and data, or ${option('overwrite')}`,
    );
  }
}
