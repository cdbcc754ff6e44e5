/** Room: experiments. What a measured figure must be shown with: the adapter's name and the versions of the software. */
import { readFile } from 'node:fs/promises';
import type { AdapterDescription } from '../engine/device/device.ts';
import type { Engine } from '../engine/engine.ts';
import type { Checkpoint } from '../models/checkpoint.ts';

/** `device (driver)`, or the device alone. */
export function adapterName({ device, description }: Pick<AdapterDescription, 'device' | 'description'>): string {
  return description === '' ? device : `${device} (${description})`;
}

/** Versions of this project, of Dawn's package and of Node.js. */
export async function versions(): Promise<Record<'light-peft' | 'webgpu' | 'node', string>> {
  const read = async (url: URL): Promise<string> =>
    (JSON.parse(await readFile(url, 'utf8')) as { version: string }).version;
  const own = await read(new URL('../package.json', import.meta.url));
  const dawn = await read(new URL('./package.json', import.meta.resolve('webgpu')));
  return { 'light-peft': own, webgpu: dawn, node: process.versions.node };
}

/** When and on what something was measured, of which base, and the command that does it again. */
export async function provenance({ adapter }: Engine, checkpoint: Checkpoint, command: string) {
  return {
    date: new Date().toISOString(),
    command,
    adapter: adapterName(adapter),
    software: adapter.software,
    model: checkpoint.dir,
    fingerprint: await checkpoint.fingerprint(),
    versions: await versions(),
  };
}
