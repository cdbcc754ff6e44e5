/** Room: engine/compile. The least memory that a training step can do with. */
import type { MemoryKind } from '../device/memory.ts';
import type { Program } from './program.ts';

/**
 * Weights, trainables four times (values, gradients, two moments), and what is saved for the backward pass: all of that is there at
 * once when the forward pass ends. `ProgramMemory.saved` is a minimum cut of the graph, taken before fusion, order and offsets.
 * @param resident bytes by kind, as `Memory.byKind` gives them
 * @returns bytes
 */
export function memoryLowerBound(
  resident: Partial<Record<MemoryKind, number>>,
  { memory }: Pick<Program, 'memory'>,
): number {
  return (resident.weights ?? 0) + 4 * (resident.trainables ?? 0) + memory.saved;
}
