/** Room: bench/suites. Compile and start times of processes of their own, with a shader cache that is empty or warm. */
import { spawn } from 'node:child_process';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { z } from 'zod';
import { UserError } from '../../../engine/errors.ts';
import { writeRandomModel } from '../../encoder/model.ts';
import { summarise } from '../../measure/sample.ts';
import { sampleSchema, type Table } from '../../report/document.ts';
import type { BenchContext } from '../../suite.ts';
import type { Setup } from './replay.ts';

const ROOT = join(import.meta.dirname, '..', '..', '..');
const MODEL = join('checkpoints', 'light-roberta');

/** Seconds until a process is ended. */
const PATIENCE = 240;

export const startsSchema = z.array(z.object({ name: z.string(), seconds: sampleSchema }));

export type Start = z.infer<typeof startsSchema>[number];

const compiled = z.object({ compile: z.number(), firstRun: z.number(), pipelines: z.number() });

/** A cold and some warm runs of a child with a cache folder of its own. */
async function coldAndWarm(warm: number, run: (cache: string) => Promise<number[]>): Promise<number[][]> {
  const cache = await mkdtemp(join(tmpdir(), 'light-peft-cache-'));
  const runs: number[][] = [];
  try {
    for (let i = 0; i <= warm; i++) runs.push(await run(cache));
    return runs;
  } finally {
    await rm(cache, { recursive: true, force: true });
  }
}

export async function measureCompile({ folder, quick }: BenchContext, setup: Setup): Promise<Start[]> {
  const { shape, batch, seq } = setup;
  const dir = await writeRandomModel(folder, 'compiled', shape);
  const script = join(ROOT, 'bench', 'children', 'compile.ts');
  const args = ['--import', 'tsx', script, dir, String(batch), String(seq)];
  const [cold, ...warm] = await coldAndWarm(quick ? 1 : 3, async (cache) => {
    const { compile, firstRun } = compiled.parse(JSON.parse((await child(args, cache)).stdout));
    return [compile, firstRun];
  });
  return ['compiling a step', 'its first run'].flatMap((name, i) => [
    { name: `${name}, cold`, seconds: summarise([cold![i]!]) },
    { name: `${name}, warm`, seconds: summarise(warm.map((run) => run[i]!)) },
  ]);
}

/** The real command on the bundled model and a built-in task, until it reports its first step. */
export async function measureStarts({ folder, quick }: BenchContext): Promise<Start[]> {
  const out = join(folder, 'train');
  const size = quick ? ['--batch-size', '2', '--max-length', '16'] : ['--batch-size', '16', '--max-length', '64'];
  const args = [join('bin', 'light-peft.js'), 'train', '--model', MODEL, '--task', 'sentiment', '--steps', '1'];
  const [cold, ...warm] = await coldAndWarm(quick ? 1 : 3, async (cache) => {
    const { firstStep } = await child([...args, ...size, '--out', out], cache);
    if (firstStep === undefined) throw new UserError('light-peft train reported no step');
    return [firstStep];
  });
  return [
    { name: 'light-peft train to its first step, cold', seconds: summarise(cold!) },
    { name: 'light-peft train to its first step, warm', seconds: summarise(warm.flat()) },
  ];
}

/** Runs Node with a shader cache of its own. @returns what it printed, and the seconds until it reported a step */
function child(args: readonly string[], cache: string): Promise<{ stdout: string; firstStep: number | undefined }> {
  const started = performance.now();
  const env = { ...process.env, MESA_SHADER_CACHE_DIR: cache };
  const timeout = PATIENCE * 1000;
  const process_ = spawn(process.execPath, args, { cwd: ROOT, env, timeout, stdio: ['ignore', 'pipe', 'pipe'] });
  let stdout = '';
  let last = '';
  let firstStep: number | undefined;
  process_.stdout.on('data', (text: Buffer) => (stdout += text.toString()));
  createInterface({ input: process_.stderr }).on('line', (line) => {
    last = line;
    if (firstStep === undefined && /^\s*step \d+\/\d+/.test(line)) firstStep = (performance.now() - started) / 1000;
  });
  return new Promise((resolve, reject) => {
    process_.on('error', reject);
    process_.on('close', (code) => {
      if (code === 0) resolve({ stdout, firstStep });
      else if (code === null)
        reject(new UserError(`node ${args.join(' ')} was ended, at the latest after ${PATIENCE} s`));
      else reject(new UserError(`node ${args.join(' ')} ended with ${code}: ${last}`));
    });
  });
}

export function startTable(starts: readonly Start[]): Table {
  return {
    title: 'Compiling and starting',
    caption: 'Processes of their own; cold once, warm several times.',
    columns: [
      { key: 'name', title: 'what', unit: 'text' },
      { key: 'seconds', title: 'time', unit: 'time' },
    ],
    rows: starts.map(({ name, seconds }) => ({ name, seconds })),
  };
}
