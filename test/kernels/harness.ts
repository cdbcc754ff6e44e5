/** Tests only: runs one kernel on the machine's adapter with fresh buffers and reads back what it wrote. */
import { afterAll } from 'vitest';
import { openDevice, type OpenDevice } from '../../engine/device/device.ts';
import { waitForGpu } from '../../engine/device/wait.ts';
import { Pipelines } from '../../engine/device/pipelines.ts';
import { BYTES, packParams, type DeviceTraits, type Kernel } from '../../kernels/kernel.ts';

export type HostArray = Float32Array | Int32Array | Uint32Array | Uint16Array;

export interface TestDevice {
  readonly traits: DeviceTraits;
  /**
   * @param inputs data of every `in` and `inout` binding
   * @param outLengths elements of every `out` binding
   * @returns contents of every `out` and `inout` binding (f16 as raw Uint16Array); outputs start filled with garbage
   */
  run<T extends HostArray = Float32Array>(
    kernel: Kernel,
    inputs: Record<string, HostArray>,
    outLengths: Record<string, number>,
  ): Promise<Record<string, T>>;
}

const VIEWS = { f32: Float32Array, i32: Int32Array, u32: Uint32Array, f16: Uint16Array } as const;

/** One device per test file, closed after it. */
export async function openTestDevice(): Promise<TestDevice> {
  const open = await openDevice();
  const pipelines = new Pipelines(open.device);
  afterAll(() => open.close());
  return {
    traits: open.traits,
    run: (kernel, inputs, outLengths) => run(open, pipelines, kernel, inputs, outLengths) as never,
  };
}

async function run(
  { device }: OpenDevice,
  pipelines: Pipelines,
  kernel: Kernel,
  inputs: Record<string, HostArray>,
  outLengths: Record<string, number>,
): Promise<Record<string, HostArray>> {
  const storage = GPUBufferUsage.STORAGE | GPUBufferUsage.COPY_SRC | GPUBufferUsage.COPY_DST;
  const buffers = kernel.bindings.map(({ name, dtype, role }) => {
    const data = inputs[name];
    const length = role === 'out' ? outLengths[name] : data?.length;
    if (length === undefined) throw new Error(`harness: no data or length for binding ${name} of ${kernel.name}`);
    const bytes = Math.max(4, Math.ceil((length * BYTES[dtype]) / 4) * 4);
    const buffer = device.createBuffer({ size: bytes, usage: storage });
    const content = new Uint8Array(bytes).fill(0x7a);
    if (role !== 'out' && data) content.set(new Uint8Array(data.buffer, data.byteOffset, data.byteLength));
    device.queue.writeBuffer(buffer, 0, content);
    return { name, dtype, role, length, buffer };
  });
  const entries: GPUBindGroupEntry[] = buffers.map((b, binding) => ({ binding, resource: { buffer: b.buffer } }));
  if (kernel.params.length > 0) {
    const packed = packParams(kernel.params);
    const uniform = device.createBuffer({
      size: packed.byteLength,
      usage: GPUBufferUsage.UNIFORM | GPUBufferUsage.COPY_DST,
    });
    device.queue.writeBuffer(uniform, 0, packed);
    entries.push({ binding: buffers.length, resource: { buffer: uniform } });
  }
  device.pushErrorScope('validation');
  const pipeline = await pipelines.get(kernel);
  const encoder = device.createCommandEncoder();
  const pass = encoder.beginComputePass();
  pass.setPipeline(pipeline);
  pass.setBindGroup(0, device.createBindGroup({ layout: pipeline.getBindGroupLayout(0), entries }));
  pass.dispatchWorkgroups(...kernel.workgroups);
  pass.end();
  const reads = buffers
    .filter((b) => b.role !== 'in')
    .map((b) => {
      const staging = device.createBuffer({
        size: b.buffer.size,
        usage: GPUBufferUsage.MAP_READ | GPUBufferUsage.COPY_DST,
      });
      encoder.copyBufferToBuffer(b.buffer, 0, staging, 0, b.buffer.size);
      return { ...b, staging };
    });
  device.queue.submit([encoder.finish()]);
  const error = await waitForGpu(device.popErrorScope());
  if (error) throw new Error(`${kernel.name}: ${error.message}`);
  const result: Record<string, HostArray> = {};
  for (const r of reads) {
    await waitForGpu(r.staging.mapAsync(GPUMapMode.READ));
    result[r.name] = new VIEWS[r.dtype](r.staging.getMappedRange().slice(0), 0, r.length);
    r.staging.destroy();
  }
  for (const b of buffers) b.buffer.destroy();
  return result;
}

/** IEEE half bits of each value, by the platform-independent route through the exponent. Test-sized inputs only. */
export function toF16(values: Float32Array): Uint16Array {
  return Uint16Array.from(values, (value) => {
    if (value === 0) return Object.is(value, -0) ? 0x8000 : 0;
    const sign = value < 0 ? 0x8000 : 0;
    const abs = Math.abs(value);
    const exponent = Math.max(-14, Math.floor(Math.log2(abs)));
    const mantissa = Math.round((abs / 2 ** exponent) * 1024);
    if (exponent > 15) return sign | 0x7c00;
    return sign | (mantissa < 1024 ? mantissa : ((exponent + 15) << 10) + (mantissa - 1024));
  });
}
