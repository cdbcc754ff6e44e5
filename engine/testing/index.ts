/**
 * Room: engine/testing. `light-peft/testing`: tests for kernels, bound to no test runner. `openTestDevice` opens the machine's adapter;
 * its `run` gives a kernel fresh buffers, fills outputs with garbage, dispatches once and reads back. `assertClose` compares with a
 * reference, which is best computed in float64. Vary the device's `traits` to test the templates of devices that are not there:
 * `{ ...device.traits, software: false, subgroupSize: 0 }` is a GPU without subgroups. Nothing here belongs into a program that trains.
 * @module light-peft/testing
 */
export { assertClose, largestError, randomValues, type LargestError } from './closeness.ts';
export { openTestDevice, type TestDevice } from './harness.ts';
export type { AdapterDescription } from '../device/device.ts';
export type { HostArray } from '../device/uploads.ts';
export { f16ToF32, f32ToF16 } from '../io/float16.ts';
