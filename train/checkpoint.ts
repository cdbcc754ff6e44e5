/** Room: train. Training state on disk: variables and the step to go on with, in one safetensors file. */
import type { Engine } from '../engine/engine.ts';
import { UserError } from '../engine/errors.ts';
import { openSafetensors, writeSafetensors } from '../engine/io/safetensors.ts';
import type { Variable } from '../engine/variable.ts';

/** Facts a checkpoint is only valid for; they must be equal on resuming. */
export type RunIdentity = Readonly<Record<string, string | number | boolean>>;

/** Writes variables under their position, with the step and the run's identity as metadata; atomic. */
export async function saveCheckpoint(
  engine: Engine,
  path: string,
  step: number,
  identity: RunIdentity,
  variables: readonly Variable[],
): Promise<void> {
  const entries = variables.map((variable, i) => ({
    name: `${i}.${variable.name}`,
    dtype: 'F32' as const,
    shape: variable.shape,
    data: () => engine.read(variable),
  }));
  await writeSafetensors(path, entries, { step: String(step), identity: JSON.stringify(identity) });
}

/**
 * Restores variables written by `saveCheckpoint`.
 * @returns the step to go on with
 * @throws UserError naming the first option that differs from the run that wrote it, or a tensor that does not fit
 */
export async function loadCheckpoint(
  engine: Engine,
  path: string,
  identity: RunIdentity,
  variables: readonly Variable[],
): Promise<number> {
  const file = await openSafetensors(path);
  try {
    const written = JSON.parse(file.metadata.identity ?? '{}') as RunIdentity;
    for (const key of new Set([...Object.keys(written), ...Object.keys(identity)])) {
      if (written[key] !== identity[key]) {
        throw new UserError(
          `${path}: ${key} was ${written[key]}, now it is ${identity[key]}: resume with the same options`,
        );
      }
    }
    for (const [i, variable] of variables.entries()) {
      engine.write(variable, await file.readFloat32(`${i}.${variable.name}`, variable.shape));
    }
    return Number(file.metadata.step);
  } finally {
    await file.close();
  }
}
