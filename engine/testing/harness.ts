/** Room: engine/testing. Runs one kernel on the machine's adapter with fresh buffers and reads back what it wrote. */
import { BYTES, packParams, type Binding, type DeviceTraits, type Kernel } from '../../kernels/kernel.ts';
import { openDevice, type AdapterDescription, type OpenDevice } from '../device/device.ts';
import { waitForGpu } from '../device/wait.ts';
import { Pipelines } from '../device/pipelines.ts';
import type { HostArray } from '../device/uploads.ts';

const VIEWS = { f32: Float32Array, i32: Int32Array, u32: Uint32Array, f16: Uint16Array } as const;

/** Every byte of an output before the kernel runs: an element that it leaves unwritten shows. */
const GARBAGE = 0x7a;

interface BoundBuffer extends Binding {
  readonly length: number;
  readonly buffer: GPUBuffer;
}

/**
 * Opens the best adapter of this machine for kernel tests.
 * @throws UserError where there is none
 */
export async function openTestDevice(): Promise<TestDevice> {
  return new TestDevice(await openDevice());
}

/** A device that runs single kernels. Pipelines are kept: kernels of equal source compile once. */
export class TestDevice implements Disposable {
  /** What the kernel generators may know of the device; tests vary it to reach the templates of other devices. */
  readonly traits: DeviceTraits;
  /** Name, driver, features and limits of the adapter. */
  readonly adapter: AdapterDescription;
  readonly #open: OpenDevice;
  readonly #pipelines: Pipelines;

  /** @internal */
  constructor(open: OpenDevice) {
    this.traits = open.traits;
    this.adapter = open.adapter;
    this.#open = open;
    this.#pipelines = new Pipelines(open.device);
  }

  /**
   * Dispatches `kernel` once.
   * @param inputs data of every `in` and `inout` binding, in the binding's dtype (f16 as raw bits in a Uint16Array)
   * @param outLengths elements of every `out` binding
   * @returns contents of every `out` and `inout` binding, by name and in its dtype; outputs start filled with garbage
   * @throws Error for a binding without data or length, for WGSL that does not compile, and for what validation finds
   */
  async run<T extends HostArray = Float32Array>(
    kernel: Kernel,
    inputs: Readonly<Record<string, HostArray>>,
    outLengths: Readonly<Record<string, number>>,
  ): Promise<Record<string, T>> {
    const { device } = this.#open;
    const buffers = kernel.bindings.map((binding) => bindBuffer(device, kernel, binding, inputs, outLengths));
    const uniforms = kernel.params.length > 0 ? [uniformBuffer(device, kernel)] : [];
    device.pushErrorScope('validation');
    const pipeline = await this.#pipelines.get(kernel);
    const entries = [...buffers.map(({ buffer }) => buffer), ...uniforms].map((buffer, binding) => ({
      binding,
      resource: { buffer },
    }));
    const encoder = device.createCommandEncoder();
    const pass = encoder.beginComputePass();
    pass.setPipeline(pipeline);
    pass.setBindGroup(0, device.createBindGroup({ layout: pipeline.getBindGroupLayout(0), entries }));
    pass.dispatchWorkgroups(...kernel.workgroups);
    pass.end();
    const reads = buffers
      .filter(({ role }) => role !== 'in')
      .map((b) => ({ ...b, staging: stage(device, encoder, b) }));
    device.queue.submit([encoder.finish()]);
    const error = await waitForGpu(device.popErrorScope());
    if (error) throw new Error(`${kernel.name}: ${error.message}`);
    const result: Record<string, HostArray> = {};
    for (const { name, dtype, length, staging } of reads) {
      await waitForGpu(staging.mapAsync(GPUMapMode.READ));
      result[name] = new VIEWS[dtype](staging.getMappedRange().slice(0), 0, length);
      staging.destroy();
    }
    for (const buffer of [...buffers.map((b) => b.buffer), ...uniforms]) buffer.destroy();
    return result as Record<string, T>;
  }

  /** Destroys the device and lets the process exit. */
  close(): void {
    this.#open.close();
  }

  /** The same as `close`, for `using`. */
  [Symbol.dispose](): void {
    this.close();
  }
}

/** A buffer of its own for a binding: the input's data, or garbage. */
function bindBuffer(
  device: GPUDevice,
  kernel: Kernel,
  binding: Binding,
  inputs: Readonly<Record<string, HostArray>>,
  outLengths: Readonly<Record<string, number>>,
): BoundBuffer {
  const { name, dtype, role } = binding;
  const data = role === 'out' ? undefined : inputs[name];
  const length = role === 'out' ? outLengths[name] : data?.length;
  if (length === undefined) throw new Error(`no data or length for binding ${name} of ${kernel.name}`);
  const size = Math.max(4, Math.ceil((length * BYTES[dtype]) / 4) * 4);
  const usage = GPUBufferUsage.STORAGE | GPUBufferUsage.COPY_SRC | GPUBufferUsage.COPY_DST;
  const buffer = device.createBuffer({ label: name, size, usage });
  const content = new Uint8Array(size).fill(GARBAGE);
  if (data) content.set(new Uint8Array(data.buffer, data.byteOffset, data.byteLength));
  device.queue.writeBuffer(buffer, 0, content);
  return { ...binding, length, buffer };
}

function uniformBuffer(device: GPUDevice, { params }: Kernel): GPUBuffer {
  const packed = packParams(params);
  const usage = GPUBufferUsage.UNIFORM | GPUBufferUsage.COPY_DST;
  const buffer = device.createBuffer({ label: 'params', size: packed.byteLength, usage });
  device.queue.writeBuffer(buffer, 0, packed);
  return buffer;
}

/** A copy that the host can map. */
function stage(device: GPUDevice, encoder: GPUCommandEncoder, { buffer }: BoundBuffer): GPUBuffer {
  const usage = GPUBufferUsage.MAP_READ | GPUBufferUsage.COPY_DST;
  const staging = device.createBuffer({ size: buffer.size, usage });
  encoder.copyBufferToBuffer(buffer, 0, staging, 0, buffer.size);
  return staging;
}
