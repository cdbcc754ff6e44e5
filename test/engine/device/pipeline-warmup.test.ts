/** Protects: kernels are compiled by the time they are asked for, on further devices where that is slow, and faults there cost nothing. */
import { availableParallelism } from 'node:os';
import { afterAll, describe, expect, it } from 'vitest';
import { openDevice } from '../../../engine/device/device.ts';
import { PipelineWarmup } from '../../../engine/device/pipeline-warmup.ts';
import { Pipelines } from '../../../engine/device/pipelines.ts';
import type { Kernel } from '../../../kernels/kernel.ts';
import { layerNorm } from '../../../kernels/layernorm.ts';

const open = await openDevice();
afterAll(() => open.close());

const SHAPES = [3, 4, 5, 6, 7, 8].map((cols) => ({ rows: 5, cols, eps: 1e-5 }));
const kernels = SHAPES.map((spec) => ({ ...layerNorm(spec, open.traits), name: `norm of ${spec.cols}` }));

/** A source of its own, so that no pipeline is there already. */
const fresh = (kernel: Kernel, run: string): Kernel => ({ ...kernel, wgsl: `${kernel.wgsl}\n// ${run}` });

/** Opens further devices and lists them. */
function counted() {
  const opened: GPUDevice[] = [];
  return {
    opened,
    another: async () => {
      const device = await open.another();
      opened.push(device);
      return device;
    },
  };
}

async function compileAll(warmup: PipelineWarmup, run: string): Promise<GPUComputePipeline[]> {
  const pipelines = new Pipelines(open.device, warmup);
  return Promise.all(kernels.map((kernel) => pipelines.get(fresh(kernel, run))));
}

describe('pipeline warm-up', () => {
  it('stay on the one device while they are fast', async () => {
    const { opened, another } = counted();
    const warmup = new PipelineWarmup(open.device, another, Infinity);
    expect(await compileAll(warmup, 'fast')).toHaveLength(kernels.length);
    expect(opened).toEqual([]);
  });

  it('are shared out among further devices, opened once, where they are slow', async () => {
    const { opened, another } = counted();
    const warmup = new PipelineWarmup(open.device, another, 0);
    await compileAll(warmup, 'slow');
    await compileAll(warmup, 'slow again');
    expect(opened).toHaveLength(Math.min(7, availableParallelism() - 1));
    await warmup.close();
    expect((await Promise.all(opened.map(({ lost }) => lost))).map(({ reason }) => reason)).toEqual(
      opened.map(() => 'destroyed'),
    );
  });

  it('ask for no further device once closed', async () => {
    const { opened, another } = counted();
    const warmup = new PipelineWarmup(open.device, another, 0);
    await warmup.close();
    expect(await compileAll(warmup, 'closed')).toHaveLength(kernels.length);
    expect(opened).toEqual([]);
  });

  it('go on alone where no further device can be had, or one is lost', async () => {
    const none = new PipelineWarmup(open.device, () => Promise.reject(new Error('no more')), 0);
    expect(await compileAll(none, 'none')).toHaveLength(kernels.length);
    const lost = new PipelineWarmup(
      open.device,
      async () => {
        const device = await open.another();
        device.destroy();
        return device;
      },
      0,
    );
    expect(await compileAll(lost, 'lost')).toHaveLength(kernels.length);
    expect(await compileAll(lost, 'lost again')).toHaveLength(kernels.length);
  });

  it('leave a kernel that does not compile to its own error', async () => {
    const pipelines = new Pipelines(open.device, new PipelineWarmup(open.device, () => open.another(), 0));
    const broken = { ...kernels[0]!, wgsl: 'fn main() { let x = ; }' };
    await expect(pipelines.get(broken)).rejects.toThrow('does not compile');
    await expect(pipelines.get(kernels[1]!)).resolves.toBeDefined();
  });
});
