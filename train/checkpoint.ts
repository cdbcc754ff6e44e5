/** Room: train. Training state on disk: variables and the step to go on with, in one safetensors file. */
import { option } from '../engine/errors.ts';
import { z } from 'zod';
import type { Engine } from '../engine/engine.ts';
import { UserError } from '../engine/errors.ts';
import { parseJson, preview, validate } from '../engine/io/files.ts';
import { openSafetensors, writeSafetensors, type TensorEntry, type TensorFile } from '../engine/io/safetensors.ts';
import type { Variable } from '../engine/variable.ts';
import { differenceText, firstDifference, fromOldKeys, type RunIdentity } from './identity.ts';
import type { HostMemory } from './step.ts';

/** Of the file: how variables are laid out in it. */
const VERSION = '2';

const series = z.array(z.number()).readonly();
const lossesSchema = z.object({ loss: series, taskLoss: series });
const identitySchema = z.record(z.string(), z.union([z.string(), z.number(), z.boolean()]));

/** What a checkpoint has behind it, so that a resumed run's record is whole. */
const pastSchema = lossesSchema.extend({
  seconds: z.number(),
  /** Real tokens. */
  tokens: z.number(),
  /** Tokens a second, of windows. */
  rates: series,
  evaluations: z
    .array(
      z.object({ step: z.number(), epoch: z.number(), metrics: z.record(z.string(), z.number()), isBest: z.boolean() }),
    )
    .readonly(),
});

export type PastSteps = z.infer<typeof pastSchema>;

const NOTHING: PastSteps = { loss: [], taskLoss: [], seconds: 0, tokens: 0, rates: [], evaluations: [] };

/**
 * Writes variables under their position, with the step, the run's identity and what is behind it as metadata; atomic.
 * @param best values of the first of them as they were at the best evaluation; none: not kept
 */
export async function saveCheckpoint(
  engine: Engine,
  path: string,
  step: number,
  identity: RunIdentity,
  variables: readonly Variable[],
  past: Partial<PastSteps> = {},
  best: readonly Float32Array[] = [],
  memory?: HostMemory,
): Promise<void> {
  const { loss, taskLoss, evaluations, ...timing } = { ...NOTHING, ...past };
  const entries = variables.map((variable, i) => ({
    name: `${i}.${variable.name}`,
    dtype: 'F32' as const,
    shape: variable.shape,
    data: () => engine.read(variable),
  }));
  const saved = memory?.save();
  const kept = [...arrays('best', best), ...arrays('memory', saved?.arrays ?? [])];
  await writeSafetensors(path, [...entries, ...kept], {
    version: VERSION,
    step: String(step),
    identity: JSON.stringify(identity),
    losses: JSON.stringify({ loss, taskLoss }),
    timing: JSON.stringify(timing),
    ...(saved && { memory: JSON.stringify(saved.json) }),
    ...(evaluations.length > 0 && { evaluations: JSON.stringify(evaluations) }),
  });
}

/** Values on the host, under their place. */
function arrays(name: string, all: readonly Float32Array[]): TensorEntry[] {
  return all.map((data, i) => ({ name: `${name}.${i}`, dtype: 'F32', shape: [data.length], data }));
}

async function readArrays(file: TensorFile, name: string): Promise<Float32Array[]> {
  const found: Float32Array[] = [];
  while (file.has(`${name}.${found.length}`)) found.push(await file.readFloat32(`${name}.${found.length}`));
  return found;
}

/** What a checkpoint may have beside the variables. */
interface RestoredToo {
  /** Variables of which it may have the best values. */
  readonly weights?: readonly Variable[];
  readonly memory?: HostMemory | undefined;
  /** Variables after the others; they stay as they are where an earlier version wrote the file. */
  readonly newer?: readonly Variable[];
}

/**
 * Restores variables written by `saveCheckpoint`.
 * @returns the step to go on with, and what is behind it; files of version 0.1 do not tell how long that took
 * @throws UserError naming the first option that differs from the run that wrote it, or a tensor that does not fit
 */
export async function loadCheckpoint(
  engine: Engine,
  path: string,
  identity: RunIdentity,
  variables: readonly Variable[],
  { weights = [], memory, newer = [] }: RestoredToo = {},
): Promise<{ step: number; past: PastSteps; best: readonly Float32Array[] }> {
  const file = await openSafetensors(path);
  try {
    const { step, version = '1' } = file.metadata;
    if (version !== VERSION) {
      throw new UserError(
        `${path}: checkpoint of version ${preview(version)}, this program reads version ${VERSION}: start anew without ${option('resume')}`,
      );
    }
    const written = fromOldKeys(validate(metadataJson(file, 'identity'), identitySchema, `${path}: identity`));
    const losses = validate(metadataJson(file, 'losses'), lossesSchema, `${path}: losses`);
    const timing = file.metadata.timing === undefined ? {} : (metadataJson(file, 'timing') as object);
    const evaluations = file.metadata.evaluations === undefined ? [] : metadataJson(file, 'evaluations');
    const past = validate({ ...NOTHING, ...losses, ...timing, evaluations }, pastSchema, `${path}: timing`);
    if (!/^\d{1,15}$/.test(step ?? '')) {
      throw new UserError(
        `${path}: key "step": found ${preview(step)}, expected a number of steps; no checkpoint of a run`,
      );
    }
    const differs = firstDifference(written, identity);
    if (differs) throw new UserError(`${path}: ${differenceText(differs)}: resume with the same options and data`);
    const json = memory && metadataJson(file, 'memory');
    memory?.restore({ json, arrays: await readArrays(file, 'memory') }, `${path}: memory`);
    const hasNewer = newer[0] !== undefined && file.has(`${variables.length}.${newer[0].name}`);
    for (const [i, variable] of [...variables, ...(hasNewer ? newer : [])].entries()) {
      await engine.fill(variable, file.floats(`${i}.${variable.name}`, variable.shape));
    }
    const isKept = file.has('best.0');
    const best: Float32Array[] = [];
    for (const [i, { size }] of isKept ? weights.entries() : []) best.push(await file.readFloat32(`best.${i}`, [size]));
    return { step: Number(step), past, best };
  } finally {
    await file.close();
  }
}

function metadataJson(
  { path, metadata }: TensorFile,
  key: 'identity' | 'losses' | 'timing' | 'evaluations' | 'memory',
): unknown {
  return parseJson(metadata[key] ?? '', `${path}: ${key}`);
}
