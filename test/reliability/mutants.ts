/** Tests only: drives the worker, so that a crash or a hang of it is an outcome of the case at hand. */
import { fork } from 'node:child_process';
import { join } from 'node:path';
import type { CaseResult } from './mutate-worker.ts';

export interface Mutants {
  readonly cases: number;
  readonly refused: number;
  /** Cases by what was done, and how many of them were refused. */
  readonly byTarget: Readonly<Record<string, readonly [cases: number, refused: number]>>;
  readonly faults: readonly { readonly index: number; readonly what: string }[];
  /** Largest buffer over the bytes of its file, and the slowest case. */
  readonly largestAllocation: number;
  readonly slowest: { readonly index: number; readonly milliseconds: number };
}

type Message = { started: number } | { result: CaseResult };

/** Milliseconds of silence after which a case counts as hanging; most take some. */
const HANGS_AFTER = 60_000;

/** Heap of the worker: a file that makes it grow beyond ends it. */
const HEAP_MEGABYTES = 512;

/** Runs the cases from `first` on; a worker that dies is followed by another that begins with the next case. */
export async function runMutants(
  seed: number,
  first: number,
  count: number,
  onProgress: (done: number) => void = () => undefined,
): Promise<Mutants> {
  const results: CaseResult[] = [];
  const faults: { index: number; what: string }[] = [];
  for (let at = first; at < first + count;) {
    const { next, death } = await runWorker(seed, at, first + count, (result) => {
      results.push(result);
      if (result.fault !== undefined)
        faults.push({ index: result.index, what: `${result.target}, ${result.file}: ${result.fault}` });
      onProgress(results.length);
    });
    if (death !== undefined) faults.push({ index: next, what: death });
    at = death === undefined ? next : next + 1;
    if (faults.length >= 50) break;
  }
  if (results.length === 0) throw new Error(`no case was run: ${faults[0]?.what}`);
  const targets = [...new Set(results.map((r) => r.target))].sort();
  const slowest = results.reduce((a, b) => (b.milliseconds > a.milliseconds ? b : a));
  return {
    cases: results.length,
    refused: results.filter((r) => r.outcome === 'refused').length,
    byTarget: Object.fromEntries(
      targets.map((name) => {
        const own = results.filter((r) => r.target === name);
        return [name, [own.length, own.filter((r) => r.outcome === 'refused').length]];
      }),
    ),
    faults,
    largestAllocation: Math.max(...results.map((r) => r.allocation)),
    slowest: { index: slowest.index, milliseconds: slowest.milliseconds },
  };
}

/** @returns the first case that was not finished, and why where the worker died of it */
function runWorker(
  seed: number,
  first: number,
  end: number,
  onResult: (result: CaseResult) => void,
): Promise<{ next: number; death?: string }> {
  const args = [seed, first, end, 0].map(String);
  const child = fork(join(import.meta.dirname, 'mutate-worker.ts'), args, {
    execArgv: ['--import', 'tsx', `--max-old-space-size=${HEAP_MEGABYTES}`],
    stdio: ['ignore', 'ignore', 'pipe', 'ipc'],
  });
  let said = '';
  child.stderr?.on('data', (text: Buffer) => (said = (said + text.toString()).slice(-2000)));
  let next = first;
  let hangs = false;
  const onSilence = (): void => {
    hangs = true;
    child.kill('SIGKILL');
  };
  let timer = setTimeout(onSilence, HANGS_AFTER);
  return new Promise((resolve) => {
    child.on('message', (message: Message) => {
      clearTimeout(timer);
      timer = setTimeout(onSilence, HANGS_AFTER);
      if (!('result' in message)) return;
      next = message.result.index + 1;
      onResult(message.result);
    });
    child.on('exit', (code, signal) => {
      clearTimeout(timer);
      if (next >= end && code === 0) resolve({ next });
      else
        resolve({
          next,
          death: hangs ? `no answer for ${HANGS_AFTER} ms` : `the process ended: ${signal ?? code}\n${said}`,
        });
    });
  });
}
