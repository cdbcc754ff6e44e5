/** Room: train. Training state on disk: variables and the step to go on with, in one safetensors file. */
import type { Engine } from '../engine/engine.ts';
import { UserError } from '../engine/errors.ts';
import { openSafetensors, writeSafetensors } from '../engine/io/safetensors.ts';
import type { Variable } from '../engine/variable.ts';

/** Facts a checkpoint is only valid for; they must be equal on resuming. */
export type RunIdentity = Readonly<Record<string, string | number | boolean>>;

/** Losses of the steps a checkpoint has behind it, so that a resumed run's record is whole. */
export interface PastLosses {
  readonly loss: readonly number[];
  readonly taskLoss: readonly number[];
}

/** Writes variables under their position, with the step, the run's identity and its losses as metadata; atomic. */
export async function saveCheckpoint(
  engine: Engine,
  path: string,
  step: number,
  identity: RunIdentity,
  variables: readonly Variable[],
  losses: PastLosses = { loss: [], taskLoss: [] },
): Promise<void> {
  const entries = variables.map((variable, i) => ({
    name: `${i}.${variable.name}`,
    dtype: 'F32' as const,
    shape: variable.shape,
    data: () => engine.read(variable),
  }));
  await writeSafetensors(path, entries, {
    step: String(step),
    identity: JSON.stringify(identity),
    losses: JSON.stringify(losses),
  });
}

/**
 * Restores variables written by `saveCheckpoint`.
 * @returns the step to go on with, and the losses up to there
 * @throws UserError naming the first option that differs from the run that wrote it, or a tensor that does not fit
 */
export async function loadCheckpoint(
  engine: Engine,
  path: string,
  identity: RunIdentity,
  variables: readonly Variable[],
): Promise<{ step: number; losses: PastLosses }> {
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
      await engine.fill(variable, file.floats(`${i}.${variable.name}`, variable.shape));
    }
    return { step: Number(file.metadata.step), losses: JSON.parse(file.metadata.losses ?? '{}') as PastLosses };
  } finally {
    await file.close();
  }
}
