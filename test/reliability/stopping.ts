/**
 * Tests only: a run of the real `train` command with everything on that the trainer has, stopped by signals at random moments, steps and
 * evaluations alike, and resumed.
 */
import { spawn } from 'node:child_process';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout } from 'node:timers/promises';
import { hostRandom } from '../../engine/random.ts';
import { MODEL } from '../train/tiny.ts';
import { scalarsOf } from '../train/logs/read-events.ts';
import { differences, outcomeOf, writeExamples } from './killing.ts';

const COMMAND = join(import.meta.dirname, '..', '..', 'bin', 'light-peft.js');

/** In turn. */
const SIGNALS = ['SIGINT', 'SIGKILL', 'SIGTERM'] as const;

/** Milliseconds within which a step and an evaluation may be under way when the signal comes. */
const SPREAD = 60;

const EVERYTHING = [
  ...['--batch-size', '3', '--gradient-accumulation-steps', '2', '--max-length', '24', '--lora-r', '4'],
  ...['--lr', '3e-3', '--head-lr', '2e-3', '--layerwise-lr-decay', '0.9', '--lora-plus-lr-ratio', '4'],
  ...['--schedule', 'cosine_with_restarts', '--num-cycles', '2', '--warmup-steps', '9', '--weight-decay', '0.01'],
  ...['--dropout', '0.1', '--init-seed', '3', '--shuffle-seed', '4', '--dropout-seed', '5', '--mega-batch-mult', '2'],
  ...['--label-smoothing', '0.1', '--class-weights', '0=1,1=2,2=1.5', '--save-every', '7', '--save-total-limit', '3'],
  ...['--eval-strategy', 'steps', '--eval-steps', '5', '--load-best-model', '--metric-for-best-model', 'loss'],
  ...['--early-stopping-patience', '40', '--early-stopping-threshold', '0.001'],
];

export interface Stopping {
  /** After each stop: the signal, the last step in the log, and the last line that the command said. */
  readonly stops: readonly { readonly signal: string; readonly step: number; readonly said: string }[];
  /** Those of the run without a stop. */
  readonly steps: number;
  /** What differs from it, or lies around. */
  readonly faults: readonly string[];
}

/** @param dir an empty folder */
export async function stopAndResume(
  dir: string,
  { stops: count, steps, seed }: { readonly stops: number; readonly steps: number; readonly seed: number },
): Promise<Stopping> {
  const data = join(dir, 'data.jsonl');
  await writeExamples(data);
  const argv = (out: string): string[] => [
    ...['train', '--model', MODEL, '--train', data, '--selection-split', '0.4', '--steps', String(steps)],
    ...EVERYTHING,
    ...['--out', out, '--resume', '--log-jsonl', join(out, 'log.jsonl'), '--log-csv', join(out, 'log.csv')],
    ...['--log-tensorboard', `${out}-events`],
  ];
  const [whole, cut] = [join(dir, 'whole'), join(dir, 'cut')];
  await life(argv(whole));
  const log = join(cut, 'log.jsonl');
  const random = hostRandom(seed, 79);
  const stops: Stopping['stops'][number][] = [];
  for (let i = 0; i < count; i++) {
    const signal = SIGNALS[i % SIGNALS.length]!;
    const after = Math.round((steps * (i + 0.2 + 0.6 * random.uniform())) / count);
    const said = await life(argv(cut), {
      signal,
      when: async (hasEnded) => {
        while (!hasEnded() && (await lastStep(log)) < after) await setTimeout(5);
        await setTimeout(SPREAD * random.uniform());
      },
    });
    if (said === undefined) break;
    stops.push({ signal, step: await lastStep(log), said });
  }
  await life(argv(cut));
  const [expected, found] = [await outcomeOf(whole), await outcomeOf(cut)];
  const faults = differences(expected, found);
  const [expectedEvents, events] = [await scalarsOf(`${whole}-events`), await scalarsOf(`${cut}-events`)];
  if (JSON.stringify(expectedEvents) !== JSON.stringify(events)) faults.push('the scalars of the event files differ');
  if (stops.length < count) faults.push(`the run ended after ${stops.length} stops`);
  const made = (JSON.parse(expected.get('train.json')!) as { steps: number }).steps;
  return { stops, steps: made, faults };
}

interface Stop {
  readonly signal: NodeJS.Signals;
  /** Resolves when it is time. */
  readonly when: (hasEnded: () => boolean) => Promise<unknown>;
}

/** Runs the command, and stops it. @returns what it said last; undefined where it ended by itself */
function life(argv: readonly string[], stop?: Stop): Promise<string | undefined> {
  const child = spawn(process.execPath, [COMMAND, ...argv], { stdio: ['ignore', 'ignore', 'pipe'] });
  let said = '';
  child.stderr.on('data', (text: Buffer) => (said += text.toString()));
  void stop?.when(() => child.exitCode !== null).then(() => child.kill(stop.signal));
  return new Promise((resolve, reject) => {
    child.on('close', (code, signal) => {
      if (code === 0) resolve(undefined);
      else if (stop && (signal === 'SIGKILL' || code === 130 || code === 143)) resolve(said.trim().split('\n').at(-1));
      else reject(new Error(`the command ended with ${code ?? signal}: ${said}`));
    });
  });
}

/** That of the last whole line; 0 where there is none. */
async function lastStep(log: string): Promise<number> {
  const lines = (await readFile(log, 'utf8').catch(() => '')).split('\n').slice(0, -1);
  return Number(/"step":(\d+)/.exec(lines.at(-1) ?? '')?.[1] ?? 0);
}
