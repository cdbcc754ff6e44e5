/** Room: kernels. Runs a fragment over every element of its outputs. */
import { fragmentBytes, fragmentFlops, hostFragment } from './fragment-host.ts';
import type { Fragment } from './fragment.ts';
import { declare, spread, type DeviceTraits, type Kernel, type Param } from './kernel.ts';
import { prelude } from './wgsl-lib.ts';

const LANES = 64;

/**
 * A fused elementwise kernel: bindings are the fragment's inputs, then its outputs (see `HostedFragment.bindings`).
 * Four neighbours at a time where `size` is a multiple of 4.
 * @param size elements of every output
 */
export function elementwise(size: number, fragment: Fragment, traits: DeviceTraits): Kernel {
  const vector = size % 4 === 0;
  const hosted = hostFragment(fragment, { name: 'apply', size, vector, result: 'store' });
  const units = vector ? size / 4 : size;
  const params: Param[] = [{ name: 'units', type: 'u32', value: units }, ...hosted.params];
  const main = `@compute @workgroup_size(${LANES})
fn main(@builtin(workgroup_id) wid: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
  let stride = groups.x * groups.y * ${LANES}u;
  for (var i = (wid.y * groups.x + wid.x) * ${LANES}u + lane; i < p.units; i += stride) {
    apply(${vector ? 'i * 4u' : 'i'});
  }
}`;
  const body = `${hosted.wgsl}\n${main}`;
  return {
    name: 'elementwise',
    wgsl: [declare(hosted.bindings, params, new Set(hosted.vectorBindings)), prelude(body, vector), body].join('\n'),
    bindings: hosted.bindings,
    params,
    workgroups: spread(Math.ceil(units / (LANES * (traits.software ? 8 : 1)))),
    flops: fragmentFlops(fragment, size),
    bytes: fragmentBytes(fragment, size, 'store'),
  };
}
