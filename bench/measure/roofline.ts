/** Room: bench/measure. The least time that work can take on an adapter, by the best rates it showed in the same run. */
import { z } from 'zod';
import type { Program } from '../../engine/compile/program.ts';

/** The best this adapter does, measured. */
export interface Rates {
  /** Operations a second of the fastest matrix product. */
  readonly flops: number;
  /** Bytes a second of the fastest copy, read and written bytes added. */
  readonly bytes: number;
}

/** What a kernel must do at least. */
export const demandSchema = z.object({ flops: z.number(), bytes: z.number() });

export type Demand = z.infer<typeof demandSchema>;

/** Those of a program's dispatches. */
export function demandsOf({ dispatches }: Program): Demand[] {
  return dispatches.map(({ kernel: { flops, bytes } }) => ({ flops, bytes }));
}

/** Seconds: the larger of arithmetic at the product rate and traffic at the copy rate, kernel by kernel. */
export function rooflineSeconds(kernels: readonly Demand[], rates: Rates): number {
  return kernels.reduce((sum, { flops, bytes }) => sum + Math.max(flops / rates.flops, bytes / rates.bytes), 0);
}
