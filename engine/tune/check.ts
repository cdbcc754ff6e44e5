/**
 * Room: engine/tune. Whether configs compute what the defaults compute, dispatch by dispatch, on the inputs that each has
 * in the real program. Outputs are filled with garbage before: a dispatch over a limit does nothing, and must not pass.
 */
import type { Runtime, Program } from '../compile/program.ts';
import { wholeWords, type Storage } from '../device/memory.ts';
import { submit, submitPass } from '../device/submit.ts';
import type { HostArray } from '../device/uploads.ts';

/** Largest difference allowed, relative to the largest value of the tensor: sums run in another order, or of rounded factors. */
const TOLERANCE = { f32: 1e-4, f16: 1e-2 };

/** A dispatch of a candidate that computes something else. */
export interface Fault {
  readonly candidate: Program;
  readonly dispatch: number;
  readonly message: string;
}

/**
 * Runs `base` once, and beside each of its dispatches those of the candidates that differ.
 * @param candidates programs of the same graph with other kernel configs
 */
export async function checkConfigs(
  runtime: Runtime,
  base: Program,
  candidates: readonly Program[],
  inputs: Readonly<Record<string, HostArray>>,
): Promise<Fault[]> {
  for (const program of [base, ...candidates]) program.prepare(inputs);
  const checked = new Set<string>();
  const faults: Fault[] = [];
  for (let i = 0; i < base.dispatches.length; i++) {
    const { kernel } = base.dispatches[i]!;
    const differing = candidates.filter((candidate) => {
      const pair = `${kernel.wgsl}\n${candidate.dispatches[i]!.kernel.wgsl}`;
      return candidate.dispatches[i]!.kernel.wgsl !== kernel.wgsl && !checked.has(pair) && checked.add(pair);
    });
    if (differing.length === 0) dispatch(runtime, base, i);
    else faults.push(...(await compare(runtime, base, differing, i)));
  }
  await runtime.finish();
  return faults;
}

async function compare(runtime: Runtime, base: Program, candidates: readonly Program[], i: number): Promise<Fault[]> {
  const { kernel, bound } = base.dispatches[i]!;
  const written = base
    .storages(i)
    .map((storage, b) => ({ storage, role: kernel.bindings[b]!.role, dtype: bound[b]!.dtype }))
    .filter(({ role }) => role !== 'in');
  const read = async (): Promise<Float32Array[]> => {
    const values: Float32Array[] = [];
    for (const { storage, dtype } of written) values.push(await runtime.readStorage(storage, dtype));
    return values;
  };
  const before = written.map(({ storage, role }) => (role === 'inout' ? save(runtime, storage) : undefined));
  dispatch(runtime, base, i);
  const expected = await read();
  const after = written.map(({ storage }) => save(runtime, storage));
  const faults: Fault[] = [];
  for (const candidate of candidates) {
    written.forEach(({ storage }, w) => (before[w] ? restore(runtime, before[w], storage) : poison(runtime, storage)));
    dispatch(runtime, candidate, i);
    const found = await read();
    const worst = Math.max(...found.map((values, w) => difference(expected[w]!, values)));
    if (!(worst <= TOLERANCE[runtime.traits.allowF16Matmul ? 'f16' : 'f32'])) {
      const message = `${kernel.name}: off by ${worst.toExponential(1)} of the largest value`;
      faults.push({ candidate, dispatch: i, message });
    }
  }
  written.forEach(({ storage }, w) => restore(runtime, after[w]!, storage));
  for (const copy of [...before, ...after]) copy?.destroy();
  return faults;
}

/** Largest difference over the largest value; infinite where one of the two is no number. */
function difference(expected: Float32Array, found: Float32Array): number {
  let largest = 0;
  let worst = 0;
  for (let k = 0; k < expected.length; k++) {
    const [a, b] = [expected[k]!, found[k]!];
    if (Object.is(a, b)) continue;
    if (!Number.isFinite(a - b)) return Infinity;
    worst = Math.max(worst, Math.abs(a - b));
  }
  if (worst === 0) return 0;
  for (const value of expected) if (Number.isFinite(value)) largest = Math.max(largest, Math.abs(value));
  return worst / largest;
}

function dispatch({ device }: Runtime, program: Program, i: number): void {
  submitPass(device, (pass) => program.encode(pass, i));
}

/** A copy of what lies at `storage`. */
export function save({ device }: Runtime, storage: Storage): GPUBuffer {
  const usage = GPUBufferUsage.COPY_SRC | GPUBufferUsage.COPY_DST;
  const copy = device.createBuffer({ label: 'saved', size: wholeWords(storage.bytes), usage });
  submit(device, (encoder) => encoder.copyBufferToBuffer(storage.buffer, storage.offset, copy, 0, copy.size));
  return copy;
}

export function restore({ device }: Runtime, copy: GPUBuffer, storage: Storage): void {
  submit(device, (encoder) => encoder.copyBufferToBuffer(copy, 0, storage.buffer, storage.offset, copy.size));
}

/** NaN in every floating-point type. */
function poison({ device }: Runtime, storage: Storage): void {
  device.queue.writeBuffer(storage.buffer, storage.offset, new Uint8Array(wholeWords(storage.bytes)).fill(0xff));
}
