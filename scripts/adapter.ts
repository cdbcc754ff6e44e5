/**
 * Room: scripts; uses engine/device. Prints the WebGPU adapter the engine would use, in one line.
 * Exit code 2: there is none.
 */
import { openDevice } from '../engine/device/device.ts';
import { UserError } from '../engine/errors.ts';

try {
  const open = await openDevice();
  const { description, software } = open.adapter;
  console.log(software ? `${description} (software)` : description);
  open.close();
} catch (error) {
  if (!(error instanceof UserError)) throw error;
  console.error(error.message);
  process.exitCode = error.exitCode;
}
