/**
 * Room: engine/device. Drivers for CPUs compile a kernel when it first runs, one after another. So each kernel is run once, on next
 * to nothing, as soon as there is a pipeline; and where that turns out slow, on further devices at the same time, from which the
 * driver's cache on disk hands it to all.
 */
import { availableParallelism } from 'node:os';
import { packParams, type Kernel } from '../../kernels/kernel.ts';
import { submitPass } from './submit.ts';
import { waitForGpu } from './wait.ts';

/** Milliseconds of a first run from which on the cache did not have the kernel. */
const SLOW = 400;

/** Devices beside the first, at most: memory grows with each. */
const MOST = 7;

interface Job {
  readonly kernel: Kernel;
  readonly pipeline: GPUComputePipeline;
  readonly done: () => void;
}

export class PipelineWarmup {
  readonly #main: GPUDevice;
  readonly #open: () => Promise<GPUDevice>;
  readonly #slow: number;
  readonly #waiting: Job[] = [];
  readonly #idle: GPUDevice[];
  #workers: Promise<GPUDevice[]> | undefined;
  #closed = false;

  /**
   * @param open opens a device of the same adapter, features and limits
   * @param slow milliseconds of a first run from which on there are further devices
   */
  constructor(main: GPUDevice, open: () => Promise<GPUDevice>, slow = SLOW) {
    this.#main = main;
    this.#open = open;
    this.#slow = slow;
    this.#idle = [main];
  }

  /** Resolves when the driver has compiled the kernel. @param pipeline that of the kernel, on the main device */
  of(kernel: Kernel, pipeline: GPUComputePipeline): Promise<void> {
    return new Promise((done) => {
      this.#waiting.push({ kernel, pipeline, done });
      this.#start();
    });
  }

  /** Destroys the further devices; there will be no more. */
  async close(): Promise<void> {
    this.#closed = true;
    for (const device of (await this.#workers) ?? []) device.destroy();
  }

  #start(): void {
    while (this.#waiting.length > 0 && this.#idle.length > 0)
      void this.#work(this.#idle.pop()!, this.#waiting.shift()!);
  }

  async #work(device: GPUDevice, { kernel, pipeline, done }: Job): Promise<void> {
    const started = performance.now();
    try {
      await runOnce(device, kernel, device === this.#main ? pipeline : await pipelineOn(device, kernel));
      this.#idle.push(device);
    } catch {
      // A fault of the kernel shows again where it is used; a helper that fails is not asked again.
      if (device === this.#main) this.#idle.push(device);
    }
    done();
    if (performance.now() - started > this.#slow) this.#openWorkers();
    this.#start();
  }

  #openWorkers(): void {
    if (this.#workers || this.#closed) return;
    const count = Math.min(MOST, availableParallelism() - 1);
    this.#workers = Promise.all(Array.from({ length: count }, this.#open)).catch(() => []);
    void this.#workers.then((devices) => {
      this.#idle.push(...devices);
      this.#start();
    });
  }
}

function pipelineOn(device: GPUDevice, kernel: Kernel): Promise<GPUComputePipeline> {
  const module = device.createShaderModule({ code: kernel.wgsl });
  return waitForGpu(device.createComputePipelineAsync({ layout: 'auto', compute: { module } }));
}

/** Bytes of each buffer of a first run; what lies outside is not read or written, as WebGPU has it. */
const BYTES = 256;

/** Runs a workgroup with the kernel's own parameters. */
async function runOnce(device: GPUDevice, kernel: Kernel, pipeline: GPUComputePipeline): Promise<void> {
  const params = packParams(kernel.params);
  const storage = kernel.bindings.map(() => device.createBuffer({ size: BYTES, usage: GPUBufferUsage.STORAGE }));
  const uniform = device.createBuffer({
    size: Math.max(16, params.byteLength),
    usage: GPUBufferUsage.UNIFORM | GPUBufferUsage.COPY_DST,
  });
  device.queue.writeBuffer(uniform, 0, params);
  const buffers = kernel.params.length > 0 ? [...storage, uniform] : storage;
  const entries = buffers.map((buffer, binding) => ({ binding, resource: { buffer } }));
  const bindGroup = device.createBindGroup({ layout: pipeline.getBindGroupLayout(0), entries });
  submitPass(device, (pass) => {
    pass.setPipeline(pipeline);
    pass.setBindGroup(0, bindGroup);
    pass.dispatchWorkgroups(1);
  });
  await waitForGpu(device.queue.onSubmittedWorkDone());
  for (const buffer of [...storage, uniform]) buffer.destroy();
}
