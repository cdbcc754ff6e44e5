/** Protects: every head but language models' through all commands — trained, pruned, judged, exported, merged — from tokens and from texts. */
import { copyFile, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { openSafetensors } from '../../engine/io/safetensors.ts';
import { parseComparison } from '../../report/schema.ts';
import { writeRandomFolder } from '../reliability/random-folder.ts';
import { MODELS } from '../train/tiny.ts';
import { run } from './command.ts';

const FAMILIES = join(import.meta.dirname, '..', 'goldens', 'families');
const BUNDLED = join(import.meta.dirname, '..', '..', 'checkpoints', 'light-roberta');

let dir: string;
beforeAll(async () => {
  dir = await mkdtemp(join(tmpdir(), 'light-peft-'));
});
afterAll(() => rm(dir, { recursive: true }));

/** Runs a command that must succeed. @returns what it prints */
const light = (...args: string[]): Promise<string> => run(0, ...args);

const fails = (...args: string[]): Promise<string> => run(2, ...args);

async function write(name: string, rows: readonly object[]): Promise<string> {
  const path = join(dir, name);
  await writeFile(path, rows.map((row) => JSON.stringify(row)).join('\n'));
  return path;
}

interface Line {
  readonly logits: unknown;
  readonly answer?: unknown;
}

async function predictions(...args: string[]): Promise<Line[]> {
  const out = join(dir, 'predictions.jsonl');
  await light('predict', '--out', out, ...args);
  return (await readFile(out, 'utf8'))
    .trim()
    .split('\n')
    .map((line) => JSON.parse(line) as Line);
}

function expectClose(actual: readonly Line[], expected: readonly Line[]): void {
  const flat = (value: unknown): number[] => (Array.isArray(value) ? value.flatMap(flat) : [value as number]);
  const [a, b] = [actual, expected].map((lines) => lines.flatMap(({ logits }) => flat(logits)));
  expect(a!.length).toBe(b!.length);
  const scale = Math.max(...b!.map(Math.abs));
  expect(Math.max(...a!.map((x, i) => Math.abs(x - b![i]!))) / scale).toBeLessThan(1e-5);
}

async function losses(folder: string): Promise<readonly number[]> {
  return (JSON.parse(await readFile(join(folder, 'train.json'), 'utf8')) as { loss: number[] }).loss;
}

/** Token ids of a golden's batch without padding. */
async function tokensOf(folder: string): Promise<number[][]> {
  const file = await openSafetensors(join(folder, 'batch.safetensors'));
  const [ids, mask] = [await file.readInt32('input_ids'), await file.readInt32('attention_mask')];
  const seq = file.info('input_ids').shape.at(-1) as number;
  await file.close();
  return Array.from({ length: ids.length / seq }, (_, i) =>
    [...ids.slice(i * seq, (i + 1) * seq)].filter((__, t) => mask[i * seq + t] === 1),
  );
}

/** Rows of another kind each, and what figures they get. */
const CASES = [
  ['choices', join(FAMILIES, 'roberta-choice'), /Accuracy .*, F1/, 'accuracy'],
  ['answers', join(FAMILIES, 'bert-qa'), /Exact match .*, F1/, 'exactMatch'],
  ['numbers', join(MODELS.roberta, '..'), /Mean squared error .*, Pearson .*, Spearman/, 'mse'],
  ['sets', join(MODELS.roberta, '..'), /Accuracy .*, F1/, 'f1'],
] as const;

async function rowsOf(kind: (typeof CASES)[number][0]): Promise<object[]> {
  const folder = join(FAMILIES, kind === 'answers' ? 'bert-qa' : 'roberta-choice');
  const tokens = await tokensOf(folder);
  if (kind === 'choices') {
    return Array.from({ length: Math.floor(tokens.length / 2) }, (_, i) => ({
      input_ids: [tokens[2 * i], tokens[2 * i + 1]],
      label: i % 2,
    }));
  }
  return tokens.map((input_ids, i) => {
    if (kind === 'answers') return { input_ids, start_positions: 1 + (i % 2), end_positions: 2 + (i % 2) };
    return { input_ids, label: kind === 'numbers' ? i / 4 - 0.5 : [i % 2, Number(i > 1)] };
  });
}

const SHORT = ['--batch-size', '8', '--max-length', '16', '--lora-r', '2', '--lr', '1e-2', '--dropout', '0'];
const RATIOS = ['--heads-ratio', '0.5', '--module-ratio', '0.5'];

describe.each(CASES)('%s', (kind, folder, line) => {
  const model = ['--model', join(folder, 'model')];
  const at = (name: string): string => join(dir, kind, name);

  it('are estimated, pruned, trained, judged, exported and merged', async () => {
    const data = await write(`${kind}.jsonl`, await rowsOf(kind));
    const training = ['--train', data, ...SHORT];
    await light('estimate', ...model, ...training, '--steps', '2', '--out', at('estimate'));
    await light('prune', ...model, ...RATIOS, '--estimate', at('estimate'), '--out', at('pruned'));
    const start = ['--init-adapter', at('pruned'), '--out', at('trained')];
    expect(await light('train', ...model, ...training, '--steps', '12', ...start, '--eval', data)).toMatch(line);
    const loss = await losses(at('trained'));
    expect(loss.at(-1)).toBeLessThan(0.8 * loss[0]!);
    const adapter = ['--adapter', at('trained')];
    expect(await light('eval', ...model, ...adapter, '--data', data, '--max-length', '16')).toMatch(line);
    const input = ['--data', data, '--max-length', '16'];
    const expected = await predictions(...model, ...adapter, ...input);
    await light('export', ...model, ...adapter, '--out', at('dense'));
    const dense = ['--model', at('dense/base'), '--adapter', at('dense/adapter')];
    expectClose(await predictions(...dense, ...input), expected);
    await light('merge', ...model, ...adapter, '--out', at('merged'));
    expectClose(await predictions('--model', at('merged'), ...input), expected);
  });
});

it.each([CASES[1], CASES[2]])('%s are compared by their own figure', async (kind, folder, _, metric) => {
  const data = await write(`compared-${kind}.jsonl`, await rowsOf(kind));
  const out = join(dir, `compared-${kind}`);
  const options = ['--train', data, '--eval', data, ...SHORT, ...RATIOS, '--steps', '2', '--estimate-steps', '2'];
  const run = ['run', '--model', join(folder, 'model'), '--methods', 'reference,light-peft', '--out', out];
  await light(...run, ...options);
  const path = join(out, 'comparison.json');
  const { runs } = parseComparison(JSON.parse(await readFile(path, 'utf8')), path);
  for (const { metrics } of runs) expect(metrics[metric]).toBeGreaterThanOrEqual(0);
  expect(await readFile(join(out, 'report.html'), 'utf8')).toContain('<svg');
});

describe("from texts, with the bundled model's tokenizer", () => {
  const model: string[] = [];
  const short = ['--batch-size', '4', '--max-length', '32', '--lora-r', '2', '--lr', '5e-2', '--steps', '20'];

  /** A small masked language model of random weights: it compiles faster than the bundled one. */
  beforeAll(async () => {
    const folder = join(dir, 'model');
    const sizes = { hidden_size: 16, intermediate_size: 32, num_attention_heads: 2, num_hidden_layers: 1 };
    const config = JSON.parse(await readFile(join(BUNDLED, 'config.json'), 'utf8')) as Record<string, unknown>;
    await writeRandomFolder(folder, { ...config, ...sizes }, 1e9);
    for (const file of ['tokenizer.json', 'tokenizer_config.json'])
      await copyFile(join(BUNDLED, file), join(folder, file));
    model.push('--model', folder);
  });

  it('questions on a text are answered with a part of it', async () => {
    const context = 'the film was made in paris by a young woman, long ago';
    const ask = (question: string, answer: string): object => ({
      question,
      context,
      answers: { text: [answer], answer_start: [context.indexOf(answer)] },
    });
    const questions = [ask('where was it made?', 'paris'), ask('who made it?', 'a young woman')];
    const data = await write('questions.jsonl', questions);
    const out = join(dir, 'qa');
    expect(await light('train', ...model, '--train', data, '--eval', data, ...short, '--out', out)).toMatch(
      /Exact match/,
    );
    const loss = await losses(out);
    expect(loss.at(-1)).toBeLessThan(0.6 * loss[0]!);
    const config = JSON.parse(await readFile(join(out, 'adapter_config.json'), 'utf8')) as Record<string, unknown>;
    expect(config).toMatchObject({ task_type: 'QUESTION_ANS', modules_to_save: ['qa_outputs'] });
    const bare = await write('bare.jsonl', [{ question: 'where was it made?', context }]);
    const lines = await predictions(...model, '--adapter', out, '--data', bare);
    expect(context).toContain(lines[0]!.answer as string);
    expect(lines[0]!.answer).not.toBe('');
    const long = `${context}. `.repeat(3);
    const windowed = await write('long.jsonl', [{ question: 'where was it made?', context: long }]);
    const cut = ['--max-length', '32', '--doc-stride', '8'];
    const [wide] = await predictions(...model, '--adapter', out, '--data', windowed, ...cut);
    expect((wide!.logits as unknown[][][]).map((tokens) => tokens.length <= 32 && tokens[0]!.length)).toEqual([
      2, 2, 2,
    ]);
    expect(long).toContain(wide!.answer as string);
    const two = await predictions(...model, '--adapter', out, '--adapter', `b=${out}`, '--data', bare);
    expect(two[0]!.answer).toEqual({ qa: lines[0]!.answer, b: lines[0]!.answer });
  });

  it('choices get a pooler, which a masked language model lacks: it trains along and is merged and exported', async () => {
    const csv = join(dir, 'choices.csv');
    await writeFile(csv, 'text,choice_0,choice_1,label\nthe film was,good,a table,0\nhe ate,a cloud,bread,1\n');
    const out = join(dir, 'choices');
    await light('train', ...model, '--train', csv, ...short, '--lr', '2e-2', '--out', out);
    const loss = await losses(out);
    expect(loss.at(-1)).toBeLessThan(0.8 * loss[0]!);
    const config = JSON.parse(await readFile(join(out, 'adapter_config.json'), 'utf8')) as Record<string, unknown>;
    expect(config).toMatchObject({
      task_type: null,
      modules_to_save: ['classifier', 'pooler'],
      auto_mapping: { base_model_class: 'RobertaForMultipleChoice' },
    });
    const expected = await predictions(...model, '--adapter', out, '--data', csv);
    expect(expected.map(({ logits }) => (logits as number[]).length)).toEqual([2, 2]);
    await light('export', ...model, '--adapter', out, '--out', join(dir, 'dense'));
    const dense = ['--model', join(dir, 'dense', 'base'), '--adapter', join(dir, 'dense', 'adapter')];
    expectClose(await predictions(...dense, '--data', csv), expected);
    await light('merge', ...model, '--adapter', out, '--out', join(dir, 'merged'));
    expectClose(await predictions('--model', join(dir, 'merged'), '--data', csv), expected);
    expect(await light('eval', '--model', join(dir, 'merged'), '--data', csv)).toMatch(/Accuracy/);
  });

  it('a head of another kind than the labels is refused', async () => {
    const numbers = await write('numbers.jsonl', [
      { text: 'good', label: 0.5 },
      { text: 'bad', label: -0.5 },
    ]);
    const out = join(dir, 'number');
    const quick = [...short.slice(0, -1), '1'];
    await light('train', ...model, '--train', numbers, ...quick, '--out', out);
    const classes = await write('classes.jsonl', [{ text: 'good', label: 'pos' }]);
    const judge = ['eval', ...model, '--adapter', out, '--data'];
    expect(await fails(...judge, classes)).toContain('classes.jsonl:1: "label" is "pos", expected a number');
    expect(await fails(...judge, classes, '--problem-type', 'single_label_classification')).toContain(
      "classes.jsonl: the labels are for single_label_classification, but the model's head has one output, for a number",
    );
    const elsewhere = ['--out', join(dir, 'elsewhere')];
    expect(await fails('train', ...model, '--train', classes, '--task-type', 'QUESTION_ANS', ...elsewhere)).toContain(
      'classes.jsonl:1: found text, label, expected "question" and "context", or "input_ids"',
    );
    expect(
      await fails('train', ...model, '--task', 'sentiment', '--task-type', 'MULTIPLE_CHOICE', ...elsewhere),
    ).toContain('--task sentiment: is for a head for classification, the model has one for multiple-choice');
  });
});
