/** Room: engine/device. Finds an adapter through Dawn, opens a device and reads off the traits kernels are chosen by. */
import { create, globals } from 'webgpu';
import type { DeviceTraits } from '../../kernels/kernel.ts';
import { SUBGROUP_MATRIX_FEATURE } from '../../kernels/matmul/subgroup-matrix-syntax.ts';
import { UserError } from '../errors.ts';
import { findMatrixUnit } from './matrix.ts';

/** The adapter as shown to people and written into reports. */
export interface AdapterDescription {
  readonly vendor: string;
  readonly architecture: string;
  readonly device: string;
  readonly description: string;
  readonly software: boolean;
  readonly features: readonly string[];
  readonly limits: Readonly<Record<string, number>>;
}

/** No adapter was found: nothing can run. */
export class NoAdapterError extends UserError {
  constructor() {
    super(
      'No WebGPU adapter was found. Install a Vulkan driver: for a GPU its vendor driver, without one Mesa 25 or newer ' +
        '(Debian: mesa-vulkan-drivers; `npx light-peft setup` does it), then run `npx light-peft doctor`.',
    );
  }
}

/** The device stopped answering (driver reset, unplugged, out of memory). Work since the last checkpoint is lost. */
export class DeviceLostError extends UserError {
  constructor(reason: string) {
    super(`The WebGPU device was lost: ${reason}`);
  }
}

export interface OpenDevice {
  readonly device: GPUDevice;
  readonly traits: DeviceTraits;
  readonly adapter: AdapterDescription;
  /** Rejects operations of the engine once set. */
  readonly lost: { error?: DeviceLostError };
  /** Opens a further device like this one. */
  another(): Promise<GPUDevice>;
  /** Destroys the device and lets the process exit. */
  close(): void;
}

/** Kept for good: collecting the instance of a closed device ended the process while another device worked. */
const instances: GPU[] = [];

const TOGGLES = [
  'enable-dawn-features=allow_unsafe_apis,vulkan_enable_f16_on_nvidia',
  'disable-dawn-features=timestamp_quantization',
];

const WANTED_FEATURES: readonly string[] = ['subgroups', 'shader-f16', 'timestamp-query', SUBGROUP_MATRIX_FEATURE];

const RAISED_LIMITS = [
  'maxBufferSize',
  'maxStorageBufferBindingSize',
  'maxStorageBuffersPerShaderStage',
  'maxComputeWorkgroupStorageSize',
  'maxComputeInvocationsPerWorkgroup',
] as const;

/**
 * Opens the best adapter of this machine.
 * @throws NoAdapterError where there is none
 */
export async function openDevice(): Promise<OpenDevice> {
  Object.assign(globalThis, globals);
  const gpu = create(TOGGLES);
  instances.push(gpu);
  const adapter = await findAdapter(gpu);
  const device = await requestDevice(adapter);
  const description = describe(adapter);
  const lost: { error?: DeviceLostError } = {};
  let closed = false;
  void device.lost.then((info) => {
    if (!closed) lost.error = new DeviceLostError(info.message || info.reason);
  });
  return {
    device,
    traits: await readTraits(adapter, device, description.software),
    adapter: description,
    lost,
    another: async () => requestDevice(await findAdapter(gpu)),
    close() {
      closed = true;
      device.destroy();
    },
  };
}

/** An adapter gives one device. */
async function findAdapter(gpu: GPU): Promise<GPUAdapter> {
  const adapter = await gpu.requestAdapter({ powerPreference: 'high-performance' });
  if (!adapter) throw new NoAdapterError();
  return adapter;
}

function requestDevice(adapter: GPUAdapter): Promise<GPUDevice> {
  return adapter.requestDevice({
    requiredFeatures: WANTED_FEATURES.filter((f) => adapter.features.has(f)) as GPUFeatureName[],
    requiredLimits: Object.fromEntries(RAISED_LIMITS.map((name) => [name, adapter.limits[name]])),
  });
}

function describe(adapter: GPUAdapter): AdapterDescription {
  const { vendor, architecture, device, description } = adapter.info;
  const limits: Record<string, number> = {};
  for (const name in adapter.limits) {
    const value: unknown = adapter.limits[name as keyof GPUSupportedLimits];
    if (typeof value === 'number') limits[name] = value;
  }
  const software = adapter.info.isFallbackAdapter || /llvmpipe|swiftshader|software/i.test(`${architecture} ${device}`);
  return { vendor, architecture, device, description, software, features: [...adapter.features].sort(), limits };
}

async function readTraits(adapter: GPUAdapter, device: GPUDevice, software: boolean): Promise<DeviceTraits> {
  const { subgroupMinSize, subgroupMaxSize } = adapter.info;
  const fixed = adapter.features.has('subgroups') && subgroupMinSize === subgroupMaxSize;
  const subgroupSize = fixed ? (subgroupMinSize ?? 0) : 0;
  const matrix = subgroupSize > 0 ? await findMatrixUnit(adapter, device, subgroupSize) : undefined;
  return {
    subgroupSize,
    f16: adapter.features.has('shader-f16'),
    software,
    maxStorageBuffers: adapter.limits.maxStorageBuffersPerShaderStage,
    workgroupMemory: adapter.limits.maxComputeWorkgroupStorageSize,
    matrix,
  };
}
