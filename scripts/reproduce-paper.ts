/**
 * Room: scripts. `npm run reproduce -- paper --model DIR --data-dir DIR`: the paper's comparison on a pretrained model and its tasks, part by part in the
 * order of `bench/paper/table.yaml`. Each part is kept in `bench/paper/parts/` when it has ended, with adapter, date, commit and command; those that
 * are there are not run again. `--list` shows them and how long the others take, `--candidates` runs what the preset is chosen from, `--report`
 * writes `bench/paper/RESULTS.md`.
 */
import { parseArgs } from 'node:util';
import { UserError } from '../engine/errors.ts';
import { duration } from '../report/numbers.ts';
import type { PaperPart } from '../report/paper/schema.ts';
import { StoppedError } from '../sweep/perform.ts';
import { InterruptedError } from '../train/loop.ts';
import { writePaperReport } from './paper/report.ts';
import { forecast } from './paper/forecast.ts';
import { readPart, runPart } from './paper/run-part.ts';
import { candidatesOf, choicesOf, partsOf, readTable, type Part, type Table } from './paper/table.ts';
import { stepTokens, type Place } from './paper/task-data.ts';

/** @returns the exit code */
export async function reproducePaper(args: readonly string[]): Promise<number> {
  const { values } = parseArgs({
    args: [...args],
    options: {
      model: { type: 'string' },
      'data-dir': { type: 'string' },
      part: { type: 'string', multiple: true },
      candidates: { type: 'boolean', default: false },
      list: { type: 'boolean', default: false },
      report: { type: 'boolean', default: false },
    },
  });
  const table = await readTable();
  const asked = values.part;
  const parts = (values.candidates ? candidatesOf(table) : partsOf(table)).filter(
    ({ name }) => !asked || asked.some((one) => name === one || name.startsWith(`${one}/`)),
  );
  if (parts.length === 0) throw new UserError(`--part: found ${asked?.join(', ')}, expected some of \`--list\``);
  const { model, 'data-dir': dataDir } = values;
  const place = model === undefined || dataDir === undefined ? undefined : { model, dataDir };
  if (values.list) return list(parts, table, place);
  if (!place)
    throw new UserError(
      'paper: expected --model DIR, a pretrained model, and --data-dir DIR, with the folders of its tasks',
    );
  if (values.report) {
    process.stdout.write(`${await writePaperReport(table, place)} is written.\n`);
    return 0;
  }
  const stop = new AbortController();
  process.once('SIGINT', () => stop.abort()).once('SIGTERM', () => stop.abort());
  try {
    for (const part of parts) {
      if (await readPart(part, table)) continue;
      const lr = part.lr ?? (await chosenRate(part, table, place, stop.signal));
      await run(part, table, lr, place, stop.signal);
    }
  } catch (error) {
    if (!(error instanceof StoppedError)) throw error;
    throw new InterruptedError('Interrupted: parts that have ended are kept; the same command goes on.');
  }
  return 0;
}

async function run(part: Part, table: Table, lr: number, place: Place, signal: AbortSignal): Promise<PaperPart> {
  const started = performance.now();
  process.stdout.write(`${part.name}, learning rate ${lr}\n`);
  const command = `npm run reproduce -- paper --model DIR --data-dir DIR --part ${part.name}`;
  const { metric } = table.tasks[part.task]!;
  const found = await runPart(part, table, { lr, place, command }, signal);
  const took = duration((performance.now() - started) / 1000);
  process.stdout.write(`  ${metric} ${found.metrics[metric]?.toFixed(4)}, ${took}\n`);
  return found;
}

/** The lowest rate whose figure on the selection split is within the margin of the best; those that were not tried are. */
async function chosenRate(part: Part, table: Table, place: Place, signal: AbortSignal): Promise<number> {
  const { metric } = table.tasks[part.task]!;
  const tried: PaperPart[] = [];
  for (const choice of choicesOf(part, table))
    tried.push((await readPart(choice, table)) ?? (await run(choice, table, choice.lr!, place, signal)));
  const value = (one: PaperPart): number => one.metrics[metric] ?? -Infinity;
  const best = Math.max(...tried.map(value));
  const near = tried.filter((one) => value(one) >= best - table['learning-rates'].margin);
  return Math.min(...near.map(({ lr }) => lr));
}

/**
 * Parts in their order, what is there, and how long the others will take as far as those tell.
 * @param place where tasks that have no part yet are read, for the length of their texts
 */
async function list(parts: readonly Part[], table: Table, place: Place | undefined): Promise<number> {
  const known = await knownParts(table);
  const unknown = new Set(parts.map(({ task }) => task));
  for (const { task } of known.values()) unknown.delete(task);
  const tokens = place ? await stepTokens(unknown, table, place) : new Map<string, number>();
  const times = forecast(parts, [...known.values()], table, tokens);
  let left = 0;
  for (const part of parts) {
    const found = known.get(part.name);
    const seconds = times.get(part.name);
    left += seconds ?? 0;
    const { metric } = table.tasks[part.task]!;
    const state = found
      ? `${metric} ${found.metrics[metric]?.toFixed(4)}`
      : `not run${seconds === undefined ? '' : `, about ${duration(seconds)}`}`;
    process.stdout.write(`${part.name}: ${state}\n`);
  }
  const there = parts.filter(({ name }) => known.has(name)).length;
  process.stdout.write(
    `${there} of ${parts.length} parts are there; the others take ${duration(left)} as far as that is known.\n`,
  );
  return 0;
}

/** All that are there, by their names, those that learning rates are chosen by included. */
async function knownParts(table: Table): Promise<Map<string, PaperPart>> {
  const parts = [...partsOf(table), ...candidatesOf(table)];
  const all = new Map([...parts, ...parts.flatMap((part) => choicesOf(part, table))].map((part) => [part.name, part]));
  const found = await Promise.all([...all.values()].map((part) => readPart(part, table)));
  return new Map(found.flatMap((part) => (part ? [[part.name, part] as const] : [])));
}
