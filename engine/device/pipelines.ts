/** Room: engine/device. Compute pipelines, one per distinct WGSL source. */
import type { Kernel } from '../../kernels/kernel.ts';
import type { FirstRuns } from './first-runs.ts';
import { patiently } from './patience.ts';

export class Pipelines {
  readonly #device: GPUDevice;
  readonly #firstRuns: FirstRuns | undefined;
  readonly #cache = new Map<string, Promise<GPUComputePipeline>>();

  /** @param firstRuns makes the driver compile at once what it would leave for later */
  constructor(device: GPUDevice, firstRuns?: FirstRuns) {
    this.#device = device;
    this.#firstRuns = firstRuns;
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
    const info = await patiently(module.getCompilationInfo());
    const fault = info.messages.find((m) => m.type === 'error');
    if (fault) {
      const line = kernel.wgsl.split('\n')[fault.lineNum - 1] ?? '';
      throw new Error(
        `Kernel ${kernel.name} does not compile: ${fault.message} (line ${fault.lineNum}: ${line.trim()})`,
      );
    }
    const compute = { module, entryPoint: 'main' };
    const made = this.#device.createComputePipelineAsync({ label: kernel.name, layout: 'auto', compute });
    const pipeline = await patiently(made);
    await this.#firstRuns?.of(kernel, pipeline);
    return pipeline;
  }
}
