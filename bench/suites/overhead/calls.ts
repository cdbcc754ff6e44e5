/** Room: bench/suites. What WebGPU's own calls cost, with nothing of this engine around them. */

/** Binds one buffer, as the least of kernels does. */
const EMPTY = `@group(0) @binding(0) var<storage, read_write> x: array<f32>;
@compute @workgroup_size(1) fn main() { if (x[0] > 1.0) { x[0] = 0.0; } }`;

export interface EmptyStep {
  /** Records and submits the dispatches. */
  enqueue(): void;
  free(): void;
}

/** As many dispatches as a step has, of a kernel that does nothing: no engine on WebGPU enqueues the step in less time. */
export function emptyStep(device: GPUDevice, dispatches: number): EmptyStep {
  const module = device.createShaderModule({ code: EMPTY });
  const pipeline = device.createComputePipeline({ layout: 'auto', compute: { module, entryPoint: 'main' } });
  const buffer = device.createBuffer({ size: 256, usage: GPUBufferUsage.STORAGE });
  const layout = pipeline.getBindGroupLayout(0);
  const group = device.createBindGroup({ layout, entries: [{ binding: 0, resource: { buffer } }] });
  return {
    enqueue: () => {
      const encoder = device.createCommandEncoder();
      const pass = encoder.beginComputePass();
      for (let i = 0; i < dispatches; i++) {
        pass.setPipeline(pipeline);
        pass.setBindGroup(0, group);
        pass.dispatchWorkgroups(1, 1, 1);
      }
      pass.end();
      device.queue.submit([encoder.finish()]);
    },
    free: () => buffer.destroy(),
  };
}
