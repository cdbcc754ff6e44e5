/** Room: bench/suites. Compile and start times of processes of their own, with a shader cache that is empty or warm. */
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { z } from 'zod';
import { UserError } from '../../../engine/errors.ts';
import { writeRandomModel } from '../../encoder/model.ts';
import { launch } from '../../launch.ts';
import { summarise } from '../../measure/sample.ts';
import { sampleSchema, type Table } from '../../report/document.ts';
import type { BenchContext } from '../../suite.ts';
import type { Setup } from './replay.ts';

const ROOT = join(import.meta.dirname, '..', '..', '..');
const MODEL = join('checkpoints', 'light-roberta');

/** Seconds until a process is ended. */
const PATIENCE = 480;

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

export async function measureCompile(context: BenchContext, setup: Setup): Promise<Start[]> {
  const { folder, quick } = context;
  const { shape, batch, seq } = setup;
  const dir = await writeRandomModel(folder, 'compiled', shape);
  const script = join(ROOT, 'bench', 'children', 'compile.ts');
  const args = ['--import', 'tsx', script, dir, String(batch), String(seq)];
  const [cold, ...warm] = await coldAndWarm(quick ? 1 : 3, async (cache) => {
    const { compile, firstRun } = compiled.parse(JSON.parse((await startNode(args, cache)).stdout));
    return [compile, firstRun];
  });
  return ['compiling a step', 'its first run'].flatMap((name, i) => [
    { name: `${name}, cold`, seconds: summarise([cold![i]!]) },
    { name: `${name}, warm`, seconds: summarise(warm.map((run) => run[i]!)) },
  ]);
}

/** The real command on the bundled model and a built-in task, until it reports its first step. */
export async function measureStarts(context: BenchContext): Promise<Start[]> {
  const { folder, quick } = context;
  const out = join(folder, 'train');
  const size = quick ? ['--batch-size', '2', '--max-length', '16'] : ['--batch-size', '16', '--max-length', '64'];
  const args = [join('bin', 'light-peft.js'), 'train', '--model', MODEL, '--task', 'sentiment', '--steps', '1'];
  const [cold, ...warm] = await coldAndWarm(quick ? 1 : 3, async (cache) => {
    const { firstStep } = await startNode([...args, ...size, '--out', out, '--overwrite'], cache);
    if (firstStep === undefined) throw new UserError('light-peft train reported no step');
    return [firstStep];
  });
  return [
    { name: 'light-peft train to its first step, cold', seconds: summarise(cold!) },
    { name: 'light-peft train to its first step, warm', seconds: summarise(warm.flat()) },
  ];
}

/** Runs Node with a shader cache of its own. */
function startNode(args: readonly string[], cache: string): ReturnType<typeof launch> {
  return launch({ args, cwd: ROOT, env: { MESA_SHADER_CACHE_DIR: cache }, patience: PATIENCE });
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
