/** Room: engine/device. Times compute passes one by one with the device's own clock. */
import type { AdapterDescription } from './device.ts';
import type { Storage } from './memory.ts';
import { UserError } from '../errors.ts';

/** A device that can be asked for its clock. */
export interface Clock {
  readonly device: GPUDevice;
  readonly adapter: AdapterDescription;
  readBytes(storage: Storage): Promise<ArrayBuffer>;
}

/** WebGPU's limit on the queries of one set. */
const MAX_QUERIES = 4096;

/** @throws UserError where the device has no `timestamp-query`. @param what is asked for, e.g. `profile` */
export function requireTimestamps({ device, adapter }: Clock, what: string): void {
  if (device.features.has('timestamp-query')) return;
  throw new UserError(
    `${what}: the adapter ${adapter.device} has no timestamp-query, which timing kernels needs; ` +
      'update its driver, or leave the option out.',
  );
}

/** Begin and end of `count` passes of one command encoder. */
export class PassTimer {
  readonly #clock: Clock;
  readonly #count: number;
  readonly #sets: readonly GPUQuerySet[];
  readonly #buffer: GPUBuffer;

  constructor(clock: Clock, count: number) {
    requireTimestamps(clock, 'profile');
    const { device } = clock;
    this.#clock = clock;
    this.#count = count;
    this.#sets = Array.from({ length: Math.ceil((2 * count) / MAX_QUERIES) }, (_, i) =>
      device.createQuerySet({ type: 'timestamp', count: Math.min(MAX_QUERIES, 2 * count - i * MAX_QUERIES) }),
    );
    const usage = GPUBufferUsage.QUERY_RESOLVE | GPUBufferUsage.COPY_SRC;
    this.#buffer = device.createBuffer({ label: 'timestamps', size: Math.max(16, count * 16), usage });
  }

  /** For the descriptor of pass `i`. */
  writes(i: number): GPUComputePassTimestampWrites {
    const query = (2 * i) % MAX_QUERIES;
    const querySet = this.#sets[Math.floor((2 * i) / MAX_QUERIES)]!;
    return { querySet, beginningOfPassWriteIndex: query, endOfPassWriteIndex: query + 1 };
  }

  /** Call after the last pass, before the encoder is finished. */
  resolve(encoder: GPUCommandEncoder): void {
    this.#sets.forEach((set, i) => encoder.resolveQuerySet(set, 0, set.count, this.#buffer, i * MAX_QUERIES * 8));
  }

  /** Nanoseconds of each pass, once submitted. Frees the timer. */
  async read(): Promise<number[]> {
    const bytes = await this.#clock.readBytes({ buffer: this.#buffer, offset: 0, bytes: this.#count * 16 });
    const ticks = new BigInt64Array(bytes);
    this.#buffer.destroy();
    for (const set of this.#sets) set.destroy();
    return Array.from({ length: this.#count }, (_, i) => Math.max(0, Number(ticks[2 * i + 1]! - ticks[2 * i]!)));
  }
}
