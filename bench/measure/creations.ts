/** Room: bench/measure. Counts what a device is asked to create, whoever asks. */

const CREATORS = {
  buffers: ['createBuffer'],
  'bind groups': ['createBindGroup'],
  pipelines: ['createComputePipeline', 'createComputePipelineAsync', 'createShaderModule'],
} as const satisfies Record<string, readonly (keyof GPUDevice)[]>;

export type Created = Record<keyof typeof CREATORS, number>;

/** Wraps a device's methods. @returns the live counts, and a function that takes the wrapping off */
export function countCreations(device: GPUDevice): { readonly created: Created; readonly stop: () => void } {
  const created: Created = { buffers: 0, 'bind groups': 0, pipelines: 0 };
  const methods = device as unknown as Record<string, (...args: unknown[]) => unknown>;
  for (const [kind, names] of Object.entries(CREATORS)) {
    for (const name of names) {
      const original = methods[name]!;
      Object.defineProperty(device, name, {
        configurable: true,
        value: (...args: unknown[]) => {
          created[kind as keyof Created]++;
          return original.apply(device, args);
        },
      });
    }
  }
  const stop = (): void => {
    for (const name of Object.values(CREATORS).flat()) Reflect.deleteProperty(device, name);
  };
  return { created, stop };
}
