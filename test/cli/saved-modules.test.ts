/**
 * Protects: weights of the base that an adapter holds whole (`modules_to_save`, `bias`), against PEFT's own scores: predicted, merged,
 * exported and trained. What two layers share is changed for one of them alone, GPT-2's matrices lie as PEFT has them, biases of heads are
 * read. The folders of `goldens/saved-modules` are written by PEFT 0.21 and transformers 5.24; `expected.json` has their scores.
 */
import { cp, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { openSafetensors, writeSafetensors, type TensorEntry } from '../../engine/io/safetensors.ts';
import { run } from './command.ts';

const GOLDENS = join(import.meta.dirname, '..', 'goldens', 'saved-modules');

let dir: string;
beforeAll(async () => {
  dir = await mkdtemp(join(tmpdir(), 'light-peft-'));
});
afterAll(() => rm(dir, { recursive: true }));

const json = async (path: string): Promise<Record<string, unknown>> =>
  JSON.parse(await readFile(path, 'utf8')) as Record<string, unknown>;

/** Largest difference from the reference's scores. */
async function difference(name: string, ...args: string[]): Promise<number> {
  const out = join(dir, 'predictions.jsonl');
  await run(0, 'predict', '--data', join(GOLDENS, name, 'data.jsonl'), '--out', out, ...args);
  const lines = (await readFile(out, 'utf8')).trim().split('\n');
  const found = lines.map((line) => (JSON.parse(line) as { logits: number[][] }).logits).flat(2);
  const expected = (JSON.parse(await readFile(join(GOLDENS, name, 'expected.json'), 'utf8')) as number[][][]).flat(2);
  expect(found).toHaveLength(expected.length);
  return Math.max(...expected.map((value, i) => Math.abs(value - found[i]!)));
}

/** By folder: whether merging gives each of two layers that shared a matrix its own. */
const CASES: readonly (readonly [name: string, untied: boolean])[] = [
  ['llama-words', true],
  ['qwen2-head', true],
  ['opt-both', true],
  ['gpt2-words-half', true],
  ['gpt2-conv1d', false],
  ['roberta-mlm-decoder', true],
  ['bert-mlm-cls', true],
  ['bert-mlm-untied', false],
  ['roberta-cls-bias', false],
  ['llama-qa', false],
  ['qwen2-qa-ia3', false],
  ['mistral-qa', false],
];

describe.each(CASES)('%s', (name, untied) => {
  const model = join(GOLDENS, name, 'model');
  const adapter = join(GOLDENS, name, 'adapter');

  it('is predicted, merged and exported as PEFT has it', async () => {
    expect(await difference(name, '--model', model, '--adapter', adapter)).toBeLessThan(2e-5);
    const folders = ['--model', model, '--adapter', adapter];
    await run(0, 'merge', ...folders, '--out', join(dir, name));
    expect(await difference(name, '--model', join(dir, name))).toBeLessThan(2e-5);
    const before = await json(join(model, 'config.json'));
    const { tie_word_embeddings: tied, dtype } = await json(join(dir, name, 'config.json'));
    expect(tied).toBe(untied ? false : before.tie_word_embeddings);
    // What was merged is f32, whatever the base was.
    expect(dtype).toBe('float32');
    const out = join(dir, `${name}-exported`);
    await run(0, 'export', ...folders, '--out', out);
    expect((await json(join(out, 'base', 'config.json'))).dtype).toBe('float32');
    expect(await difference(name, '--model', join(out, 'base'), '--adapter', join(out, 'adapter'))).toBeLessThan(2e-5);
    const [own, again] = await Promise.all([adapter, join(out, 'adapter')].map(shapes));
    const copies = /(original_module|modules_to_save)/;
    const kept = [...own!].filter(([key]) => !copies.test(key) && !key.includes('lm_head.base_layer'));
    const missing = kept.filter(([key, shape]) => JSON.stringify(again!.get(key)) !== JSON.stringify(shape));
    // A bias that two names share is written where PEFT wants both.
    expect(missing.map(([key]) => key).filter((key) => !key.endsWith('predictions.bias'))).toEqual([]);
  });
});

async function shapes(folder: string): Promise<Map<string, readonly number[]>> {
  const file = await openSafetensors(join(folder, 'adapter_model.safetensors'));
  await file.close();
  return new Map(file.names.map((key) => [key, file.info(key).shape]));
}

it('a base in f64 is merged as any other', async () => {
  const name = 'roberta-cls-bias';
  const model = join(dir, 'f64');
  await cp(join(GOLDENS, name, 'model'), model, { recursive: true });
  const file = await openSafetensors(model);
  const entries: TensorEntry[] = [];
  for (const key of file.names)
    entries.push({
      ...{ name: key, shape: file.info(key).shape, dtype: 'F64' },
      data: Float64Array.from(await file.readFloat32(key)),
    });
  await file.close();
  await writeSafetensors(join(model, 'model.safetensors'), entries, { format: 'pt' });
  const out = join(dir, 'f64-merged');
  await run(0, 'merge', '--model', model, '--adapter', join(GOLDENS, name, 'adapter'), '--out', out);
  expect(await difference(name, '--model', out)).toBeLessThan(2e-5);
});

it('what was trained whole is not taken out again', async () => {
  const [model, adapter] = ['model', 'adapter'].map((part) => join(GOLDENS, 'qwen2-head', part)) as [string, string];
  const said = await run(
    2,
    'merge',
    '--unmerge',
    '--model',
    model,
    '--adapter',
    adapter,
    '--out',
    join(dir, 'unmerged'),
  );
  expect(said).toContain('lm_head.weight was trained whole');
});

describe('training', () => {
  const rows = Array.from({ length: 6 }, (_, i) => ({ input_ids: [3 + i, 9, 4, 11, 5 + i], label: i % 3 }));
  let data: string;
  beforeAll(async () => {
    data = join(dir, 'rows.jsonl');
    await writeFile(data, rows.map((row) => JSON.stringify(row)).join('\n'));
  });
  const train = (model: string, out: string, ...args: string[]): Promise<string> =>
    run(0, 'train', '--model', model, '--train', data, '--out', out, '--steps', '3', '--lr', '0.01', ...args);

  it.each([
    ['llama-words', 'lm_head', 'lm_head.weight', [19, 8]],
    ['gpt2-conv1d', 'c_fc', 'transformer.h.0.mlp.c_fc.weight', [8, 32]],
  ])('%s: %s alone trains, and is written as PEFT has it', async (name, module, key, shape) => {
    const model = join(GOLDENS, name, 'model');
    const out = join(dir, `trained-${module}`);
    await train(model, out, '--task-type', 'CAUSAL_LM', '--modules-to-save', module);
    const found = await shapes(out);
    const saved = [...found].filter(([tensor]) => !/lora_|bias$/.test(tensor));
    expect(saved).toEqual([[`base_model.model.${key}`, shape]]);
    const file = await openSafetensors(join(out, 'adapter_model.safetensors'));
    const base = await openSafetensors(model);
    const stored = base.names.find((tensor) => key.endsWith(tensor)) ?? 'model.embed_tokens.weight';
    const [after, before] = [await file.readFloat32(`base_model.model.${key}`), await base.readFloat32(stored)];
    await Promise.all([file.close(), base.close()]);
    const change = Math.max(...after.map((value, i) => Math.abs(value - before[i]!)));
    // Three steps of Adam: a matrix that is read transposed differs by its whole values.
    expect(change).toBeGreaterThan(0);
    expect(change).toBeLessThan(0.05);
  });

  it('keeps the head and names of a classifier whose classes are the same, and says where it cannot', async () => {
    const model = join(dir, 'classifier');
    await cp(join(GOLDENS, 'roberta-cls-bias', 'model'), model, { recursive: true });
    const config = await json(join(model, 'config.json'));
    const names = ['low', 'high', 'middle'];
    const id2label = Object.fromEntries(names.map((name, i) => [i, name]));
    await writeFile(join(model, 'config.json'), JSON.stringify({ ...config, id2label }));
    const headOf = async (folder: string, file: string, prefix = ''): Promise<Float32Array> => {
      const opened = await openSafetensors(file === '' ? folder : join(folder, file));
      const values = await opened.readFloat32(`${prefix}classifier.out_proj.weight`);
      await opened.close();
      return values;
    };
    const own = await headOf(model, '');
    const isKept = async (out: string): Promise<boolean> => {
      const after = await headOf(out, 'adapter_model.safetensors', 'base_model.model.');
      return after.every((value, i) => Math.abs(value - own[i]!) < 0.05);
    };
    const labelled = async (name: string, labels: readonly unknown[]): Promise<string> => {
      const path = join(dir, name);
      const lines = rows.map((row, i) => JSON.stringify({ ...row, label: labels[i % labels.length] }));
      await writeFile(path, lines.join('\n'));
      return path;
    };
    const learn = async (
      file: string,
      ...args: string[]
    ): Promise<{ said: string; kept: boolean; labels: unknown }> => {
      const out = join(dir, 'learned');
      const said = await run(
        0,
        'train',
        '--model',
        model,
        '--train',
        file,
        '--out',
        out,
        '--overwrite',
        '--steps',
        '1',
        ...args,
      );
      const { labels } = await json(join(out, 'labels.json'));
      return { said, kept: await isKept(out), labels };
    };
    const named = await labelled('named.jsonl', ['middle', 'low', 'high']);
    expect(await learn(named)).toMatchObject({ kept: true, labels: names });
    expect(await learn(named, '--new-head')).toMatchObject({ kept: false, labels: names });
    const others = await learn(await labelled('others.jsonl', ['a', 'low', 'high']));
    expect(others).toMatchObject({ kept: false, labels: ['a', 'high', 'low'] });
    expect(others.said).toMatch(
      /warning: .*3 classes \(low, high, middle\).*3 classes \(a, high, low\): a new head is drawn/,
    );
  });

  it.each([
    [['--modules-to-save', 'lm_haed'], /--modules-to-save: "lm_haed" is no module of the model; did you mean lm_head/],
    [['--rank-pattern', 'q_prj=2'], /--rank-pattern: "q_prj" is no module with factors.*did you mean .*q_proj/],
    [['--alpha-pattern', 'nosuch=2'], /--alpha-pattern: "nosuch"/],
    [['--exclude-modules', 'v_prj'], /--exclude-modules: "v_prj".*did you mean .*v_proj/],
  ])('%j matches nothing', async (args, message) => {
    const model = join(GOLDENS, 'llama-words', 'model');
    const task = ['--task-type', 'CAUSAL_LM', '--steps', '1'];
    const said = await run(2, 'train', '--model', model, '--train', data, '--out', join(dir, 'none'), ...task, ...args);
    expect(said).toMatch(message);
  });
});

it.each([
  ['qwen2-head', /v_proj\.lora/, /no factors of model\.layers\.0\.self_attn\.v_proj|no factors, expected/],
  ['qwen2-head', /lm_head\.weight/, /tensor "lm_head\.weight" is missing, though modules_to_save names "lm_head"/],
  [
    'roberta-cls-bias',
    /classifier\.out_proj\.weight/,
    /classifier\.out_proj\.weight" is missing, though modules_to_save/,
  ],
])('%s without %s is refused by name', async (name, gone, message) => {
  const adapter = join(dir, 'lacking');
  await cp(join(GOLDENS, name, 'adapter'), adapter, { recursive: true });
  const path = join(adapter, 'adapter_model.safetensors');
  const file = await openSafetensors(path);
  const entries: TensorEntry[] = [];
  for (const key of file.names.filter((one) => !gone.test(one)))
    entries.push({ name: key, dtype: 'F32', shape: file.info(key).shape, data: await file.readFloat32(key) });
  await file.close();
  await writeSafetensors(path, entries);
  const folders = ['--model', join(GOLDENS, name, 'model'), '--adapter', adapter];
  const data = join(GOLDENS, name, 'data.jsonl');
  expect(await run(2, 'predict', ...folders, '--data', data, '--out', join(dir, 'p.jsonl'))).toMatch(message);
  expect(await run(2, 'merge', ...folders, '--out', join(dir, 'm'))).toMatch(message);
});
