/**
 * Tests only: `npm run real-shapes -- [--dir DIR] [--only NAME …]`. Random weights in the shapes of published models, each through the real
 * commands; the table goes into RESULTS.md. A run that was cut goes on with the first command that has no figure, or failed; without
 * `--only`, all models are run. A model's folder is removed when its commands are done.
 */
import { spawn } from 'node:child_process';
import { mkdir, readFile, rm } from 'node:fs/promises';
import { join, resolve } from 'node:path';
import { parseArgs } from 'node:util';
import { z } from 'zod';
import { exists, writeFileAtomic, writeJson } from '../../engine/io/files.ts';
import { hostRandom } from '../../engine/random.ts';
import { withMeasured } from '../../scripts/measured-part.ts';
import { writeRandomFolder } from './random-folder.ts';
import { PUBLISHED, type PublishedShape } from './shapes.ts';

const ROOT = join(import.meta.dirname, '..', '..');
const DOCUMENT = join(ROOT, 'RESULTS.md');
const SHARD_BYTES = 2e9;
/** Most seconds of a command. */
const PATIENCE = 3600;

const STAGES = ['predict', 'train', 'estimate', 'prune', 'export', 'generate'] as const;
type Stage = (typeof STAGES)[number];

const figureSchema = z.object({
  seconds: z.number(),
  /** Of the process, device memory included where the adapter is software; bytes. */
  peak: z.number(),
  /** Last line of standard error of a command that failed. */
  error: z.string().optional(),
  warnings: z.array(z.string()),
});
type Figure = z.infer<typeof figureSchema>;

const figuresSchema = z.record(z.string(), z.partialRecord(z.enum(STAGES), figureSchema));
type Figures = z.infer<typeof figuresSchema>;

/** The arguments of each command; undefined: not for this model. */
function argumentsOf(shape: PublishedShape, stage: Stage, dir: string): string[] | undefined {
  const at = (name: string): string => join(dir, name);
  const { task, batch, seq } = shape;
  const sizes = ['--max-length', String(seq), '--batch-size', String(batch)];
  const rows = task === 'CAUSAL_LM' ? 'text.jsonl' : 'rows.jsonl';
  const training = ['--task-type', task, '--train', at(rows), '--steps', '1', ...sizes];
  const model = ['--model', at('model')];
  switch (stage) {
    case 'predict':
      return [stage, ...model, '--data', at('rows.jsonl'), '--out', at('scores.jsonl'), ...sizes];
    case 'train':
      return [stage, ...model, ...training, '--out', at('train')];
    case 'estimate':
      return [stage, ...model, ...training, '--out', at('estimate')];
    case 'prune':
      return [stage, ...model, '--estimate', at('estimate'), '--out', at('pruned')];
    case 'export':
      return [stage, ...model, '--adapter', at('pruned'), '--out', at('export')];
    case 'generate':
      if (task !== 'CAUSAL_LM') return undefined;
      return [
        ...[stage, ...model, '--adapter', at('train'), '--prompts', at('prompts.jsonl'), '--max-new-tokens', '8'],
        ...['--out', at('answers.jsonl')],
      ];
  }
}

/** Writes the model, one batch of rows, and a prompt. */
async function prepare({ config, batch, seq }: PublishedShape, dir: string): Promise<void> {
  await mkdir(dir, { recursive: true });
  if (!(await exists(join(dir, 'rows.jsonl')))) {
    await rm(join(dir, 'model'), { recursive: true, force: true });
    await writeRandomFolder(join(dir, 'model'), config, SHARD_BYTES);
  }
  const random = hostRandom(0, 99);
  const rows = Array.from({ length: batch }, () => Array.from({ length: seq }, () => 10 + random.below(20_000)));
  const lines = (row: (ids: number[], i: number) => object): string =>
    rows.map((ids, i) => `${JSON.stringify(row(ids, i))}\n`).join('');
  await writeFileAtomic(
    join(dir, 'text.jsonl'),
    lines((ids) => ({ input_ids: ids, labels: ids })),
  );
  await writeFileAtomic(join(dir, 'prompts.jsonl'), `${JSON.stringify({ input_ids: rows[0]!.slice(0, 32) })}\n`);
  await writeFileAtomic(
    join(dir, 'rows.jsonl'),
    lines((ids, i) => ({ input_ids: ids, label: i % 2 })),
  );
}

