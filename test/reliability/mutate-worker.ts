/** Tests only: runs damaged files through the program, a case after the other, and says before and after each what it does. */
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { damage, randomOf } from './mutations.ts';
import { inspect, isRefusal, makeFolder, TARGETS } from './targets.ts';

/** What a case came to; `fault` says what must not be. */
export interface CaseResult {
  readonly index: number;
  readonly target: string;
  readonly file: string;
  readonly outcome: 'refused' | 'accepted';
  /** Largest buffer asked for, over the bytes of the files used. */
  readonly allocation: number;
  readonly milliseconds: number;
  readonly fault?: string;
}

/** Most that one buffer may be, over the bytes of the file: f16 read as f32 is twice as large. */
const LARGEST = 2;

let largest = 0;

/** Notes the size of every buffer made from here on. */
function watchBuffers(): void {
  for (const name of [
    'ArrayBuffer',
    'Uint8Array',
    'Uint16Array',
    'Int32Array',
    'Uint32Array',
    'Float32Array',
    'Float64Array',
    'BigInt64Array',
  ] as const) {
    const plain = globalThis[name] as unknown as new (...given: unknown[]) => { readonly byteLength: number };
    const watched = new Proxy(plain, {
      construct(target, given, as) {
        const made = Reflect.construct(target, given, as === watched ? target : as) as { readonly byteLength: number };
        if (typeof given[0] === 'number') largest = Math.max(largest, made.byteLength);
        return made;
      },
    });
    Object.assign(globalThis, { [name]: watched });
  }
}

async function runCase(
  seed: number,
  index: number,
  folder: string,
  out: string,
  verbose: boolean,
): Promise<CaseResult> {
  const random = randomOf(seed, index);
  const target = TARGETS[random.below(TARGETS.length)]!;
  const file = target.files[random.below(target.files.length)]!;
  const path = join(folder, file);
  const sound = await readFile(path);
  const damaged = damage(sound, file, random);
  await writeFile(path, damaged);
  largest = 0;
  const started = performance.now();
  let outcome: CaseResult['outcome'] = 'accepted';
  let fault: string | undefined;
  try {
    await target.use(folder, out);
  } catch (error) {
    outcome = 'refused';
    if (verbose) console.error(error);
    if (!isRefusal(error)) fault = error instanceof Error ? (error.stack ?? error.message) : String(error);
    else if (error instanceof Error && error.message.includes('\n')) fault = `more than one line: ${error.message}`;
  }
  const milliseconds = performance.now() - started;
  await writeFile(path, sound);
  const allocation = largest / Math.max(damaged.length, sound.length);
  const left = await inspect(out);
  if (left.unfinished.length > 0) fault ??= `left ${left.unfinished.join(', ')}`;
  if (outcome === 'refused' && left.files > 0) fault ??= `refused, but left ${left.files} files`;
  if (largest > LARGEST * totalOf(damaged, sound))
    fault ??= `a buffer of ${largest} bytes for a file of ${damaged.length}`;
  await rm(out, { recursive: true, force: true });
  return { index, target: target.name, file, outcome, allocation, milliseconds, ...(fault !== undefined && { fault }) };
}

function totalOf(damaged: Buffer, sound: Buffer): number {
  return Math.max(damaged.length, sound.length);
}

const [seed, first, end, verbose] = process.argv.slice(2).map(Number) as [number, number, number, number];
const scratch = await mkdtemp(join(tmpdir(), 'light-peft-mutants-'));
const folder = join(scratch, 'sound');
process.on('disconnect', () => process.exit(1));
const quiet = verbose === 0;
if (quiet) process.stderr.write = process.stdout.write = () => true;
try {
  await makeFolder(folder);
  for (const target of TARGETS) await target.use(folder, join(scratch, `probe-${target.name}`));
  watchBuffers();
  for (let index = first; index < end; index++) {
    process.send?.({ started: index });
    const result = await runCase(seed, index, folder, join(scratch, 'out'), !quiet);
    process.send?.({ result });
    if (!quiet) console.log(result);
  }
  process.send?.({ heap: process.memoryUsage().heapUsed });
} finally {
  await rm(scratch, { recursive: true, force: true });
}
process.disconnect?.();
