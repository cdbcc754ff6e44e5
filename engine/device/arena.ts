/** Room: engine/device. The one buffer that all programs of an engine lay their intermediates in: only one runs at a time. */
import { option, UserError } from '../errors.ts';
import type { Memory } from './memory.ts';

export class Arena {
  readonly #memory: Memory;
  readonly #limit: number;
  #buffer: GPUBuffer | undefined;
  /** Changes when the buffer does: bind groups made before are stale. */
  version = 0;

  constructor(memory: Memory, limit: number) {
    this.#memory = memory;
    this.#limit = limit;
  }

  get buffer(): GPUBuffer {
    if (!this.#buffer) throw new Error('the arena is empty: reserve before use');
    return this.#buffer;
  }

  get bytes(): number {
    return this.#buffer?.size ?? 0;
  }

  /**
   * Grows the arena to at least `bytes`. What it held is lost.
   * @throws UserError where the adapter's largest buffer is smaller
   */
  reserve(bytes: number): void {
    if (this.#buffer && this.#buffer.size >= bytes) return;
    if (bytes > this.#limit) {
      throw new UserError(
        `The program needs ${bytes} bytes of intermediates, the adapter's largest buffer is ${this.#limit}: lower ${option('batchSize')} or ${option('maxLength')}.`,
      );
    }
    this.release();
    this.#buffer = this.#memory.allocate(bytes, 'activations', 'arena');
    this.version++;
  }

  /** Frees the buffer; the next `reserve` makes one anew. */
  release(): void {
    if (this.#buffer) this.#memory.free(this.#buffer);
    this.#buffer = undefined;
  }
}
