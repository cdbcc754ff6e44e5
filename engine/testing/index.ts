/**
 * Room: engine/testing. `light-peft/testing`: what runs one kernel on the machine's adapter, bound to no test runner.
 * @module light-peft/testing
 */
export { openDevice, type OpenDevice } from '../device/device.ts';
export { Pipelines } from '../device/pipelines.ts';
