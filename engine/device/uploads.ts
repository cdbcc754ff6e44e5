/** Room: engine/device. Data on its way to buffers. What has not arrived yet is host memory; streams keep it small. */
import { waitForGpu } from './wait.ts';
import type { Storage } from './memory.ts';

/** Data on the host: f16 as its raw bits. */
export type HostArray = Float32Array | Int32Array | Uint32Array | Uint16Array;

/** Bytes under way before a stream waits for them to arrive. */
const LIMIT = 1 << 24;

export class Uploads {
  readonly #device: GPUDevice;
  #underWay = 0;

  constructor(device: GPUDevice) {
    this.#device = device;
  }

  /** Enqueues a write. @param at bytes from the start of `storage`, a multiple of 4 */
  write({ buffer, offset, bytes }: Storage, at: number, data: ArrayBufferView): void {
    if (at + data.byteLength > bytes) throw new Error(`${data.byteLength} bytes at ${at} do not fit ${bytes}`);
    const whole = data.byteLength % 4 === 0 ? data : padded(data);
    this.#device.queue.writeBuffer(buffer, offset + at, whole.buffer, whole.byteOffset, whole.byteLength);
  }

  /** Writes pieces one behind the other. @returns the number of elements written */
  async fill(storage: Storage, pieces: AsyncIterable<ArrayBufferView & ArrayLike<number>>): Promise<number> {
    let at = 0;
    let elements = 0;
    for await (const piece of pieces) {
      this.write(storage, at, piece);
      at += piece.byteLength;
      elements += piece.length;
      this.#underWay += piece.byteLength;
      if (this.#underWay < LIMIT) continue;
      await waitForGpu(this.#device.queue.onSubmittedWorkDone());
      this.#underWay = 0;
    }
    return elements;
  }
}

function padded(data: ArrayBufferView): Uint8Array {
  const bytes = new Uint8Array(Math.ceil(data.byteLength / 4) * 4);
  bytes.set(new Uint8Array(data.buffer, data.byteOffset, data.byteLength));
  return bytes;
}
