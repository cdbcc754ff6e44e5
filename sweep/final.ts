/** Room: sweep. Chosen trials on the split that nothing was chosen by. Each is read once: what is there already stays. */
import { join } from 'node:path';
import { stringify } from 'yaml';
import { UserError } from '../engine/errors.ts';
import { exists, readJson, writeFileAtomic } from '../engine/io/files.ts';
import { readVersioned, writeVersioned } from '../engine/io/versioned.ts';
import { parseComparison } from '../report/schema.ts';
import type { FinalFile, TrialConfig, TrialRecord } from '../report/sweep/schema.ts';
import { bestConfiguration, summariseSweep } from '../report/sweep/summary.ts';
import { FINAL, FINAL_FILE, readSweep } from '../report/sweep/write.ts';
import { runChild } from './child.ts';
import { metricsOfJson } from './metrics.ts';
import { folderOf } from './perform.ts';
import { forFinal } from './split.ts';
import { plainText, readSpec, type SweepSpec } from './spec.ts';
import { SPEC_COPY } from './sweep.ts';
import { z } from 'zod';

export interface FinalRequest {
  readonly out: string;
  /** The folder that paths are relative to. */
  readonly storage: string;
  /** Trials by their ids; absent: all seeds of the best configuration. */
  readonly trials?: readonly string[] | undefined;
  readonly signal: AbortSignal;
  readonly onTrial?: ((trial: TrialRecord) => void) | undefined;
}

/** Evaluates chosen trials and writes `final.json`. @throws UserError */
export async function evaluateFinal(request: FinalRequest): Promise<FinalFile> {
  const { out, signal } = request;
  const spec = await readSpec(join(out, SPEC_COPY));
  const { trials, chosen } = await choose(request);
  const path = join(out, FINAL_FILE);
  const known = (await exists(path)) ? (await readVersioned(path, FINAL)).trials : [];
  const file: FinalFile = { format: 'light-peft/sweep-final', version: 1, split: splitOf(trials[0]!.config, spec), chosen, trials: [...known] }; // prettier-ignore
  for (const trial of trials) {
    if (file.trials.some(({ id }) => id === trial.id)) continue;
    if (signal.aborted) throw new UserError('Interrupted: what is evaluated is kept; the same command goes on');
    request.onTrial?.(trial);
    file.trials.push(await evaluated(trial, spec, request));
    const { format: _, version: __, ...content } = file;
    await writeVersioned(path, FINAL, content);
  }
  return file;
}

async function choose({ out, trials: ids }: FinalRequest): Promise<{ trials: readonly TrialRecord[]; chosen: string }> {
  const data = await readSweep(out);
  const { command, metric } = data.sweep;
  if (command !== 'run' && command !== 'train')
    throw new UserError(`${out}: its trials are of ${command}, which leaves no trained adapter to evaluate`);
  if (!ids) {
    const best = bestConfiguration(summariseSweep(data));
    if (!best) throw new UserError(`${out}: no trial is best by a metric; name some with --trials`);
    return { trials: best.trials, chosen: `all seeds of the configuration with the best mean ${metric}` };
  }
  const trials = ids.map((id) => {
    const trial = data.trials.find((one) => one.id === id);
    if (trial?.state === 'done') return trial;
    throw new UserError(
      `--trials: ${id} is ${trial ? trial.state : 'no trial of the sweep'}, expected one that is done`,
    );
  });
  return { trials, chosen: 'named by hand' };
}

async function evaluated(trial: TrialRecord, spec: SweepSpec, { out, storage, signal }: FinalRequest) {
  const folder = folderOf(out, 'trial', trial.id);
  const { train: _, methods: __, ...config } = forFinal(trial.config, spec);
  const file = join(folder, 'final.yaml');
  await writeFileAtomic(file, stringify(config));
  const args = ['eval', '--config', file, '--adapter', await adapterOf(trial, folder), '--json'];
  const { code, stdout, error, device } = await runChild(args, { cwd: storage, log: join(folder, 'log.txt'), signal });
  if (code !== 0 || !device) throw new UserError(`trial ${trial.id}: ${error === '' ? 'was not evaluated' : error}`);
  return { id: trial.id, metrics: metricsOfJson(stdout), device };
}

async function adapterOf({ id, config }: TrialRecord, folder: string): Promise<string> {
  if (config.methods === 'random-init')
    throw new UserError(
      `trial ${id}: random-init trains on a base of random weights, which is not kept; choose others`,
    );
  const path = join(folder, 'comparison.json');
  if (!(await exists(path))) return folder;
  const { method, seed } = parseComparison(await readJson(path, z.unknown()), path).runs[0]!;
  const adapter = join(folder, method, `seed-${seed}`, 'adapter');
  if (await exists(adapter)) return adapter;
  throw new UserError(`${adapter}: is not there: the trial ran on a disk that this machine does not have`);
}

/** What is evaluated on, in words. */
function splitOf(given: TrialConfig, spec: SweepSpec): string {
  const { task, eval: file, 'eval-split': split } = forFinal(given, spec);
  if (file !== undefined) return plainText(file);
  return `${plainText(task)}, ${split === undefined ? 'its usual split' : plainText(split)}`;
}
