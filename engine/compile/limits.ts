/** Room: engine/compile. What a device cannot bind: found in the plan of a program, before anything is made on the device. */
import { option, UserError } from '../errors.ts';
import type { MemoryLimits } from '../device/memory.ts';
import type { Tensor } from '../graph/tensor.ts';
import { residentOf } from '../ops/leaf.ts';
import type { Dispatch } from './lower.ts';

/** A program needs a tensor that one binding cannot hold. */
export class TooLargeError extends UserError {
  /** Its bytes as a multiple of the limit. */
  readonly excess: number;
  /** Whether it is there whatever the batch, as weights are. */
  readonly isResident: boolean;

  /** @param bytes of the binding that begins with `tensor` */
  constructor(program: string, tensor: Tensor, bytes: number, limit: number) {
    const resident = residentOf(tensor);
    const { scope } = tensor.node;
    const what = resident ? resident.name : `a tensor${scope === '' ? '' : ` of ${scope}`}`;
    const hint = resident && tensor.dtype === 'f32' ? `; ${option('weights')} f16 halves frozen weights` : '';
    super(`${program}: ${what} takes ${megabytes(bytes)}, this adapter binds at most ${megabytes(limit)}${hint}`);
    this.excess = bytes / limit;
    this.isResident = resident !== undefined;
  }
}

/** @throws TooLargeError for a weight that cannot be bound, else for the largest other tensor */
export function assertBindable(
  program: string,
  dispatches: readonly Dispatch[],
  { maxStorageBufferBindingSize: limit }: MemoryLimits,
): void {
  const bindings = dispatches.flatMap(({ bound, spans }) =>
    bound.map((tensor, i) => ({ tensor, bytes: tensor.bytes * (spans?.[i] ?? 1) })),
  );
  const over = bindings.filter(({ bytes }) => bytes > limit).sort((a, b) => b.bytes - a.bytes);
  const worst = over.find(({ tensor }) => residentOf(tensor)) ?? over[0];
  if (worst) throw new TooLargeError(program, worst.tensor, worst.bytes, limit);
}

function megabytes(bytes: number): string {
  return bytes < 1e6 ? `${bytes} bytes` : `${(bytes / 1e6).toFixed(1)} MB`;
}
