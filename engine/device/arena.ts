/**
 * Room: engine/device. Where all programs of an engine lay their intermediates: only one runs at a time. It is one range of addresses
 * in as few buffers as the device's largest allows.
 */
import type { Memory, Storage } from './memory.ts';

export class Arena {
  readonly #memory: Memory;
  readonly #limit: number;
  #buffers: readonly GPUBuffer[] = [];
  /** Changes when the buffers do: bind groups made before are stale. */
  version = 0;
  /** The program whose values it holds: the latest that was prepared to run. */
  tenant: object | undefined;

  /** @param limit bytes of a buffer */
  constructor(memory: Memory, limit: number) {
    this.#memory = memory;
    this.#limit = limit;
  }

  get bytes(): number {
    return this.#buffers.reduce((sum, { size }) => sum + size, 0);
  }

  /** Whether it is one of the arena's. */
  owns(buffer: GPUBuffer): boolean {
    return this.#buffers.includes(buffer);
  }

  /** A range that lies in one buffer. @param offset bytes from the start of the arena */
  storage(offset: number, bytes: number): Storage {
    const buffer = this.#buffers[Math.floor(offset / this.#limit)];
    if (!buffer) throw new Error('the arena is too small: reserve before use');
    return { buffer, offset: offset % this.#limit, bytes };
  }

  /** Grows the arena to at least `bytes`. What it held is lost. */
  reserve(bytes: number): void {
    if (this.#buffers.length > 0 && this.bytes >= bytes) return;
    this.release();
    const count = Math.max(1, Math.ceil(bytes / this.#limit));
    this.#buffers = Array.from({ length: count }, (_, i) =>
      this.#memory.allocate(Math.min(this.#limit, bytes - i * this.#limit), 'activations', 'arena'),
    );
    this.version++;
  }

  /** Frees the buffers; the next `reserve` makes them anew. */
  release(): void {
    for (const buffer of this.#buffers) this.#memory.free(buffer);
    this.#buffers = [];
    this.tenant = undefined;
  }
}
