/** Room: scripts/paper. Runs a part of the paper's table as a trial of a sweep, so that estimations are shared and what was begun goes on. */
import { execFileSync } from 'node:child_process';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { stringify } from 'yaml';
import { z } from 'zod';
import { factsReader, planReader } from '../../cli/sweep-run.ts';
import { UserError } from '../../engine/errors.ts';
import { exists, parseJson, readJson, validate, writeFileAtomic } from '../../engine/io/files.ts';
import { makeFolder } from '../../engine/io/make-folder.ts';
import { readVersioned, writeVersioned } from '../../engine/io/versioned.ts';
import { meanBytes } from '../../report/compare/rows.ts';
import { parseComparison, type Run } from '../../report/schema.ts';
import { PART, type PaperPart } from '../../report/paper/schema.ts';
import type { TrialConfig } from '../../report/sweep/schema.ts';
import { runChild } from '../../sweep/child.ts';
import { jobOf, planSweep } from '../../sweep/plan.ts';
import { folderOf, perform } from '../../sweep/perform.ts';
import { plainText, specSchema } from '../../sweep/spec.ts';
import { answerScores } from './articles.ts';
import { configOf, type Part, type Table } from './table.ts';
import { dataOf, type Place } from './task-data.ts';

type Task = Table['tasks'][string];

/** What runs leave, and what is kept of them. */
const OUT = join('out', 'paper');
export const KEPT = join('bench', 'paper', 'parts');

function pathOf({ name }: Part): string {
  return join(KEPT, `${name}.json`);
}

/** How many rows of the selection split a choice was read on; more tell more. */
const ROWS_READ = 'max-eval-examples';

/** A part that was run before. @throws UserError where that was with other options than the table's */
export async function readPart(part: Part, table: Table): Promise<PaperPart | undefined> {
  const path = pathOf(part);
  if (!(await exists(path))) return undefined;
  const kept = await readVersioned(path, PART);
  const expected = configOf(part, table, kept.lr, {});
  const differs = Object.keys({ ...expected, ...kept.config }).find(
    (key) => key !== ROWS_READ && expected[key] !== kept.config[key],
  );
  if (differs !== undefined)
    throw new UserError(
      `${path}: was run with ${differs} ${JSON.stringify(kept.config[differs])}, where bench/paper/table.yaml has ${JSON.stringify(expected[differs])}; ` +
        `put it under bench/paper/superseded/ and run it again`,
    );
  return kept;
}

/** @param command that a reader types to get the same @throws UserError where it fails */
export async function runPart(
  part: Part,
  table: Table,
  { lr, place, command }: { readonly lr: number; readonly place: Place; readonly command: string },
  signal: AbortSignal,
): Promise<PaperPart> {
  const task = table.tasks[part.task]!;
  const config = configOf(part, table, lr, { model: place.model, ...(await dataOf(part.task, task, place)) });
  const plan = await planSweep(specSchema.parse({ base: config }), 'the table', planReader('the table'));
  const [trial] = plan.trials as [(typeof plan.trials)[number]];
  const here = { storage: process.cwd(), factsOf: factsReader() };
  const { metrics, device } = await perform(jobOf(plan, trial, { folder: OUT, retries: 0 }), here, { signal });
  const folder = folderOf(OUT, 'trial', trial.id);
  const kept: Omit<PaperPart, 'format' | 'version'> = {
    name: part.name,
    ...{ task: part.task, peft: part.peft, method: part.method, ratio: part.ratio, seed: part.seed },
    lr,
    config: withoutPlaces(trial.config),
    metrics: { ...metrics, ...(await meanMemory(folder)) },
    ...(part.lr === undefined && { predictions: await predictionsOf(folder, trial.config, task, signal) }),
    device: device ?? { adapter: 'not known', software: true, host: '' },
    date: new Date().toISOString(),
    commit: commit(),
    sources: trial.facts.sources,
    fingerprint: trial.facts.base,
    command,
  };
  const path = pathOf(part);
  await makeFolder(join(path, '..'));
  await writeVersioned(path, PART, kept);
  return { format: 'light-peft/paper-part', version: 1, ...kept };
}

/** Mean bytes over a training step, where the run kept its memory's course. */
async function meanMemory(folder: string): Promise<Record<string, number>> {
  const { timeline } = await runIn(folder);
  return timeline ? { trainMeanBytes: meanBytes(timeline.points) } : {};
}

/** The run of a part's folder. */
async function runIn(folder: string): Promise<Run> {
  const path = join(folder, 'comparison.json');
  return parseComparison(await readJson(path, z.unknown()), path).runs[0]!;
}

/** Where model and data lie is this machine's alone; their hashes tell what they are. */
function withoutPlaces({ model: _, 'data-dir': __, train: ___, eval: ____, ...options }: TrialConfig): TrialConfig {
  return options;
}

const lineSchema = z.looseObject({ logits: z.array(z.number()).min(1) });

/** Of the development set, row by row: classes or scores; of questions the F1 of their answers. */
async function predictionsOf(folder: string, given: TrialConfig, task: Task, signal: AbortSignal): Promise<number[]> {
  const { method, seed } = await runIn(folder);
  const { methods: _, train: __, eval: data, ...config } = given;
  const [file, lines] = [join(folder, 'predict.yaml'), join(folder, 'predictions.jsonl')];
  await writeFileAtomic(file, stringify(config));
  const adapter = join(folder, method, `seed-${seed}`, 'adapter');
  const args =
    task.squad === undefined
      ? ['eval', '--predictions', lines]
      : ['predict', '--data', plainText(data), '--out', lines];
  const { code, error } = await runChild([...args, '--config', file, '--adapter', adapter], {
    cwd: process.cwd(),
    log: join(folder, 'log.txt'),
    signal,
  });
  if (code !== 0) throw new UserError(`${folder}: its predictions: ${error}`);
  return task.squad === undefined ? chosenClasses(lines) : answerScores(plainText(data), lines);
}

/** @param lines written by `eval` */
async function chosenClasses(lines: string): Promise<number[]> {
  const texts = (await readFile(lines, 'utf8')).split('\n').slice(0, -1);
  return texts.map((text, i) => {
    const where = `${lines}: line ${i + 1}`;
    const { logits } = validate(parseJson(text, where), lineSchema, where);
    return logits.length === 1 ? logits[0]! : logits.indexOf(Math.max(...logits));
  });
}

/** Of the checkout. */
function commit(): string {
  const git = (...args: string[]): string => execFileSync('git', args, { encoding: 'utf8' }).trim();
  return (
    git('rev-parse', '--short=12', 'HEAD') + (git('status', '--porcelain', '--untracked-files=no') === '' ? '' : '+')
  );
}
