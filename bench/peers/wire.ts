/**
 * Room: bench/peers. What a benchmark and a peer's process say to each other: one JSON object a line, tensors as raw files. A peer has
 * a process of its own because two Dawn devices in one process take each other's event loop.
 */
import { z } from 'zod';

/** Prefix of protocol lines on a peer's stdout; libraries print there too. */
export const MARK = '@bench ';

const tensor = z.object({ file: z.string(), shape: z.array(z.int().nonnegative()), dtype: z.enum(['f32', 'i32']) });

/** A computation by its name, with inputs and settings. */
const work = z.object({
  name: z.string(),
  inputs: z.record(z.string(), tensor),
  settings: z.record(z.string(), z.union([z.number(), z.string(), z.boolean()])),
});

export const requestSchema = z.discriminatedUnion('op', [
  /** Loads the inputs, runs once, and writes what came out into `folder`. */
  z.object({ op: z.literal('prepare'), work, folder: z.string() }),
  /** Runs the prepared work some times and waits for the last. */
  z.object({ op: z.literal('time'), runs: z.int().positive() }),
]);

/** The first line of a peer. */
export const greetingSchema = z.object({
  version: z.string(),
  /** What it computes on. */
  adapter: z.string(),
  /** Things a comparison needs to know, such as the number of threads. */
  note: z.string(),
});

export const replySchema = z.union([
  z.object({ unsupported: z.string() }),
  /** Files of f32 values by output. */
  z.object({ outputs: z.record(z.string(), z.string()) }),
  z.object({ seconds: z.number().nonnegative() }),
  z.object({ error: z.string() }),
]);

export type Work = z.infer<typeof work>;
export type Request = z.infer<typeof requestSchema>;
export type Greeting = z.infer<typeof greetingSchema>;
export type Reply = z.infer<typeof replySchema>;

/** An input as the peer's process sees it. */
export interface HostTensor {
  readonly shape: readonly number[];
  readonly data: Float32Array | Int32Array;
}

/** A work that has its inputs in place. */
export interface Prepared {
  /** Enqueues one run. */
  run(): void;
  /** Waits until all enqueued runs are done. */
  finish(): Promise<void>;
  /** What the runs so far computed. */
  outputs(): Promise<Readonly<Record<string, Float32Array>>>;
}

/** A library in its process. */
export interface Library extends Greeting {
  /** @returns undefined where the library cannot express the work */
  prepare(name: string, inputs: Readonly<Record<string, HostTensor>>, settings: Work['settings']): Prepared | undefined;
}
