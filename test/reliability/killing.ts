/** Tests only: runs of the real `train` command that are ended by SIGKILL at random moments and go on with `--resume`. */
import { spawn } from 'node:child_process';
import { mkdir, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { dirname, join, relative } from 'node:path';
import { exists } from '../../engine/io/files.ts';
import { openSafetensors } from '../../engine/io/safetensors.ts';
import { hostRandom } from '../../engine/random.ts';
import { MODEL, tinyExamples } from '../train/tiny.ts';

const ROOT = join(import.meta.dirname, '..', '..');

/** Kills of one run before it may end. */
const KILLS_PER_RUN = 4;

export interface Killing {
  readonly kills: number;
  readonly runs: number;
  /** After each kill: the step of the checkpoint that was there, −1 for none. */
  readonly steps: readonly number[];
  /** What differs from the uninterrupted run, or lies around. */
  readonly faults: readonly string[];
}

/** @param dir an empty folder */
export async function killAndResume(
  dir: string,
  { kills, steps, seed }: { kills: number; steps: number; seed: number },
): Promise<Killing> {
  const data = join(dir, 'data.jsonl');
  await writeExamples(data);
  const argv = (out: string): string[] => [
    ...[
      'train',
      '--model',
      MODEL,
      '--train',
      data,
      '--out',
      out,
      '--resume',
      '--steps',
      String(steps),
      '--save-every',
      '3',
    ],
    ...['--batch-size', '4', '--max-length', '24', '--lora-r', '4', '--dropout', '0.1', '--lr', '3e-3'],
  ];
  const whole = join(dir, 'whole');
  let { milliseconds } = await life(argv(whole));
  const expected = await outcomeOf(whole);
  const random = hostRandom(seed, 78);
  const found: number[] = [];
  const faults: string[] = [];
  let runs = 0;
  for (; found.length < kills; runs++) {
    const out = join(dir, `killed-${runs}`);
    for (let i = 0; i < KILLS_PER_RUN && found.length < kills; i++) {
      const lived = await life(argv(out), milliseconds * random.uniform());
      // The first run may have compiled its kernels: whole ones after it tell better how long there is time to kill.
      if (!lived.killed && i === 0) milliseconds = lived.milliseconds;
      if (!lived.killed) break;
      found.push(await stepOf(join(out, 'checkpoint.safetensors')));
    }
    await life(argv(out));
    faults.push(...differences(expected, await outcomeOf(out)).map((what) => `run ${runs}: ${what}`));
    await rm(out, { recursive: true });
  }
  return { kills: found.length, runs, steps: found, faults };
}

/** Writes the examples of the small models as a data file, in its folder. */
export async function writeExamples(path: string): Promise<void> {
  const rows = (await tinyExamples()).map(({ ids, mask, label }) => ({
    input_ids: [...ids],
    attention_mask: [...mask],
    label,
  }));
  await mkdir(dirname(path), { recursive: true });
  await writeFile(path, rows.map((row) => JSON.stringify(row)).join('\n'));
}

/** Runs the command, and kills it some time after its training has begun. @returns how long the training took */
function life(argv: readonly string[], killAfter?: number): Promise<{ killed: boolean; milliseconds: number }> {
  const child = spawn(process.execPath, [join(ROOT, 'bin', 'light-peft.js'), ...argv], {
    stdio: ['ignore', 'ignore', 'pipe'],
  });
  let said = '';
  let began = 0;
  return new Promise((resolve, reject) => {
    child.stderr.on('data', (text: Buffer) => {
      said += text.toString();
      if (began > 0 || !/^training$/m.test(said)) return;
      began = performance.now();
      if (killAfter !== undefined) setTimeout(() => child.kill('SIGKILL'), killAfter);
    });
    child.on('close', (code, signal) => {
      const killed = signal === 'SIGKILL';
      if (killed || code === 0) resolve({ killed, milliseconds: performance.now() - began });
      else reject(new Error(`the command ended with ${code ?? signal}: ${said}`));
    });
  });
}

async function stepOf(checkpoint: string): Promise<number> {
  if (!(await exists(checkpoint))) return -1;
  const file = await openSafetensors(checkpoint);
  await file.close();
  return Number(file.metadata.step);
}

/** Content of everything a run leaves, byte for byte; of `train.json` what does not measure time or memory. */
export async function outcomeOf(dir: string): Promise<Map<string, string>> {
  const contents = new Map<string, string>();
  for (const entry of await readdir(dir, { recursive: true, withFileTypes: true })) {
    if (!entry.isFile()) continue;
    const path = join(entry.parentPath, entry.name);
    const text = await readFile(path, 'latin1');
    const { steps, loss, evaluations, best } =
      entry.name === 'train.json' ? (JSON.parse(text) as Record<string, unknown>) : {};
    contents.set(
      relative(dir, path),
      entry.name === 'train.json' ? JSON.stringify({ steps, loss, evaluations, best }) : text,
    );
  }
  return contents;
}

/** What differs between two outcomes. */
export function differences(expected: Map<string, string>, found: Map<string, string>): string[] {
  const names = new Set([...expected.keys(), ...found.keys()]);
  return [...names].filter((name) => expected.get(name) !== found.get(name)).map((name) => `${name} differs`);
}
