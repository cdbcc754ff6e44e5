/**
 * Room: bench/peers. The process of a WebGPU peer: `serve.ts LIBRARY default|patient`, requests on stdin, replies on stdout. `patient`
 * gives the library what the engine gives itself: this thread sleeps while it waits for the device.
 */
import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { create, globals } from 'webgpu';
import { waitForGpu } from '../../engine/device/wait.ts';
import { MARK, requestSchema, type HostTensor, type Library, type Prepared, type Reply, type Work } from './wire.ts';

const LIBRARIES: Readonly<Record<string, () => Promise<{ open(): Promise<Library> }>>> = {
  tfjs: () => import('./tfjs.ts'),
  'jax-js': () => import('./jax.ts'),
};

function say(message: object): void {
  process.stdout.write(`${MARK}${JSON.stringify(message)}\n`);
}

/** Node gives no `navigator.gpu`, and Node 20 no `navigator` at all. */
function provideWebGPU(): void {
  Object.assign(globalThis, globals);
  Object.defineProperty(globalThis, 'navigator', { value: { gpu: create([]), userAgent: 'node' }, configurable: true });
}

async function loadInputs(work: Work): Promise<Record<string, HostTensor>> {
  const entries = Object.entries(work.inputs).map(async ([name, { file, shape, dtype }]) => {
    const { buffer, byteOffset, byteLength } = await readFile(file);
    const bytes = buffer.slice(byteOffset, byteOffset + byteLength);
    return [name, { shape, data: dtype === 'f32' ? new Float32Array(bytes) : new Int32Array(bytes) }] as const;
  });
  return Object.fromEntries(await Promise.all(entries));
}

async function saveOutputs(prepared: Prepared, folder: string): Promise<Record<string, string>> {
  const files: Record<string, string> = {};
  for (const [name, values] of Object.entries(await prepared.outputs())) {
    files[name] = join(folder, `${name}.f32`);
    await writeFile(files[name], new Uint8Array(values.buffer, values.byteOffset, values.byteLength));
  }
  return files;
}

async function main([name = '', mode]: readonly string[]): Promise<void> {
  const load = LIBRARIES[name];
  if (!load) throw new Error(`no library ${name}`);
  provideWebGPU();
  const library = await (await load()).open();
  const { version, adapter, note } = library;
  say({ version, adapter, note });
  let prepared: Prepared | undefined;
  const finished = (work: Prepared): Promise<void> => (mode === 'patient' ? waitForGpu(work.finish()) : work.finish());
  const answer = async (line: string): Promise<Reply> => {
    const request = requestSchema.parse(JSON.parse(line));
    if (request.op === 'prepare') {
      prepared = library.prepare(request.work.name, await loadInputs(request.work), request.work.settings);
      if (!prepared) return { unsupported: `it cannot express ${request.work.name}` };
      prepared.run();
      await finished(prepared);
      return { outputs: await saveOutputs(prepared, request.folder) };
    }
    if (!prepared) throw new Error('nothing is prepared');
    const started = performance.now();
    for (let i = 0; i < request.runs; i++) prepared.run();
    await finished(prepared);
    return { seconds: (performance.now() - started) / 1000 };
  };
  for await (const line of createInterface({ input: process.stdin })) {
    say(await answer(line).catch((error: unknown): Reply => ({ error: String(error) })));
  }
}

await main(process.argv.slice(2));
process.exit(0);
