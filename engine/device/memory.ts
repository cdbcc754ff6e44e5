/** Room: engine/device. Every GPU buffer is created here, so that the bytes reported are the bytes allocated. */
import { UserError } from '../errors.ts';

/** What a buffer holds; memory is reported by kind. */
export type MemoryKind = 'weights' | 'trainables' | 'gradients' | 'optimizer' | 'activations' | 'state' | 'io';

/** A range of a GPU buffer that holds one tensor. */
export interface Storage {
  readonly buffer: GPUBuffer;
  readonly offset: number;
  readonly bytes: number;
}

/** How large a buffer, and the part of one that a kernel binds, may be; in bytes, by WebGPU's names. */
export type MemoryLimits = Pick<GPUSupportedLimits, 'maxBufferSize' | 'maxStorageBufferBindingSize'>;

/** Bytes in whole words of four, and at least one: what buffers and bindings must be. */
export function wholeWords(bytes: number): number {
  return Math.max(4, Math.ceil(bytes / 4) * 4);
}

/** Allocates storage buffers and counts their bytes by kind, now and at the peak. */
export class Memory {
  readonly #device: GPUDevice;
  readonly #limits: MemoryLimits;
  readonly #live = new Map<GPUBuffer, MemoryKind>();
  /** Buffers of several owners: how many there are still. */
  readonly #owners = new Map<GPUBuffer, number>();
  readonly #bytes = new Map<MemoryKind, number>();
  #current = 0;
  #peak = 0;
  /** Buffers created since the start: a replayed step must not move this. */
  created = 0;

  constructor(device: GPUDevice, limits: MemoryLimits) {
    this.#device = device;
    this.#limits = limits;
  }

  /**
   * A zeroed storage buffer of at least `bytes` (rounded up to 4).
   * @param owners how many will free it, once each
   * @throws UserError where the device has no buffers as large
   */
  allocate(bytes: number, kind: MemoryKind, label: string, owners = 1): GPUBuffer {
    const buffer = this.#create(bytes, kind, label, GPUBufferUsage.STORAGE | GPUBufferUsage.COPY_SRC);
    if (owners > 1) this.#owners.set(buffer, owners);
    return buffer;
  }

  /** A buffer for uniform blocks. */
  allocateUniform(bytes: number, label: string): GPUBuffer {
    return this.#create(bytes, 'io', label, GPUBufferUsage.UNIFORM);
  }

  #create(bytes: number, kind: MemoryKind, label: string, usage: number): GPUBuffer {
    const size = wholeWords(bytes);
    const { maxBufferSize } = this.#limits;
    if (size > maxBufferSize)
      throw new UserError(`${label} takes ${size} bytes, this adapter's largest buffer ${maxBufferSize}`);
    const buffer = this.#device.createBuffer({ label, size, usage: usage | GPUBufferUsage.COPY_DST });
    this.#live.set(buffer, kind);
    this.#add(kind, size);
    this.created++;
    return buffer;
  }

  /** Destroys a buffer made by `allocate` when its last owner frees it; destroying twice is harmless. */
  free(buffer: GPUBuffer): void {
    const kind = this.#live.get(buffer);
    if (kind === undefined) return;
    const owners = (this.#owners.get(buffer) ?? 1) - 1;
    if (owners > 0) {
      this.#owners.set(buffer, owners);
      return;
    }
    this.#owners.delete(buffer);
    this.#live.delete(buffer);
    this.#add(kind, -buffer.size);
    buffer.destroy();
  }

  #add(kind: MemoryKind, bytes: number): void {
    this.#bytes.set(kind, (this.#bytes.get(kind) ?? 0) + bytes);
    this.#current += bytes;
    this.#peak = Math.max(this.#peak, this.#current);
  }

  /** Bytes allocated now. */
  get current(): number {
    return this.#current;
  }

  /** The most bytes allocated at any time since the start or `resetPeak`. */
  get peak(): number {
    return this.#peak;
  }

  /** Starts measuring the peak anew, from what is allocated now. */
  resetPeak(): void {
    this.#peak = this.#current;
  }

  /** Bytes allocated now, by kind. */
  byKind(): Partial<Record<MemoryKind, number>> {
    return Object.fromEntries([...this.#bytes].filter(([, bytes]) => bytes > 0));
  }
}
