/** Tests only: runs damaged files through the program, a case after the other, and says before and after each what it does. */
import { mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { openSafetensors } from '../../engine/io/safetensors.ts';
import { damage, randomOf } from './mutations.ts';
import { inspect, isRefusal, makeFolder, TARGETS } from './targets.ts';

/** What a case came to; `fault` says what must not be. */
export interface CaseResult {
  readonly index: number;
  readonly target: string;
  readonly file: string;
  readonly outcome: 'refused' | 'accepted';
  /** Largest buffer asked for beyond what the sound files need, over the bytes of the damaged one. */
  readonly allocation: number;
  readonly milliseconds: number;
  readonly fault?: string;
}

/** Most that one buffer may be, over the bytes of the file: f16 read as f32 is twice as large. */
const LARGEST = 2;

/** Words of a library or of the language, where a person is to read what was found and what was expected. */
const NOT_FOR_PEOPLE =
  /expected int,|Invalid (input|option|key|union)|Too (big|small)|another value|undefined|\[object|NaN,/;

let largest = 0;

/** The largest buffer that the sound files of a target need. */
const needs = new Map<string, number>();

/** What the case at hand wrote to the terminal. */
let said = '';

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

/** What is wrong with the numbers of a result. */
async function nonFiniteIn(out: string): Promise<string | undefined> {
  const names = await readdir(out, { recursive: true }).catch(() => []);
  for (const name of names.filter((one) => one.endsWith('.safetensors'))) {
    const file = await openSafetensors(join(out, name));
    const check = async (): Promise<void> => {
      for (const tensor of file.names) await file.read(tensor);
    };
    const fault = await check().catch((error: unknown) => String(error));
    await file.close();
    if (fault !== undefined) return `accepted, but ${fault}`;
  }
  return undefined;
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
  said = '';
  const started = performance.now();
  let outcome: CaseResult['outcome'] = 'accepted';
  let fault: string | undefined;
  try {
    await target.use(folder, out);
  } catch (error) {
    outcome = 'refused';
    if (verbose) console.error(error);
    if (!isRefusal(error))
      fault = `${error instanceof Error ? (error.stack ?? error.message) : String(error)}\n${said}`;
    else if (error instanceof Error && error.message.includes('\n')) fault = `more than one line: ${error.message}`;
    const words = `${error instanceof Error ? error.message : ''} ${said}`;
    if (NOT_FOR_PEOPLE.test(words)) fault ??= `not in words for people: ${words}`;
  }
  const milliseconds = performance.now() - started;
  await writeFile(path, sound);
  const excess = largest > needs.get(target.name)! ? largest : 0;
  const allocation = excess / damaged.length;
  const left = await inspect(out);
  fault ??= await nonFiniteIn(out);
  if (left.unfinished.length > 0) fault ??= `left ${left.unfinished.join(', ')}`;
  if (outcome === 'refused' && left.files > 0) fault ??= `refused, but left ${left.files} files`;
  if (excess > LARGEST * damaged.length) fault ??= `a buffer of ${largest} bytes for a file of ${damaged.length}`;
  await rm(out, { recursive: true, force: true });
  return { index, target: target.name, file, outcome, allocation, milliseconds, ...(fault !== undefined && { fault }) };
}

const [seed, first, end, verbose] = process.argv.slice(2).map(Number) as [number, number, number, number];
const scratch = await mkdtemp(join(tmpdir(), 'light-peft-mutants-'));
const folder = join(scratch, 'sound');
process.on('disconnect', () => process.exit(1));
const quiet = verbose === 0;
const keep = (text: string | Uint8Array): boolean => {
  said += String(text);
  return true;
};
if (quiet) process.stderr.write = process.stdout.write = keep;
try {
  await makeFolder(folder);
  watchBuffers();
  for (const target of TARGETS) {
    largest = 0;
    await target.use(folder, join(scratch, 'out'));
    needs.set(target.name, largest);
    await rm(join(scratch, 'out'), { recursive: true, force: true });
  }
  for (let index = first; index < end; index++) {
    process.send?.({ started: index });
    const result = await runCase(seed, index, folder, join(scratch, 'out'), !quiet);
    process.send?.({ result });
    if (!quiet) console.log(result);
  }
} finally {
  await rm(scratch, { recursive: true, force: true });
}
process.exit(0);
