/** Room: engine/device. Compute pipelines, one per distinct WGSL source. */
import type { Kernel } from '../../kernels/kernel.ts';
import type { PipelineWarmup } from './pipeline-warmup.ts';
import { waitForGpu } from './wait.ts';

export class Pipelines {
  readonly #device: GPUDevice;
  readonly #warmup: PipelineWarmup | undefined;
  readonly #cache = new Map<string, Promise<GPUComputePipeline>>();

  /** @param warmup makes the driver compile at once what it would leave for later */
  constructor(device: GPUDevice, warmup?: PipelineWarmup) {
    this.#device = device;
    this.#warmup = warmup;
  }

  /** Pipelines compiled since the start. */
  get built(): number {
    return this.#cache.size;
  }

  /**
   * The pipeline of a kernel, compiled at most once per source.
   * @throws Error with the kernel's name, the compiler's message and the line it points at
   */
  get(kernel: Kernel): Promise<GPUComputePipeline> {
    let pipeline = this.#cache.get(kernel.wgsl);
    if (!pipeline) {
      pipeline = this.#build(kernel);
      this.#cache.set(kernel.wgsl, pipeline);
    }
    return pipeline;
  }

  async #build(kernel: Kernel): Promise<GPUComputePipeline> {
    const module = this.#device.createShaderModule({ label: kernel.name, code: kernel.wgsl });
    const info = await waitForGpu(module.getCompilationInfo());
    const fault = info.messages.find((m) => m.type === 'error');
    if (fault) {
      const line = kernel.wgsl.split('\n')[fault.lineNum - 1] ?? '';
      throw new Error(
        `Kernel ${kernel.name} does not compile: ${fault.message} (line ${fault.lineNum}: ${line.trim()})`,
      );
    }
    const compute = { module, entryPoint: 'main' };
    const made = this.#device.createComputePipelineAsync({ label: kernel.name, layout: 'auto', compute });
    const pipeline = await waitForGpu(made);
    await this.#warmup?.of(kernel, pipeline);
    return pipeline;
  }
}