/** Runs a command of a checkout. */
async function run(args: readonly string[]): Promise<Figure> {
  const started = performance.now();
  const child = spawn(process.execPath, [join(ROOT, 'bin', 'light-peft.js'), ...args], {
    stdio: ['ignore', 'ignore', 'pipe'],
    timeout: PATIENCE * 1000,
  });
  let text = '';
  child.stderr.setEncoding('utf8').on('data', (piece: string) => (text += piece));
  let peak = 0;
  const watch = setInterval(() => {
    void peakOf(child.pid!).then((bytes) => (peak = Math.max(peak, bytes)));
  }, 100);
  const code = await new Promise<number | string>((done, fail) => {
    child.on('error', fail).on('close', (status, signal) => done(status ?? signal ?? 'unknown'));
  });
  clearInterval(watch);
  const seconds = (performance.now() - started) / 1000;
  const lines = text.split(/[\r\n]+/).filter((line) => line.trim() !== '');
  const warnings = lines.filter((line) => line.startsWith('light-peft: warning: '));
  if (code === 0) return { seconds, peak, warnings };
  const error = lines.findLast((line) => /light-peft|Error/.test(line)) ?? lines.at(-1) ?? '';
  return { seconds, peak, warnings, error: `${code}: ${error}` };
}

/** The most memory that a process has had, in bytes; 0 where the system does not say. */
async function peakOf(pid: number): Promise<number> {
  const status = await readFile(`/proc/${pid}/status`, 'utf8').catch(() => '');
  return 1024 * Number(/VmHWM:\s+(\d+) kB/.exec(status)?.[1] ?? 0);
}

function table(figures: Figures): string {
  const rows = PUBLISHED.filter(({ name }) => figures[name]).map((shape) => {
    const cells = STAGES.map((stage) => cell(figures[shape.name]![stage]));
    return [shape.name, `${shape.batch} × ${shape.seq}`, ...cells];
  });
  const failures = PUBLISHED.flatMap(({ name }) =>
    STAGES.flatMap((stage) => {
      const error = figures[name]?.[stage]?.error;
      return error === undefined ? [] : [`- ${name}, ${stage}: \`${error.replaceAll('`', "'")}\``];
    }),
  );
  const line = (cells: readonly string[]): string => `| ${cells.join(' | ')} |`;
  return [
    '## Published shapes',
    '',
    'Random weights in the shapes of published models, at their full vocabulary, each through the real command: `npm run real-shapes`. Seconds of',
    'the whole command and the most memory of its process; on a software adapter that is all there is, device memory included. Training and',
    'estimation take one step on so many rows × tokens, of a language model for decoders, else of a classifier; `generate` adds 8 tokens to 32.',
    '“–”: not for this model; empty: not run yet.',
    '',
    line(['shape', 'rows × tokens', ...STAGES]),
    line([':--', '--:', ...STAGES.map(() => '--:')]),
    ...rows.map(line),
    ...(failures.length > 0 ? ['', ...failures] : []),
  ].join('\n');
}

function cell(figure: Figure | undefined): string {
  if (!figure) return '';
  if (figure.seconds === 0) return '–';
  return `${figure.seconds.toFixed(0)} s, ${(figure.peak / 1e9).toFixed(1)} GB${figure.error === undefined ? '' : ', **failed**'}`;
}

const { values } = parseArgs({
  options: {
    dir: { type: 'string', default: join(ROOT, 'out', 'real-shapes') },
    only: { type: 'string', multiple: true },
  },
});
const unknown = values.only?.find((name) => !PUBLISHED.some((shape) => shape.name === name));
if (unknown !== undefined) {
  console.error(`--only: found "${unknown}", expected one of ${PUBLISHED.map(({ name }) => `"${name}"`).join(', ')}`);
  process.exit(2);
}
const dir = resolve(values.dir);
const record = join(dir, 'figures.json');
await mkdir(dir, { recursive: true });
const figures: Figures = (await exists(record)) ? figuresSchema.parse(JSON.parse(await readFile(record, 'utf8'))) : {};
const publish = async (): Promise<void> => {
  const document = await readFile(DOCUMENT, 'utf8');
  await writeFileAtomic(DOCUMENT, withMeasured(document, table(figures), DOCUMENT, 'published shapes'));
};
for (const shape of PUBLISHED.filter(({ name }) => values.only?.includes(name) ?? true)) {
  const own = (figures[shape.name] ??= {});
  const missing = STAGES.filter((stage) => !own[stage] || own[stage].error !== undefined);
  if (missing.length === 0) continue;
  const work = join(dir, shape.name.replaceAll(/\W+/g, '-'));
  await prepare(shape, work);
  for (const stage of missing) {
    const args = argumentsOf(shape, stage, work);
    own[stage] = args ? await run(args) : { seconds: 0, peak: 0, warnings: [] };
    console.log(
      `${shape.name} ${stage}: ${cell(own[stage])} ${own[stage].error ?? ''} ${own[stage].warnings.join(' ')}`,
    );
    await writeJson(record, figures);
    await publish();
  }
  await rm(work, { recursive: true });
}
await publish();
const failed = Object.values(figures).flatMap((own) => Object.values(own).filter(({ error }) => error !== undefined));
process.exitCode = failed.length > 0 ? 1 : 0;
